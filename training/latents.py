"""Latents of all levels as one packed vector, and the rule that chooses them.

Latents travel packed (DESIGN.md, "The bundle"): [B, N] with N the sum of C*H*W over the levels, top level first,
each level in C, H, W order.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """Levels [B, C_l, H_l, W_l], top first -> [B, N]."""
    return torch.cat([z.flatten(1) for z in latents], dim=1)


def unpack(packed: Tensor, shapes: Sequence[LatentShape]) -> list[Tensor]:
    """[B, N] -> levels [B, C_l, H_l, W_l], top first. Inverse of `pack`."""
    parts = packed.split([shape.size for shape in shapes], dim=1)
    return [part.unflatten(1, tuple(shape)) for part, shape in zip(parts, shapes, strict=True)]


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
