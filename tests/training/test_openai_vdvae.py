"""Published VDVAE checkpoints: what is accepted, and what is said when one does not fit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from tiny_recipe import tiny_config

from training.__main__ import main
from training.importers.openai_vdvae import load_published, read_config
from training.importers.weights import WeightsError
from training.models.vdvae import VDVAE

HPARAMS = {
    "zdim": 2,
    "image_channels": 3,
    "width": 8,
    "bottleneck_multiple": 0.5,
    "num_mixtures": 2,
    "dataset": "ffhq_256",
    "image_size": 8,
    "enc_blocks": "8x1,8d2,4d4,1x1",
    "dec_blocks": "1x1,4m1,8m4",
}


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"hparams": HPARAMS, "data_shift": -112.9, "data_scale": 0.0143}))
    return path


@pytest.fixture
def published(config_file: Path, tmp_path: Path) -> Path:
    """A state dict as the published files hold it."""
    torch.manual_seed(0)
    path = tmp_path / "model-ema.th"
    torch.save(VDVAE(read_config(str(config_file))).state_dict(), path)
    return path


def test_the_published_configurations_are_known_by_name() -> None:
    assert read_config("cifar10").width == 384
    assert read_config("ffhq256").likelihood.model_dump()["bits"] == 5


def test_five_bits_and_the_published_edge_rule_belong_to_ffhq_256(config_file: Path) -> None:
    likelihood = read_config(str(config_file)).likelihood
    assert likelihood.model_dump() == {"kind": "dmol", "mixtures": 2, "bits": 5, "edge_rule": "reference-vdvae"}


def test_an_unknown_configuration_lists_the_known_ones() -> None:
    with pytest.raises(WeightsError, match="cifar10, imagenet32, imagenet64, ffhq256, ffhq1024"):
        read_config("cifar100")


def test_an_unknown_hyper_parameter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"hparams": HPARAMS | {"wdith": 3}, "data_shift": 0, "data_scale": 1}))
    with pytest.raises(WeightsError, match=r"hparams\.wdith"):
        read_config(str(path))


def test_weights_saved_from_a_distributed_wrapper_are_the_same_weights(published: Path, config_file: Path) -> None:
    config = read_config(str(config_file))
    plain = load_published(published, config)
    wrapped = published.with_name("model.th")
    torch.save({f"module.{name}": tensor for name, tensor in plain.state_dict().items()}, wrapped)
    for name, tensor in load_published(wrapped, config).state_dict().items():
        assert torch.equal(tensor, plain.state_dict()[name])


def test_a_checkpoint_of_another_configuration_names_tensors_and_shapes(published: Path) -> None:
    other = tiny_config()
    with pytest.raises(WeightsError) as error:
        load_published(published, other)
    message = str(error.value)
    assert "model-ema.th does not fit the configuration" in message
    assert "encoder.in_conv.weight is 8x3x3x3, the configuration wants" in message
    assert "missing encoder.enc_blocks.4.c1.weight 4x8x1x1" in message


def test_a_tensor_without_a_place_is_named(published: Path, config_file: Path) -> None:
    state = torch.load(published, weights_only=True)
    torch.save(state | {"decoder.extra": torch.zeros(2, 3)}, published)
    with pytest.raises(WeightsError, match="no place for decoder.extra 2x3"):
        load_published(published, read_config(str(config_file)))


class Payload:
    """Pickles to a call that would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_pickled_code_is_refused_and_not_executed(config_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "executed"
    torch.save({"weight": Payload(target)}, tmp_path / "evil.th")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        load_published(tmp_path / "evil.th", read_config(str(config_file)))
    assert not target.exists()


def test_a_truncated_file_is_refused(published: Path, config_file: Path) -> None:
    published.write_bytes(published.read_bytes()[:-200])
    with pytest.raises(WeightsError, match="damaged"):
        load_published(published, read_config(str(config_file)))


def test_the_command_prints_one_message_and_writes_nothing(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, out = tmp_path / "missing.th", tmp_path / "zoo"
    arguments = [str(missing), "--config", str(config_file), "--name", "x", "--out", str(out)]
    assert main(["import", "openai-vdvae", *arguments]) == 1
    assert capsys.readouterr().err == f"error: no file {missing}\n"
    assert not out.exists()
