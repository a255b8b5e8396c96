"""The families as one: the union that a recipe's `model` section may be, and how its network is built."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from training.models.autoregressive import Autoregressive, AutoregressiveConfig
from training.models.contract import HierarchicalVAE
from training.models.ladder_conv import ConvLadder, ConvLadderConfig
from training.models.ladder_dense import DenseLadder, DenseLadderConfig
from training.models.nvae import NVAE, NVAEConfig
from training.models.vdvae import VDVAE, VDVAEConfig

Ladder = Annotated[DenseLadderConfig | ConvLadderConfig, Field(discriminator="network")]
Model = Annotated[VDVAEConfig | NVAEConfig | Ladder | AutoregressiveConfig, Field(discriminator="family")]


def build(config: Model) -> HierarchicalVAE:
    """A network with fresh weights, drawn from torch's global generator."""
    match config:
        case VDVAEConfig():
            return VDVAE(config)
        case NVAEConfig():
            return NVAE(config)
        case DenseLadderConfig():
            return DenseLadder(config)
        case ConvLadderConfig():
            return ConvLadder(config)
        case AutoregressiveConfig():
            return Autoregressive(config)
