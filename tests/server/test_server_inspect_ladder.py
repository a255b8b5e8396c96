"""The ladder: in each row one level is drawn again, all above stays, and below happens what was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Settle
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from server.gallery import render_latents
from server.inspect_ladder import held_from, ink_moved, ladder, measure, rows_of, unused_draw
from server.models import Model
from server.noise import normal
from server.recipe import ArrayName, Recipe, RecipeError
from server.resolve import Resolved, resolve
from server.sample import sample
from server.sources import ExampleImage, SeedSource

few = hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

MASK = {"resolution": 2, "rows": ["10", "00"]}
levels = st.lists(st.integers(0, 4), min_size=1, max_size=5)
others = st.sampled_from([{"seed": 9}, {"example": 1}])
edits = (
    st.fixed_dictionaries(
        {"op": st.just("swap"), "levels": levels, "source": others, "space": st.sampled_from(["latent", "noise"])},
        optional={"mask": st.just(MASK)},
    )
    | st.fixed_dictionaries(
        {"op": st.just("resample"), "levels": levels, "draw": st.integers(0, 5)}, optional={"mask": st.just(MASK)}
    )
    | st.fixed_dictionaries(
        {"op": st.just("interpolate"), "levels": levels, "source": others, "alpha": st.sampled_from([0.0, 0.5, 1.0])}
    )
)
keeps = st.fixed_dictionaries({"op": st.just("keep"), "levels": levels}, optional={"mask": st.just(MASK)})
rest = {
    "temperature": st.sampled_from([0.6, 1.0]),
    "levels": st.dictionaries(st.sampled_from("01234"), st.fixed_dictionaries({"draw": st.integers(0, 3)})),
}
recipes = st.fixed_dictionaries(
    {"source": st.sampled_from([{"seed": 1}, {"seed": 77}]), "edits": st.lists(edits, max_size=3), **rest}
) | st.fixed_dictionaries(
    {"source": st.just({"example": 0, "seed": 4}), "edits": st.lists(edits | keeps, max_size=3), **rest}
)
policies = st.sampled_from(["noise", "mean", "resample"])


def split(model: Model, latents: Any) -> list[Any]:
    return [latents[level.offset : level.offset + level.size] for level in model.bundle.manifest.levels]


@given(recipes, policies, st.lists(st.integers(0, 4), min_size=1, max_size=3))
@few
def test_a_cell_is_a_recipe_that_changes_its_levels_and_nothing_above(
    toy: Model, settle: Settle, document: dict[str, Any], below: Any, chosen: list[int]
) -> None:
    """Held against the noise itself: what is drawn again is mu + tau sigma eps with the draw's own eps."""
    base, manifest = settle(**document), toy.bundle.manifest
    (row,) = ladder(base, manifest, rows_of([tuple(chosen)], manifest), 2, None, below)
    for draw, cell in zip(row.draws, row.cells, strict=True):
        again = Recipe.model_validate(cell.model_dump(mode="json", by_alias=True))
        assert resolve(again, manifest, fresh_seed=lambda: 0, max_images=64) == cell

        arrays = sample(toy.engine, toy.examples, cell, ("latents", "prior_mean", "prior_scale")).arrays
        z, mean, scale = (split(toy, arrays[name][0]) for name in ("latents", "prior_mean", "prior_scale"))
        before = split(toy, render_latents(toy, [base], {})[0])
        for level in manifest.levels:
            index, tau = level.index, base.temperature[level.index]
            fresh = mean[index] + tau * scale[index] * normal(base.seeds[0], index, draw, level.size)
            if index < row.levels[0]:
                np.testing.assert_array_equal(z[index], before[index])
            elif index in row.levels or below == "resample":
                np.testing.assert_allclose(z[index], fresh, rtol=1e-5, atol=1e-5)
            elif below == "mean":
                np.testing.assert_array_equal(z[index], mean[index])


@given(recipes)
@few
def test_below_noise_levels_keep_the_noise_of_the_image_they_came_from(
    toy: Model, settle: Settle, document: dict[str, Any]
) -> None:

    base, manifest = settle(**document), toy.bundle.manifest
    (row,) = ladder(base, manifest, [(0,)], 1, None, "noise")
    names: tuple[ArrayName, ...] = ("latents", "prior_mean", "prior_scale")

    def residuals(recipe: Resolved) -> list[Any]:
        z, mean, scale = (split(toy, sample(toy.engine, toy.examples, recipe, names).arrays[name][0]) for name in names)
        return [(z[i] - mean[i]) / scale[i] for i in range(len(z))]

    after, before = residuals(row.cells[0]), residuals(base)
    alone = {ExampleImage(example=i): residuals(settle(source={"example": i})) for i in range(2)}
    for index in range(1, 5):
        held = held_from(base, index)
        partly = any(
            index in edit.levels and (getattr(edit, "mask", None) is not None or getattr(edit, "alpha", None) == 0.5)
            for edit in base.edits
        )
        if isinstance(held, ExampleImage):
            np.testing.assert_allclose(after[index], alone[held][index], rtol=1e-3, atol=1e-3)
        elif held is None and not partly:
            np.testing.assert_allclose(after[index], before[index], rtol=1e-3, atol=1e-3)


