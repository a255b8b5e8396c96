"""Rate maps: nothing is lost and nothing moved, whatever the grids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.manifest import Image
from server.encode import encode
from server.inspect_kl import rate_maps, spread
from server.models import Model


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_grid_is_spread_over_the_pixels_that_its_area_covers(h: int, w: int, H: int, W: int, seed: int) -> None:
    grid = np.random.default_rng(seed).exponential(size=(h, w))
    made = spread(grid, Image(height=H, width=W, channels=1, bits=8))
    assert made.shape == (H, W)
    assert made.sum() == pytest.approx(grid.sum())
    for y in range(H):
        for x in range(W):
            expected = 0.0
            for row in range(h):
                for column in range(w):
                    down = max(0.0, min((y + 1) / H, (row + 1) / h) - max(y / H, row / h)) * h
                    across = max(0.0, min((x + 1) / W, (column + 1) / w) - max(x / W, column / w)) * w
                    expected += grid[row, column] * down * across
            assert made[y, x] == pytest.approx(expected, abs=1e-12)


def test_maps_add_up_to_the_rates(any_model: Model) -> None:
    manifest = any_model.bundle.manifest
    encoding = encode(any_model.engine, np.asarray(any_model.examples[0]))
    rates = rate_maps(encoding.kl, manifest)
    pixels = manifest.image.height * manifest.image.width
    for level, rate, nats in zip(manifest.levels, rates.levels, encoding.rates, strict=True):
        assert rate.nats.shape == (level.height, level.width)
        assert rate.nats.sum() == pytest.approx(nats, rel=1e-6, abs=1e-6)
        assert rate.density.mean() * pixels == pytest.approx(rate.bits, rel=1e-6, abs=1e-6)
    for name, levels in manifest.groups.items():
        assert rates.groups[name].bits == pytest.approx(sum(rates.levels[level].bits for level in levels))
    assert rates.image.bits == pytest.approx(sum(encoding.rates) / math.log(2), rel=1e-5)
    assert rates.image.density.sum() == pytest.approx(rates.image.bits)
    assert rates.highest == max(rate.density.max() for rate in (*rates.levels, *rates.groups.values(), rates.image))
