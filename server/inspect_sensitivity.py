"""How much an image moves with the temperature of each level: which handles of the rail matter now.

Finite differences of the mean image before it is rounded to grey levels, so that small effects are not lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.fields import MAX_TEMPERATURE
from server.resolve import Resolved

Floats = NDArray[np.float64]

UNIT = "RMS change in grey levels per 0.1 of temperature"
TENTH = 0.1


@dataclass(frozen=True)
class Slope:
    """One level between two temperatures around its own, and the recipe at each."""

    level: int
    low: float
    high: float
    recipes: tuple[Resolved, Resolved]

    def per_tenth(self, images: Floats) -> Floats:
        """|dx| of its two images [2, H, W, C] for 0.1 of temperature, [H, W, C] in grey levels."""
        return np.abs(images[1] - images[0]) * (TENTH / (self.high - self.low))


def slopes(base: Resolved, levels: Sequence[int], step: float) -> tuple[Slope, ...]:
    """The recipes to compare, for each of these levels: `step` to both sides, or to one at the ends of the range."""
    return tuple(_slope(base, level, step) for level in levels)


def rms(change: Floats) -> float:
    return float(np.sqrt(np.square(change).mean()))


def _slope(base: Resolved, level: int, step: float) -> Slope:
    own = base.temperature[level]
    low, high = (round(tau, 6) for tau in (max(0.0, own - step), min(MAX_TEMPERATURE, own + step)))
    at = [
        base.model_copy(update={"temperature": (*base.temperature[:level], tau, *base.temperature[level + 1 :])})
        for tau in (low, high)
    ]
    return Slope(level, low, high, (at[0], at[1]))
