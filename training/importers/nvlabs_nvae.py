"""Published NVAE checkpoints (github.com/NVlabs/NVAE): `checkpoint.pt`, weights and arguments in one dictionary."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from training.importers.weights import Published, WeightsError, load_strict
from training.likelihoods import DMOL, Bernoulli, Likelihood, Normal
from training.models.nvae import NVAE, NVAEConfig

SOURCE = "https://github.com/NVlabs/NVAE"
LICENCE = "NVIDIA Source Code License for NVAE: non-commercial use only (research or evaluation)"
NOTICE = (
    f"These weights are NVIDIA's, under the {LICENCE}. That covers whatever you make from them, this bundle included."
)

IMAGE_SIZES = {"mnist": 28, "omniglot": 28, "cifar10": 32, "imagenet_32": 32, "celeba_64": 64, "celeba_256": 256,
               "ffhq": 256}  # fmt: skip
BINARY = ("mnist", "omniglot")  # padded by 2 pixels on each side


class Arguments(BaseModel):
    """The published arguments that fix the network; those of training alone are ignored.

    Older checkpoints lack some: the defaults are what their code did.
    """

    model_config = ConfigDict(extra="ignore")

    dataset: str
    arch_instance: Literal["res_mbconv"]
    num_x_bits: int = 8
    num_latent_scales: int
    num_groups_per_scale: int
    num_latent_per_group: int
    ada_groups: bool = False
    min_groups_per_scale: int = 1
    num_channels_enc: int
    num_channels_dec: int
    num_preprocess_blocks: int
    num_preprocess_cells: int
    num_cell_per_cond_enc: int
    num_cell_per_cond_dec: int
    num_postprocess_blocks: int
    num_postprocess_cells: int
    num_mixture_dec: int = 10  # 1 stands for a single Gaussian
    num_nf: int = 0
    use_se: bool = False
    res_dist: bool = False

    def model_config_of(self) -> NVAEConfig:
        if self.dataset not in IMAGE_SIZES:
            raise ValueError(f"dataset '{self.dataset}' is none of {', '.join(IMAGE_SIZES)}")
        values = self.model_dump(exclude={"dataset", "arch_instance", "num_x_bits", "num_mixture_dec"})
        binary = self.dataset in BINARY
        return NVAEConfig(
            **values,
            image_size=IMAGE_SIZES[self.dataset],
            image_channels=1 if binary else 3,
            pad=2 if binary else 0,
            likelihood=self._likelihood(),
        )

    def _likelihood(self) -> Likelihood:
        if self.dataset in BINARY:
            return Bernoulli()
        if self.num_mixture_dec == 1:
            return Normal(bits=self.num_x_bits)
        return DMOL(mixtures=self.num_mixture_dec, bits=self.num_x_bits, edge_rule="reference-nvae")


def load_published(path: Path) -> NVAE:
    """The model of a published checkpoint, in evaluation mode. Raises WeightsError.

    Layers without weight normalisation saved their weight twice; the second name, `weight_normalized`, is dropped.
    """
    state, arguments = read_checkpoint(path)
    try:
        config = Arguments.model_validate(arguments).model_config_of()
    except (ValidationError, ValueError) as error:
        raise WeightsError(f"{path}: the arguments in it describe no network that can be built: {error}") from error
    model = NVAE(config)
    load_strict(model, {k: v for k, v in state.items() if not k.endswith(".weight_normalized")}, path.name)
    return model.eval()


def published(path: Path) -> Published:
    """The model and where it comes from. Raises WeightsError."""
    return Published(load_published(path), "NVAE", SOURCE, LICENCE, NOTICE)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the arguments. Nothing is unpickled but tensors, plain values and `argparse.Namespace`, which
    only holds values. Raises WeightsError.
    """
    if not path.is_file():
        raise WeightsError(f"no file {path}")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its zip and pickle readers raise
        raise WeightsError(f"{path} is damaged, or holds more than weights and arguments: {error}") from error
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    arguments = checkpoint.get("args") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} has no `state_dict` of tensors, which the published checkpoint.pt files have")
    if not isinstance(arguments, argparse.Namespace):
        raise WeightsError(f"{path} has no `args`, which the published checkpoint.pt files have")
    return state, vars(arguments)
