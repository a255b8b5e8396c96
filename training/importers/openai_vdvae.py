"""Published Very Deep VAE checkpoints (github.com/openai/vdvae): `*-model.th` and `*-model-ema.th`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from training.importers.weights import Published, WeightsError, load_strict, read_state_dict
from training.likelihoods import DMOL
from training.models.vdvae import VDVAE, VDVAEConfig
from training.recipe import load_recipe

SOURCE = "https://github.com/openai/vdvae"
LICENCE = "MIT (OpenAI, openai/vdvae)"
NAMES = ("cifar10", "imagenet32", "imagenet64", "ffhq256", "ffhq1024")


class Hyperparameters(BaseModel):
    """The published hyper-parameters that fix the network, under their published names."""

    model_config = ConfigDict(extra="forbid")

    image_size: int
    image_channels: Literal[3] = 3
    width: int
    custom_width_str: str = ""
    zdim: int = 16
    bottleneck_multiple: float = 0.25
    no_bias_above: int = 64
    num_mixtures: int = 10
    dataset: str
    enc_blocks: str
    dec_blocks: str


class Configuration(BaseModel):
    """A JSON configuration: hyper-parameters, and network input = (value in 0..255 + data_shift) * data_scale."""

    model_config = ConfigDict(extra="forbid")

    hparams: Hyperparameters
    data_shift: float
    data_scale: float

    def model_config_of(self) -> VDVAEConfig:
        values: dict[str, Any] = self.hparams.model_dump()
        mixtures, dataset = values.pop("num_mixtures"), values.pop("dataset")
        bits = 5 if dataset == "ffhq_256" else 8
        likelihood = DMOL(mixtures=mixtures, bits=bits, edge_rule="reference-vdvae")
        return VDVAEConfig(**values, shift=self.data_shift, scale=self.data_scale, likelihood=likelihood)


def read_config(name_or_path: str) -> VDVAEConfig:
    """One of NAMES, or the path of a JSON file with `hparams`, `data_shift`, `data_scale`. Raises WeightsError."""
    if name_or_path in NAMES:
        config = load_recipe(f"vdvae-{name_or_path}").model
        assert isinstance(config, VDVAEConfig), "the shipped recipe of that name is one"
        return config
    path = Path(name_or_path)
    if not path.is_file():
        raise WeightsError(f"no configuration '{name_or_path}': give one of {', '.join(NAMES)}, or a .json file")
    try:
        return Configuration.model_validate_json(path.read_text(encoding="utf-8")).model_config_of()
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: {error}") from error


def load_published(path: Path, config: VDVAEConfig) -> VDVAE:
    """The model of `config` with the weights of a published file, in evaluation mode. Raises WeightsError.

    `*-model.th` files were saved from a distributed wrapper, so their names begin with "module."; averaged ones
    do not. Otherwise the names are those of `training.models.vdvae`.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in read_state_dict(path).items()}
    model = VDVAE(config)
    load_strict(model, state, path.name)
    return model.eval()


def published(path: Path, config: str) -> Published:
    """The model of the configuration called or filed `config`, and where it comes from. Raises WeightsError."""
    return Published(load_published(path, read_config(config)), "Very Deep VAE", SOURCE, LICENCE)
