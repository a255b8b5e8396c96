"""The temperature scale and the presets of the rail.

The rail shows 0 to 1.5, stretched between 0.3 and 1.1 where samples change most; `static/strata.js` has the same three
pieces. Presets are functions of the number of levels, so they mean the same thing for every model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

TOP = 1.5
KNOTS = ((0.0, 0.0), (0.3, 15.0), (1.1, 88.0), (1.5, 100.0))  # temperature, percent of the track
TICKS = (0.0, 0.3, 0.5, 0.7, 1.0, 1.5)

HOT, COOL = 0.9, 0.6  # the ends of the falling presets

Temperatures = tuple[float, ...]


def position(temperature: float) -> float:
    """Where a temperature stands on the track, in percent."""
    for (low, start), (high, end) in zip(KNOTS, KNOTS[1:], strict=False):
        if temperature <= high:
            return start + (end - start) * (temperature - low) / (high - low)
    return 100.0


def clean(values: Sequence[float]) -> Temperatures:
    """On the scale and to two decimals, as the rail shows them."""
    return tuple(min(max(round(value, 2), 0.0), TOP) + 0.0 for value in values)


def flat(levels: int, selected: int) -> Temperatures:
    """The prior itself: 1 everywhere."""
    return (1.0,) * levels


def linear(levels: int, selected: int) -> Temperatures:
    """Falls evenly from 0.9 at the top to 0.6 at the last level."""
    return clean([HOT + (COOL - HOT) * _along(level, levels) for level in range(levels)])


def mean_below(levels: int, selected: int) -> Temperatures:
    """1 down to the selected level and 0, the mean of the prior, below it."""
    return tuple(1.0 if level <= selected else 0.0 for level in range(levels))


def cosine(levels: int, selected: int) -> Temperatures:
    """Falls from 0.9 to 0.6 along half a cosine: slowly at both ends."""
    return clean(
        [COOL + (HOT - COOL) * 0.5 * (1 + math.cos(math.pi * _along(level, levels))) for level in range(levels)]
    )


PRESETS: dict[str, Callable[[int, int], Temperatures]] = {
    "flat": flat,
    "linear": linear,
    "mean_below": mean_below,
    "cosine": cosine,
}


def with_locks(new: Sequence[float], old: Sequence[float], locks: Collection[int]) -> Temperatures:
    """`new`, but locked levels stay where they are in `old`."""
    return tuple(old[level] if level in locks else value for level, value in enumerate(new))


def in_words(values: Sequence[float]) -> str:
    """ "0.90" when all are equal, "0.90 → 0.60" from the top to the last otherwise."""
    if len(set(values)) == 1:
        return f"{values[0]:.2f}"
    if values[0] == values[-1]:
        return f"{min(values):.2f} to {max(values):.2f}"
    return f"{values[0]:.2f} → {values[-1]:.2f}"


def _along(level: int, levels: int) -> float:
    return level / max(levels - 1, 1)
