"""A hard density in the plane that is known exactly: two interleaved spirals of many narrow Gaussians."""

from __future__ import annotations

import math

import torch
from torch import Tensor

COMPONENTS = 200  # 100 an arm
SCALE = 0.06  # of each component
RADIUS = 3.0
TURNS = 1.5


def means() -> Tensor:
    """Of the components, [COMPONENTS, 2]. They thin out nowhere: a spiral's length grows as its radius squared."""
    radius = RADIUS * torch.linspace(0.25, 1, COMPONENTS // 2).sqrt()
    angle = 2 * math.pi * TURNS * radius / RADIUS
    arm = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return torch.cat([arm, -arm])


def draw(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Points, [*shape, 2]."""
    chosen = torch.randint(COMPONENTS, shape, generator=generator)
    return means()[chosen] + SCALE * torch.randn(*shape, 2, generator=generator)


def log_density(points: Tensor) -> Tensor:
    """log p of points [..., 2], in nats: exact, a mixture of COMPONENTS equal Gaussians."""
    squares = (points.unsqueeze(-2) - means()).square().sum(-1) / SCALE**2
    return (-squares / 2).logsumexp(-1) - math.log(COMPONENTS * 2 * math.pi * SCALE**2)
