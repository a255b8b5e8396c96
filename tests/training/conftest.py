"""A tiny model and its images, made once: what the tests of training share."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_recipe import blobs, tiny_config

from training.models.vdvae import VDVAE

hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def tiny_model() -> VDVAE:
    """Four levels at 1x1, 4x4 and 8x8, with priors that differ from level to level. Do not change it."""
    torch.manual_seed(0)
    model = VDVAE(tiny_config()).eval()
    with torch.no_grad():
        for block in model.decoder.dec_blocks:
            block.get_parameter("prior.c4.weight").normal_(std=0.3)  # as published it starts at 0: every prior the same
    return model


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """Twelve black and white images [12, 8, 8, 1]."""
    return blobs(12)
