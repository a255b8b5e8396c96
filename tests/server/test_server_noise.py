"""Noise has an address: (seed, level, draw). These values are for ever; other values need another name than RNG."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.fields import MAX_DRAW, MAX_SEED
from server.noise import OUTPUT_LEVEL, RNG, Address, normal, normals, uniform

seeds = st.integers(0, MAX_SEED)
levels = st.integers(OUTPUT_LEVEL, 100)
draws = st.integers(0, MAX_DRAW)


@pytest.mark.parametrize(
    ("address", "golden"),
    [
        ((42, 0, 0), [-0.20313828, 0.59594756, -1.1844527, 1.3879809]),
        ((7, OUTPUT_LEVEL, 2), [0.66376436, -0.41696745, -0.733757, -1.6203249]),
        ((MAX_SEED, 42, MAX_DRAW), [-0.5529424, 0.038398247, 0.48879537, 1.4928994]),
    ],
)
def test_golden_normals(address: tuple[int, int, int], golden: list[float]) -> None:
    assert RNG == "philox-bm-1"
    np.testing.assert_array_equal(normal(*address, 4), np.array(golden, np.float32))


def test_golden_uniforms() -> None:
    np.testing.assert_allclose(uniform(42, OUTPUT_LEVEL, 0, 3), [0.65772714, 0.78151434, 0.22515257], rtol=0, atol=1e-8)


def test_normals_have_the_bits_of_their_definition() -> None:
    """Box and Muller's cosine and sine, rounded to float32: two million numbers, some of which are in doubt."""
    for seed in range(100):
        u, v = uniform(seed, 3, 1, 20_000).reshape(-1, 2).T
        radius, angle = np.sqrt(-2.0 * np.log(u)), 2.0 * np.pi * v
        expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
        np.testing.assert_array_equal(normal(seed, 3, 1, 20_000).view(np.int32), expected.reshape(-1).view(np.int32))


@given(seeds, levels, draws, st.integers(0, 50), st.integers(0, 50))
def test_a_shorter_request_is_the_beginning_of_a_longer_one(
    seed: int, level: int, draw: int, count: int, more: int
) -> None:
    np.testing.assert_array_equal(normal(seed, level, draw, count), normal(seed, level, draw, count + more)[:count])


@given(seeds, st.lists(st.builds(Address, levels, draws, st.integers(0, 9)), max_size=6))
def test_several_addresses_at_once_have_the_numbers_of_each(seed: int, addresses: list[Address]) -> None:
    each = [normal(seed, *address) for address in addresses]
    np.testing.assert_array_equal(normals(seed, addresses), np.concatenate([np.zeros(0, np.float32), *each]))


@given(st.tuples(seeds, levels, draws), st.tuples(seeds, levels, draws))
def test_different_addresses_have_different_noise(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert np.array_equal(normal(*one, 8), normal(*other, 8)) == (one == other)


def test_normals_are_standard_and_uniforms_uniform() -> None:
    z, u = normal(1, 2, 3, 400_000).astype(np.float64), uniform(1, 2, 3, 400_000)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    assert abs((z**4).mean() - 3) < 0.1
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 0.01
    assert 0 < u.min() < u.max() < 1
    np.testing.assert_allclose(np.histogram(u, 10, (0, 1))[0], 40_000, rtol=0.02)
