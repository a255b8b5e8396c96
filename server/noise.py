"""Addressed noise: the same (seed, level, draw) always gives the same numbers, whatever else is computed.

Raw words come from the counter-based generator Philox-4x64 (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", 2011), whose stream NumPy keeps stable across versions; NumPy's own normal distribution is not (NEP 19),
so the transform is ours (Box and Muller, 1958). Changing anything here changes every image ever made from a seed:
give it a new name and recipe version instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

RNG = "philox-bm-1"
OUTPUT_LEVEL = -1  # the noise of p(x|z) is one more level

_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)


class Address(NamedTuple):
    """Where noise is, under a seed, and how much of it is wanted."""

    level: int
    draw: int
    size: int


def normal(seed: int, level: int, draw: int, count: int) -> NDArray[np.float32]:
    """`count` independent standard normal numbers, [count] float32. At most 6.8 in size (32-bit uniforms)."""
    return normals(seed, [Address(level, draw, count)])


def normals(seed: int, addresses: Sequence[Address]) -> NDArray[np.float32]:
    """The standard normal numbers of several addresses, one after the other: one transform for them all."""
    radius, angle = _uniform_pairs(seed, addresses)
    radius = np.sqrt(-2.0 * np.log(radius))
    angle = 2.0 * np.pi * angle
    return _in_a_row(radius * np.cos(angle), radius * np.sin(angle), addresses).astype(np.float32)


def uniform(seed: int, level: int, draw: int, count: int) -> Doubles:
    """`count` independent numbers, [count] float64, uniform in the open interval (0, 1)."""
    address = Address(level, draw, count)
    return _in_a_row(*_uniform_pairs(seed, [address]), [address])


def _uniform_pairs(seed: int, addresses: Sequence[Address]) -> tuple[Doubles, Doubles]:
    """The high and the low half of each 64-bit word, at the middle of their 2^-32 wide cells: never 0, never 1."""
    words = np.concatenate([*_words(seed, addresses)]) if addresses else np.empty(0, np.uint64)
    high, low = (words >> _HALF).astype(np.float64), (words & _LOW).astype(np.float64)
    return (high + 0.5) * 2.0**-32, (low + 0.5) * 2.0**-32


def _words(seed: int, addresses: Sequence[Address]) -> Iterator[NDArray[np.uint64]]:
    """One word for every two numbers. The generator is set to each address: a new one would take longer to make."""
    generator = np.random.Philox(key=0)
    state = generator.state
    for level, draw, size in addresses:
        state["state"]["key"] = np.array([seed, (level & 0xFFFF_FFFF) << 32 | draw], dtype=np.uint64)
        generator.state = state
        yield generator.random_raw((size + 1) // 2)


def _in_a_row(first: Doubles, second: Doubles, addresses: Sequence[Address]) -> Doubles:
    """The numbers of each word one after the other; an odd size leaves out the last one of its words."""
    flat = np.stack([first, second], axis=1).reshape(-1)
    unwanted, end = [], 0
    for _, _, size in addresses:
        end += size + size % 2
        unwanted += [end - 1] * (size % 2)
    return np.delete(flat, unwanted) if unwanted else flat
