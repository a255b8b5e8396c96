"""The families as one: the union that a recipe's `model` section may be, and how its network is built."""

from __future__ import annotations

from training.models.contract import HierarchicalVAE
from training.models.vdvae import VDVAE, VDVAEConfig

Model = VDVAEConfig


def build(config: Model) -> HierarchicalVAE:
    """A network with fresh weights, drawn from torch's global generator."""
    return VDVAE(config)
