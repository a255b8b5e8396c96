"""Addressed noise: the same (seed, level, draw) always gives the same numbers, whatever else is computed.

Raw words come from the counter-based generator Philox-4x64 (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", 2011), whose stream NumPy keeps stable across versions; NumPy's own normal distribution is not (NEP 19),
so the transform is ours (Box and Muller, 1958). Changing anything here changes every image ever made from a seed:
give it a new name and recipe version instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Number = TypeVar("Number", np.float32, np.float64)

RNG = "philox-bm-1"
OUTPUT_LEVEL = -1  # the noise of p(x|z) is one more level
# More than two ways to compute one normal number can be apart. Rounded angles, a tangent within 4 units in the last
# place and a handful of roundings make 4e-15 of a radius, which is at most 6.8.
DOUBT = 2.0**-45

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


def normals(seed: int, addresses: Sequence[Address], words: Words | None = None) -> NDArray[np.float32]:
    """The standard normal numbers of several addresses, one after the other: one transform for them all.

    Whoever asks for many seeds brings `words`, since making them takes a while.
    Sine and cosine are the platform's, rounded to float32, but they are what takes longest. So the same numbers are
    made with one tangent, tan(pi u), which NumPy computes many at a time; where that could round to another float32,
    the definition is asked.
    """
    radius, part = _uniform_pairs((words or Words()).of(seed, addresses))
    radius = np.sqrt(-2.0 * np.log(radius))
    tangent = np.tan(np.pi * part)
    square = tangent * tangent
    scaled = radius / (1.0 + square)
    pairs = np.empty((len(radius), 2))
    np.multiply(scaled, 1.0 - square, out=pairs[:, 0])
    np.multiply(scaled, 2.0 * tangent, out=pairs[:, 1])
    rounded = (pairs - DOUBT).astype(np.float32)
    other = (pairs + DOUBT).astype(np.float32)
    if not np.array_equal(rounded, other):
        unsure = np.flatnonzero((rounded != other).any(axis=1))
        angle = 2.0 * np.pi * part[unsure]
        rounded[unsure, 0] = radius[unsure] * np.cos(angle)
        rounded[unsure, 1] = radius[unsure] * np.sin(angle)
    return _in_a_row(rounded, addresses)


def uniform(seed: int, level: int, draw: int, count: int) -> Doubles:
    """`count` independent numbers, [count] float64, uniform in the open interval (0, 1)."""
    address = Address(level, draw, count)
    return _in_a_row(np.stack(_uniform_pairs(Words().of(seed, [address])), axis=1), [address])


class Words:
    """Raw words of the generator at any address. It is set to each: a new one would take longer to make."""

    def __init__(self) -> None:
        self._generator = np.random.Philox(key=0)
        self._state = self._generator.state

    def of(self, seed: int, addresses: Sequence[Address]) -> NDArray[np.uint64]:
        """One word for every two numbers, one address after the other."""
        key, found = self._state["state"]["key"], [np.empty(0, np.uint64)]
        key[0] = seed
        for level, draw, size in addresses:
            key[1] = (level & 0xFFFF_FFFF) << 32 | draw
            self._generator.state = self._state
            found.append(self._generator.random_raw((size + 1) // 2))
        return np.concatenate(found)


def _uniform_pairs(words: NDArray[np.uint64]) -> tuple[Doubles, Doubles]:
    """The high and the low half of each 64-bit word, at the middle of their 2^-32 wide cells: never 0, never 1."""
    high, low = (words >> _HALF).astype(np.float64), (words & _LOW).astype(np.float64)
    return (high + 0.5) * 2.0**-32, (low + 0.5) * 2.0**-32


def _in_a_row(pairs: NDArray[Number], addresses: Sequence[Address]) -> NDArray[Number]:
    """The numbers of each word one after the other; an odd size leaves out the last one of its words."""
    unwanted, end = [], 0
    for _, _, size in addresses:
        end += size + size % 2
        unwanted += [end - 1] * (size % 2)
    flat = pairs.reshape(-1)
    return np.delete(flat, unwanted) if unwanted else flat
