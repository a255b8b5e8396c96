"""Latents of all levels as one packed vector, and the rule that chooses them.

Latents travel packed (DESIGN.md, "The bundle"): [B, N] with N the sum of C*H*W over the levels, top level first,
each level in C, H, W order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor


class LatentShape(NamedTuple):
    """The shape of one level's latent."""

    channels: int
    height: int
    width: int

    @property
    def size(self) -> int:
        return self.channels * self.height * self.width


def pack(latents: Sequence[Tensor]) -> Tensor:
    """Levels [B, C_l, H_l, W_l], top first -> [B, N]. Neighbours of one resolution are joined by one operator."""
    runs = [list(run) for _, run in groupby(latents, key=lambda z: z.shape[2:])]
    return torch.cat([torch.cat(run, dim=1).flatten(1) for run in runs], dim=1)


def unpack(packed: Tensor, shapes: Sequence[LatentShape]) -> list[Tensor]:
    """[B, N] -> levels [B, C_l, H_l, W_l], top first. Inverse of `pack`."""
    runs = [list(run) for _, run in groupby(shapes, key=lambda shape: shape[1:])]
    parts = packed.split([sum(shape.size for shape in run) for run in runs], dim=1)
    levels: list[Tensor] = []
    for part, run in zip(parts, runs, strict=True):
        channels = [shape.channels for shape in run]
        levels += part.unflatten(1, (sum(channels), *run[0][1:])).split(channels, dim=1)
    return levels


def standard_noise(shapes: Sequence[LatentShape], batch: int, generator: torch.Generator) -> list[Tensor]:
    """Standard normal noise for one pass over `batch` images, a tensor a level, on the generator's device."""
    size = sum(shape.size for shape in shapes)
    return unpack(torch.randn(batch, size, generator=generator, device=generator.device), shapes)


def choose(mean: Tensor, scale: Tensor, noise: Tensor, given: Tensor, keep: Tensor, temperature: Tensor) -> Tensor:
    """The latent of one level: `given` where `keep`, else mean + temperature * scale * noise.

    All are [B, C, H, W], but the temperature [B, 1, 1, 1].
    """
    drawn = mean + temperature * scale * noise
    return torch.where(keep, given, drawn)
