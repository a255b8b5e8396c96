"""Where the bits of an image go: KL(q || p) of each level over its own grid, and over the image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Image, Level, Manifest

Floats = NDArray[np.float64]

BIT = math.log(2)


@dataclass(frozen=True)
class RateMap:
    """Nats at each position of a grid, [H, W], summed over channels; `density` is the same in bits a pixel."""

    nats: Floats
    density: Floats

    @property
    def bits(self) -> float:
        return float(self.nats.sum()) / BIT


@dataclass(frozen=True)
class Rates:
    """The map of each level, of each resolution (its levels together), and of the whole image at its own size."""

    levels: tuple[RateMap, ...]
    groups: Mapping[str, RateMap]
    image: RateMap

    @property
    def highest(self) -> float:
        """The largest density of any map, in bits a pixel."""
        maps = (*self.levels, *self.groups.values(), self.image)
        return max(float(rate.density.max()) for rate in maps)


def rate_maps(kl: NDArray[np.float32], manifest: Manifest) -> Rates:
    """Split element-wise KL [N] in nats into maps."""
    grids = [_grid(kl, level) for level in manifest.levels]
    over_image = sum((spread(grid, manifest.image) for grid in grids), np.zeros(_size(manifest.image)))
    groups = {name: np.sum([grids[level] for level in levels], axis=0) for name, levels in manifest.groups.items()}
    return Rates(
        levels=tuple(_map(grid, manifest.image) for grid in grids),
        groups={name: _map(grid, manifest.image) for name, grid in groups.items()},
        image=_map(over_image, manifest.image),
    )


def spread(grid: Floats, image: Image) -> Floats:
    """A level's grid over the image [H, W]: each position's part goes to the pixels that its area covers.

    The grid lies over the whole image, as masks do, and nothing is lost: both have the same sum.
    """
    return _shares(grid.shape[0], image.height) @ grid @ _shares(grid.shape[1], image.width).T


def _shares(cells: int, pixels: int) -> Floats:
    """[pixels, cells]: the share of each cell that lies in each pixel; each column sums to 1."""
    cell, pixel = np.arange(cells)[None] / cells, np.arange(pixels)[:, None] / pixels
    overlap = np.minimum(cell + 1 / cells, pixel + 1 / pixels) - np.maximum(cell, pixel)
    return overlap.clip(min=0) * cells


def _grid(kl: NDArray[np.float32], level: Level) -> Floats:
    part = kl[level.offset : level.offset + level.size].astype(np.float64)
    return part.reshape(level.channels, level.height, level.width).sum(axis=0)


def _map(nats: Floats, image: Image) -> RateMap:
    pixels = image.height * image.width / nats.size  # that one position stands for
    return RateMap(nats, nats / BIT / pixels)


def _size(image: Image) -> tuple[int, int]:
    return image.height, image.width