KEEP_0 = {"op": "keep", "levels": [0]}
SEED_3: dict[str, Any] = {"op": "swap", "levels": [2], "source": {"seed": 3}}


@pytest.mark.parametrize(
    ("source", "edits", "level", "held"),
    [
        ({"seed": 1}, [], 0, None),
        ({"example": 0}, [], 3, ExampleImage(example=0)),
        ({"example": 0}, [KEEP_0], 0, ExampleImage(example=0)),
        ({"example": 0}, [KEEP_0], 1, None),
        ({"seed": 1}, [SEED_3], 2, SeedSource(seed=3)),
        ({"example": 0}, [{**SEED_3, "space": "noise"}], 2, None),
        ({"example": 0}, [{"op": "resample", "levels": [2], "mask": MASK}], 2, None),
        ({"example": 0}, [{**SEED_3, "op": "interpolate", "alpha": 0.0}], 2, ExampleImage(example=0)),
        ({"example": 0}, [{**SEED_3, "op": "interpolate", "alpha": 1.0}], 2, SeedSource(seed=3)),
    ],
)
def test_which_image_a_level_is_held_from(
    settle: Settle, source: dict[str, Any], edits: list[dict[str, Any]], level: int, held: object
) -> None:
    assert held_from(settle(source=source, edits=edits), level) == held


def test_draws_begin_where_the_recipe_has_none(toy: Model, settle: Settle) -> None:
    base = settle(levels={"1": {"draw": 4}}, edits=[{"op": "resample", "levels": [0], "draw": 6}])
    assert unused_draw(base) == 7
    rows = ladder(base, toy.bundle.manifest, rows_of("groups", toy.bundle.manifest), 3, None, "mean")
    assert [row.levels for row in rows] == [(0,), (1, 2), (3, 4)]
    assert {row.draws for row in rows} == {(7, 8, 9)}
    assert ladder(base, toy.bundle.manifest, [(0,)], 2, 0, "noise")[0].draws == (0, 1)


def test_what_cannot_be_a_row_is_named(toy: Model, settle: Settle) -> None:
    manifest = toy.bundle.manifest
    with pytest.raises(RecipeError) as caught:
        rows_of([(0,), (9,), "3x3"], manifest)
    assert [fault.pointer for fault in caught.value.faults] == ["#/rows/1", "#/rows/2"]
    with pytest.raises(RecipeError, match="4294967295"):
        ladder(settle(), manifest, [(0,)], 2, 2**32 - 1, "noise")
    full = settle(edits=[{"op": "resample", "levels": [0]}] * 31)
    assert len(ladder(full, manifest, [(4,)], 1, None, "mean")) == 1
    with pytest.raises(RecipeError, match="at most 32"):
        ladder(full, manifest, [(0,)], 1, None, "mean")


@given(st.integers(1, 3), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_changes_are_what_a_loop_over_pixels_finds(draws: int, channels: int, seed: int) -> None:
    before, *after = np.random.default_rng(seed).integers(0, 256, (draws + 1, 3, 2, channels), np.uint8)
    change = measure(before, np.stack(after))
    for y in range(3):
        for x in range(2):
            moves = [abs(int(a[y, x, c]) - int(before[y, x, c])) for a in after for c in range(channels)]
            assert change.change[y, x] == pytest.approx(sum(moves) / len(moves))
            spreads = [np.std([float(a[y, x, c]) for a in after]) for c in range(channels)]
            assert change.deviation[y, x] == pytest.approx(np.mean(spreads))
    assert change.mean == pytest.approx(change.change.mean())
    assert (change.ink_moved is None) == (channels == 3)


def test_ink_that_does_not_move_and_ink_that_does() -> None:
    left, right = np.zeros((2, 1, 2, 1))
    left[0, 0], right[0, 1] = 255, 255
    assert ink_moved(left, np.stack([left, left])) == 0
    assert ink_moved(left, np.stack([right, left])) == 0.5
    assert ink_moved(np.zeros((1, 2, 1)), np.zeros((1, 1, 2, 1))) == 0
