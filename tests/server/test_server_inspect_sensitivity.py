"""Sensitivity: the slope of the mean image with each temperature."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Settle

from server.gallery import render_means
from server.inspect_sensitivity import rms, slopes
from server.models import Model


def change(model: Model, recipe: object, step: float) -> list[float]:
    found = slopes(recipe, range(len(model.bundle.manifest.levels)), step)  # type: ignore[arg-type]
    return [rms(slope.per_tenth(render_means(model, slope.recipes, {}))) for slope in found]


def test_it_is_a_slope_and_does_not_depend_on_the_step(normal_model: Model, settle: Settle) -> None:
    """Half the step gives the same figure within 10%, where there is a figure to speak of."""
    recipe = settle(normal_model.bundle.manifest, temperature=0.8)
    wide, narrow = (np.array(change(normal_model, recipe, step)) for step in (0.01, 0.005))
    speaks = wide > 0.05
    assert speaks.any()
    np.testing.assert_allclose(narrow[speaks], wide[speaks], rtol=0.1)


def test_one_level_is_moved_and_the_others_stay(toy: Model, settle: Settle) -> None:
    recipe = settle(toy.bundle.manifest, temperature=[0.0, 0.5, 1.5, 1.0, 0.02])
    found = slopes(recipe, range(5), 0.05)
    assert [(slope.low, slope.high) for slope in found] == [
        (0, 0.05),
        (0.45, 0.55),
        (1.45, 1.5),
        (0.95, 1.05),
        (0, 0.07),
    ]
    for slope in found:
        for tau, moved in zip((slope.low, slope.high), slope.recipes, strict=True):
            expected = list(recipe.temperature)
            expected[slope.level] = tau
            assert moved == recipe.model_copy(update={"temperature": tuple(expected)})


def test_a_level_that_is_held_moves_nothing(toy: Model, settle: Settle) -> None:
    assert change(toy, settle(source={"example": 0}), 0.05) == [0.0] * 5
    kept = settle(source={"example": 0}, edits=[{"op": "keep", "levels": [0, 1]}])
    assert [value > 0 for value in change(toy, kept, 0.05)] == [False, False, True, True, True]


def test_the_unit_is_a_tenth_of_temperature(toy: Model, settle: Settle) -> None:
    (slope,) = slopes(settle(), [0], 0.05)
    values = np.stack([np.full((2, 2, 1), 10.0), np.full((2, 2, 1), 13.0)])
    np.testing.assert_allclose(slope.per_tenth(values), 3.0)
    assert rms(np.array([3.0, -4.0])) == pytest.approx(np.sqrt(12.5))
