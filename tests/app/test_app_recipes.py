"""Recipes: what each edit changes, and that it changes nothing else."""

from __future__ import annotations

import base64
import copy
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from fake_api import FakeApi, make_card
from hypothesis import given
from hypothesis import strategies as st

from app import recipes
from app.client import Recipe

CARD = make_card()


def changed(recipe: Recipe, change: Callable[[Recipe], Recipe]) -> set[str]:
    """Keys that a change touches; the original must stay as it was."""
    before = copy.deepcopy(recipe)
    after = change(recipe)
    assert recipe == before
    return {key for key in before if before[key] != after[key]}


@pytest.fixture
def recipe() -> Recipe:
    return recipes.first(CARD)


def test_the_first_recipe_is_the_prior_at_the_models_own_temperature(recipe: Recipe) -> None:
    assert recipe["temperature"] == [1.0] * 4
    assert recipes.count(recipe) == 4
    assert recipe["edits"] == []


def test_a_model_that_gives_one_image_is_asked_for_one() -> None:
    assert recipes.first(make_card(limits={"max_images": 1}))["n"] == 1


def test_each_change_touches_its_own_key(recipe: Recipe) -> None:
    assert changed(recipe, lambda r: recipes.with_temperature(r, [0.5] * 4)) == {"temperature"}
    assert changed(recipe, lambda r: recipes.with_draw(r, [2], 3)) == {"levels"}
    assert changed(recipe, lambda r: recipes.with_output(r, "sample")) == {"output"}
    assert changed(recipe, lambda r: recipes.with_seed(r, 5)) == {"source"}
    assert changed(recipe, lambda r: recipes.page(r, 1)) == {"source"}
    assert changed(recipe, lambda r: recipes.with_images(r, 9)) == {"n"}


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_last_draw_counts_and_draw_0_leaves_no_trace(one: int, other: int) -> None:
    recipe = recipes.first(CARD)
    drawn = recipes.with_draw(recipes.with_draw(recipe, [1], one), [1], other)
    assert recipes.draw(drawn, 1) == other
    assert recipes.with_draw(drawn, [1], 0) == recipe


def test_a_level_at_its_mean_keeps_its_mode_when_drawn_again(recipe: Recipe) -> None:
    quiet = {**recipe, "levels": {"1": {"draw": 0, "mode": "mean"}, "2": {"draw": 4, "mode": "sample"}}}
    drawn = recipes.with_draw(recipes.with_draw(quiet, [1], 2), [2], 0)
    assert drawn["levels"] == {"1": {"mode": "mean", "draw": 2}}


def test_another_seed_starts_its_draws_again(recipe: Recipe) -> None:
    assert recipes.with_seed(recipes.with_draw(recipe, [1, 2], 3), 77)["levels"] == {}


def test_pages_of_seeds_neither_overlap_nor_leave_gaps(recipe: Recipe) -> None:
    later = recipes.page(recipe, 1)
    assert recipes.seed(later, 0) == recipes.seed(recipe, 3) + 1
    assert recipes.page(later, -1) == recipe
    assert recipes.seed(recipes.page(recipes.with_seed(recipe, 2), -1)) == 0


@pytest.mark.parametrize("value", [-5, recipes.MAX_SEED, recipes.MAX_SEED + 9])
def test_every_seed_of_a_page_exists(recipe: Recipe, value: int) -> None:
    moved = recipes.with_seed(recipe, value)
    assert recipes.seed(moved, 0) >= 0
    assert recipes.seed(moved, 3) <= recipes.MAX_SEED


def test_one_image_alone_has_its_own_seed(recipe: Recipe) -> None:
    one = recipes.single(recipe, 2)
    assert (one["n"], recipes.seed(one)) == (1, recipes.seed(recipe, 2))


def test_one_image_alone_takes_from_its_own_partner(recipe: Recipe) -> None:
    edit = {"op": "swap", "levels": [0], "source": {"seeds": [5, 6, 7, 8]}, "space": "noise"}
    one = recipes.single({**recipe, "edits": [edit]}, 2)
    assert one["edits"][0]["source"] == {"seed": 7}


def test_the_resolved_recipe_is_the_recipe(recipe: Recipe) -> None:
    resolved = FakeApi().sample("toy", recipe)["recipe"]
    assert recipes.from_resolved(resolved) == recipe


