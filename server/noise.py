"""Addressed noise: the same (seed, level, draw) always gives the same numbers, whatever else is computed.

Raw words come from the counter-based generator Philox-4x64 (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", 2011), whose stream NumPy keeps stable across versions; NumPy's own normal distribution is not (NEP 19),
so the transform is ours (Box and Muller, 1958). Changing anything here changes every image ever made from a seed:
give it a new name and recipe version instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RNG = "philox-bm-1"
OUTPUT_LEVEL = -1  # the noise of p(x|z) is one more level

_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)


def normal(seed: int, level: int, draw: int, count: int) -> NDArray[np.float32]:
    """`count` independent standard normal numbers, [count] float32. At most 6.8 in size (32-bit uniforms)."""
    radius, angle = _uniform_pairs(seed, level, draw, (count + 1) // 2)
    radius = np.sqrt(-2.0 * np.log(radius))
    angle = 2.0 * np.pi * angle
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(-1)[:count].astype(np.float32)


def uniform(seed: int, level: int, draw: int, count: int) -> NDArray[np.float64]:
    """`count` independent numbers, [count] float64, uniform in the open interval (0, 1)."""
    return np.stack(_uniform_pairs(seed, level, draw, (count + 1) // 2), axis=1).reshape(-1)[:count]


def _uniform_pairs(seed: int, level: int, draw: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The high and the low half of each 64-bit word, at the middle of their 2^-32 wide cells: never 0, never 1."""
    key = np.array([seed, (level & 0xFFFF_FFFF) << 32 | draw], dtype=np.uint64)
    words = np.random.Philox(key=key).random_raw(count)
    high, low = (words >> _HALF).astype(np.float64), (words & _LOW).astype(np.float64)
    return (high + 0.5) * 2.0**-32, (low + 0.5) * 2.0**-32
