"""A tiny model of every family, with random weights of which none is zero: what the tests of the contract run over."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import TypeAdapter
from tiny_recipe import MODEL
from torch import nn

from training.models.contract import HierarchicalVAE
from training.models.families import Model, build

IMAGE: dict[str, Any] = {"image_size": 8, "image_channels": 1, "likelihood": {"kind": "bernoulli"}}
COLOUR: dict[str, Any] = {"image_size": 8, "image_channels": 3, "likelihood": {"kind": "dmol", "mixtures": 2}}
DENSE: dict[str, Any] = {"family": "ladder", "network": "dense", "latents": [2, 3, 4], "hidden": [6, 8, 10]}
CONV: dict[str, Any] = {
    "family": "ladder", "network": "conv", "latents": [3, 2, 2], "widths": [8, 8, 6], "halvings": [1, 0, 1],
    "image_width": 4, "blocks_per_level": 1,
}  # fmt: skip
NVAE: dict[str, Any] = {
    "family": "nvae", "num_latent_scales": 2, "num_groups_per_scale": 2, "num_latent_per_group": 2,
    "num_channels_enc": 4, "num_channels_dec": 4, "num_preprocess_blocks": 1, "num_preprocess_cells": 2,
    "num_cell_per_cond_enc": 1, "num_cell_per_cond_dec": 1, "num_postprocess_blocks": 1, "num_postprocess_cells": 2,
}  # fmt: skip

FAMILIES: dict[str, dict[str, Any]] = {
    "vdvae": MODEL,
    "vdvae-colour": MODEL | COLOUR,
    "lvae-dense": IMAGE | DENSE | {"inference": "ladder"},
    "hvae-dense": IMAGE | DENSE | {"inference": "bottom-up"},
    "vae-dense": IMAGE | DENSE | {"latents": [4], "hidden": [10]},
    "lvae-conv": IMAGE | CONV,
    "lvae-conv-padded": IMAGE | CONV | {"image_size": 4, "pad": 2, "image_blocks": 0, "widths": [8, 6, 6]},
    "nvae": IMAGE | NVAE,
    "nvae-flows": COLOUR | NVAE | {"num_nf": 1},
    "autoregressive": IMAGE
    | {
        "image_size": 4,
        "family": "autoregressive",
        "width": 6,
        "middle": 4,
        "blocks": 2,
        "first_kernel": 3,
        "kernel": 3,
    },
}


def tiny(name: str) -> HierarchicalVAE:
    """The tiny model of FAMILIES called `name`, in evaluation mode. Its batch norms have seen images."""
    torch.manual_seed(0)
    config: Model = TypeAdapter(Model).validate_python(FAMILIES[name])
    model = build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model.eval()