def test_seeds_that_do_not_follow_each_other_stay_a_list(recipe: Recipe) -> None:
    resolved = {**recipe, "n": 3, "source": {"seeds": [5, 9, 2]}}
    restored = recipes.from_resolved(resolved)
    assert restored["source"] == {"seeds": [5, 9, 2]}
    assert [recipes.seed(restored, i) for i in range(3)] == [5, 9, 2]


def test_levels_drawn_again_are_one_question(recipe: Recipe) -> None:
    one = recipes.single(recipe, 1)
    asked = recipes.drawn_again(CARD, recipes.with_output(one, "sample"), [(1, 2), (3,)], 8)
    assert asked["recipe"] == recipes.with_output(one, "mean")
    assert (asked["rows"], asked["draws"], asked["show"], asked["below"]) == ([[1, 2], [3]], 8, 0, "noise")


def test_a_test_image_of_bits_has_no_noise_to_keep(recipe: Recipe) -> None:
    discrete, encoded = make_card(prior="bernoulli"), {**recipe, "source": {"example": 0}}
    assert recipes.drawn_again(discrete, encoded, [(0,)], 8)["below"] == "mean"
    assert recipes.drawn_again(discrete, recipe, [(0,)], 8)["below"] == "noise"
    assert recipes.drawn_again(CARD, encoded, [(0,)], 8)["below"] == "noise"


def test_levels_below_leave_out_the_locked() -> None:
    assert recipes.below(CARD, 0) == (1, 2, 3)
    assert recipes.below(CARD, 1, {2}) == (3,)
    assert recipes.below(CARD, 3) == ()


def test_levels_that_come_from_elsewhere_are_held(recipe: Recipe) -> None:
    assert recipes.held(recipe) == frozenset()
    swap = {"op": "swap", "levels": [0, 2], "source": {"seed": 1}, "space": "latent"}
    assert recipes.held({**recipe, "edits": [swap]}) == {0, 2}
    assert recipes.held({**recipe, "source": {"example": 1}}) == {0, 1, 2, 3}
    kept = {**recipe, "source": {"example": 1}, "edits": [{"op": "keep", "levels": [0]}]}
    assert recipes.held(kept) == {0}


def test_a_token_of_ones_own_unpacks_to_the_recipe(recipe: Recipe) -> None:
    token = recipes.to_token(recipe)
    assert "=" not in token
    packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert json.loads(zlib.decompress(packed)) == recipe


# --- the cells of a ladder ------------------------------------------------------------------------------------------


def resampled(*edits: dict[str, Any], **changes: Any) -> Recipe:
    return {**recipes.first(CARD), "n": 1, "edits": list(edits), **changes}


def test_a_level_drawn_again_by_an_edit_becomes_a_draw_of_it() -> None:
    edit = {"op": "resample", "levels": [1, 2], "draw": 3, "mode": "sample"}
    assert recipes.as_draws(resampled(edit)) == recipes.with_draw(resampled(), [1, 2], 3)


def test_a_level_at_its_mean_becomes_a_temperature_of_nothing() -> None:
    drawn = {"op": "resample", "levels": [1], "draw": 3, "mode": "sample"}
    mean = {"op": "resample", "levels": [2, 3], "draw": 0, "mode": "mean"}
    recipe = recipes.as_draws(resampled(drawn, mean))
    assert recipe["edits"] == []
    assert recipe["temperature"] == [1.0, 1.0, 0.0, 0.0]
    assert recipes.draw(recipe, 1) == 3


@pytest.mark.parametrize(
    "recipe",
    [
        resampled({"op": "resample", "levels": [1], "draw": 3}, source={"example": 1}),
        resampled({"op": "resample", "levels": [1], "draw": 3, "temperature": 0.5}),
        resampled({"op": "resample", "levels": [1], "draw": 3}, {"op": "resample", "levels": [1], "draw": 4}),
        resampled({"op": "swap", "levels": [1], "source": {"seed": 3}, "space": "noise"}),
    ],
)
def test_other_edits_stay_as_they_are(recipe: Recipe) -> None:
    assert recipes.as_draws(recipe)["edits"] == recipe["edits"]
