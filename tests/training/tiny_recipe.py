"""A model that takes milliseconds, images that it can learn, and a recipe for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.models.vdvae import VDVAEConfig
from training.recipe import Recipe, parse_recipe

MODEL: dict[str, Any] = {
    "family": "vdvae",
    "image_size": 8,
    "image_channels": 1,
    "width": 8,
    "zdim": 2,
    "bottleneck_multiple": 0.5,
    "enc_blocks": "8x1,8d2,4x1,4d4,1x1",
    "dec_blocks": "1x1,4m1,8m4,8x1",
    "shift": -127.5,
    "scale": 0.0078125,
    "likelihood": {"kind": "bernoulli"},
}


def tiny_config(**changes: Any) -> VDVAEConfig:
    """The tiny model's configuration with some values changed. Raises ValidationError as a recipe would."""
    return VDVAEConfig.model_validate(MODEL | changes)


def tiny_values(**changes: Any) -> dict[str, Any]:
    """A recipe as plain values, without randomness but the model's; `changes` go to the section `schedule`."""
    return {
        "name": "tiny",
        "data": {"format": "idx", "path": "tiny", "name": "blobs", "binarise": "dynamic"},
        "model": MODEL,
        "optimiser": {"lr": 0.005, "betas": [0.9, 0.99], "clip_norm": 10.0},
        "schedule": {"steps": 30, "batch_size": 4, "warmup_steps": 3, "log_every": 1, "save_every": 5} | changes,
    }


def tiny_recipe(**changes: Any) -> Recipe:
    return parse_recipe(tiny_values(**changes), "tiny")


def blobs(count: int) -> NDArray[np.uint8]:
    """White squares on black, uint8 [count, 8, 8, 1]."""
    images = np.zeros((count, 8, 8, 1), np.uint8)
    for index, (row, column) in enumerate(np.random.default_rng(0).integers(0, 5, (count, 2))):
        images[index, row : row + 4, column : column + 4] = 255
    return images


def write_idx(folder: Path, images: NDArray[np.uint8]) -> None:
    """`images` as the training and the test files of an IDX data set."""
    folder.mkdir(parents=True)
    header = bytes([0, 0, 8, 3]) + np.array(images.shape[:3], ">u4").tobytes()
    for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"):
        (folder / name).write_bytes(header + images.tobytes())
