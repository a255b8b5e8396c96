"""What the Reconstruct screen stands for, as a recipe and back."""

from __future__ import annotations

import pytest
from fake_api import make_card
from hypothesis import given
from hypothesis import strategies as st

from app import recipes, reconstructing
from app.client import Recipe
from app.reconstructing import Reconstruction, Source

CARD = make_card((1, 4, 4, 8))
OTHERWISE = Reconstruction(Source(example=2), 1)
SOURCES = st.builds(Source, example=st.integers(0, 9)) | st.builds(Source, image=st.text(min_size=1))
STEPS = st.builds(Reconstruction, SOURCES, st.integers(0, 4), st.sampled_from(["mean", "sample"]))


@given(STEPS)
def test_a_step_is_what_its_recipe_says(now: Reconstruction) -> None:
    back = reconstructing.from_recipe(reconstructing.recipe(now, 4), OTHERWISE, 4)
    assert (back.source, back.kept) == (now.source, now.kept)
    assert now.kept == 4 or back.others == now.others, "without other levels nothing says what they do"


@given(STEPS)
def test_the_first_levels_are_kept_and_the_others_are_not(now: Reconstruction) -> None:
    named = [level for edit in reconstructing.recipe(now, 4)["edits"] for level in edit["levels"]]
    assert named == list(range(now.kept, 4))


@pytest.mark.parametrize(
    "recipe",
    [
        recipes.first(CARD),
        {**recipes.first(CARD), "source": {"example": 0}, "edits": [{"op": "keep", "levels": [0]}]},
    ],
)
def test_other_recipes_are_no_reconstruction(recipe: Recipe) -> None:
    assert reconstructing.from_recipe(recipe, OTHERWISE, 4) == OTHERWISE


def test_at_first_half_of_the_levels_are_kept() -> None:
    assert reconstructing.first(CARD) == Reconstruction(Source(example=0), 2)
