"""Published NVAE checkpoints: what is accepted, and what is said when one does not fit."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model_zoo.bundle import open_bundle
from training.__main__ import main
from training.importers.nvlabs_nvae import LICENCE, Arguments, load_published
from training.importers.weights import WeightsError
from training.likelihoods import DMOL, Bernoulli, Normal
from training.models.nvae import NVAE

ARGUMENTS: dict[str, Any] = {
    "dataset": "mnist", "arch_instance": "res_mbconv", "num_latent_scales": 2, "num_groups_per_scale": 1,
    "num_latent_per_group": 2, "num_channels_enc": 2, "num_channels_dec": 2, "num_preprocess_blocks": 2,
    "num_preprocess_cells": 1, "num_cell_per_cond_enc": 1, "num_cell_per_cond_dec": 1, "num_postprocess_blocks": 2,
    "num_postprocess_cells": 1, "num_nf": 0, "use_se": True, "res_dist": True, "num_x_bits": 8,
    "learning_rate": 0.01, "batch_size": 200, "weight_decay_norm_anneal": False,
}  # fmt: skip


def weights(**changes: Any) -> dict[str, Tensor]:
    """As the published code saves them: unnormalised convolutions of the decoder have a second name."""
    torch.manual_seed(0)
    state = dict(NVAE(Arguments.model_validate(ARGUMENTS | changes).model_config_of()).state_dict())
    twice = [name for name in state if name.endswith((".conv.0.weight", ".conv.3.weight"))]
    assert twice
    return state | {name.removesuffix("weight") + "weight_normalized": state[name] for name in twice}


def save(path: Path, state: dict[str, Tensor], arguments: object = None, **options: Any) -> Path:
    """A checkpoint as published: weights and arguments among what training needs."""
    arguments = argparse.Namespace(**ARGUMENTS) if arguments is None else arguments
    checkpoint = {"epoch": 3, "global_step": 7, "state_dict": state, "args": arguments, "optimizer": {"state": {}}}
    torch.save(checkpoint, path, **options)
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(tmp_path / "checkpoint.pt", weights())


def test_the_weights_are_loaded_and_the_second_names_dropped(checkpoint: Path) -> None:
    model = load_published(checkpoint)
    wanted = weights()
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, wanted[name])


def test_mnist_is_padded_and_binary() -> None:
    config = Arguments.model_validate(ARGUMENTS).model_config_of()
    assert (config.image_size, config.pad, config.image_channels) == (28, 2, 1)
    assert config.likelihood == Bernoulli()


@pytest.mark.parametrize(
    ("dataset", "size"),
    [("cifar10", 32), ("imagenet_32", 32), ("celeba_64", 64), ("celeba_256", 256), ("ffhq", 256)],
)
def test_colour_images_have_the_published_mixture(dataset: str, size: int) -> None:
    config = Arguments.model_validate(ARGUMENTS | {"dataset": dataset, "num_x_bits": 5}).model_config_of()
    assert (config.image_size, config.pad, config.image_channels) == (size, 0, 3)
    assert config.likelihood == DMOL(mixtures=10, bits=5, edge_rule="reference-nvae")


def test_one_mixture_component_means_the_gaussian_head() -> None:
    arguments = ARGUMENTS | {"dataset": "celeba_256", "num_mixture_dec": 1, "num_x_bits": 5}
    assert Arguments.model_validate(arguments).model_config_of().likelihood == Normal(bits=5)


def test_arguments_that_older_checkpoints_lack_are_filled(tmp_path: Path) -> None:
    assert {"ada_groups", "min_groups_per_scale", "num_mixture_dec"}.isdisjoint(ARGUMENTS)
    config = Arguments.model_validate(ARGUMENTS).model_config_of()
    assert (config.ada_groups, config.min_groups_per_scale) == (False, 1)


def test_files_of_the_older_format_are_read_as_safely(tmp_path: Path) -> None:
    path = save(tmp_path / "old.pt", weights(), _use_new_zipfile_serialization=False)
    assert load_published(path).shapes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "lsun"}, "dataset 'lsun' is none of mnist, omniglot"),
        ({"arch_instance": "res_elu"}, "arch_instance"),
        ({"num_latent_scales": 1}, "one group in one scale is no hierarchy"),
    ],
)
def test_arguments_of_no_network_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = save(tmp_path / "checkpoint.pt", weights(), argparse.Namespace(**(ARGUMENTS | changes)))
    with pytest.raises(WeightsError, match=message):
        load_published(path)


def test_a_tensor_that_does_not_fit_is_named(tmp_path: Path) -> None:
    state = weights()
    state["stem.weight"] = torch.zeros(3, 1, 3, 3)
    del state["prior_ftr0"]
    with pytest.raises(WeightsError) as error:
        load_published(save(tmp_path / "checkpoint.pt", state | {"extra": torch.zeros(2)}))
    message = str(error.value)
    assert "stem.weight is 3x1x3x3, the configuration wants 2x1x3x3" in message
    assert "missing prior_ftr0" in message
    assert "no place for extra 2" in message


class Payload:
    """Pickles to a call that would create a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_refused_and_not_executed(tmp_path: Path, zipped: bool) -> None:
    target = tmp_path / "executed"
    arguments = argparse.Namespace(**ARGUMENTS, payload=Payload(target))
    path = save(tmp_path / "evil.pt", weights(), arguments, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="holds more than weights and arguments"):
        load_published(path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "no `state_dict` of tensors"),
        ({"state_dict": {"a": 1}}, "no `state_dict` of tensors"),
        ({"state_dict": {}}, "no `args`"),
    ],
)
def test_other_files_are_no_checkpoints(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=message):
        load_published(tmp_path / "other.pt")


def test_a_truncated_file_is_refused(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-200])
    with pytest.raises(WeightsError, match="damaged"):
        load_published(checkpoint)


def test_the_licence_is_printed_and_goes_into_the_manifest(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "nvlabs-nvae", str(checkpoint), "--name", "x", "--out", str(tmp_path / "zoo")]) == 0
    assert LICENCE in capsys.readouterr().out
    manifest = open_bundle(tmp_path / "zoo" / "x").manifest
    assert manifest.licence == LICENCE
    assert manifest.family == "nvae"
    assert manifest.provenance.imported is not None
    assert manifest.provenance.imported.source == "https://github.com/NVlabs/NVAE"


@pytest.mark.parametrize(
    ("publisher", "options", "message"),
    [
        ("nvlabs-nvae", ["--config", "cifar10"], "--config is for openai-vdvae; a checkpoint of nvlabs-nvae holds"),
        ("openai-vdvae", [], "openai-vdvae needs --config: one of cifar10, imagenet32"),
    ],
)
def test_configuration_is_asked_for_where_the_file_has_none(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    publisher: str,
    options: list[str],
    message: str,
) -> None:
    out = tmp_path / "zoo"
    assert main(["import", publisher, str(checkpoint), "--name", "x", "--out", str(out), *options]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()
