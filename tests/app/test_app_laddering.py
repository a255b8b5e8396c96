"""The question of the Levels screen: which rows, how many draws, and where they stand."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api import card_document, make_card
from hypothesis import given
from hypothesis import strategies as st

from app import laddering, recipes
from app.client import Card
from app.laddering import COLUMNS, DRAWS, IMAGES, LadderView, Part

CARD = make_card((1, 4, 4, 8))
SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=6)


def dead(*levels: int) -> Card:
    document = card_document()
    for level in levels:
        document["levels"][level]["kl_bits"] = 0.01
    return Card.model_validate(document)


def test_a_row_a_level_and_a_row_a_resolution_for_the_summary() -> None:
    assert laddering.question(CARD, LadderView(), recipes.first(CARD)) == {
        "rows": [[0], [1], [2], [3], [1, 2]],
        "draws": DRAWS,
        "show": COLUMNS,
        "first_draw": 1,
        "below": "noise",
    }


def test_rows_of_resolutions() -> None:
    assert laddering.question(CARD, LadderView(rows="groups"), recipes.first(CARD))["rows"] == [[0], [1, 2], [3]]


def test_inactive_levels_are_hidden_until_asked_for() -> None:
    card = dead(2)
    assert laddering.parts(card, LadderView())[1] == Part("4x4", ((1,),), hidden=(2,))
    assert laddering.parts(card, LadderView(hidden=False))[1] == Part("4x4", ((1,), (2,)))


def test_a_resolution_of_inactive_levels_alone_is_still_named() -> None:
    parts = laddering.parts(dead(1, 2), LadderView())
    assert parts[1] == Part("4x4", (), hidden=(1, 2))
    left, right = laddering.columns(parts)
    assert [*left, *right] == parts


def test_drawing_all_again_shows_draws_that_were_not_there() -> None:
    recipe = recipes.with_draw(recipes.first(CARD), [1], 3)
    firsts = [laddering.question(CARD, LadderView(page=page), recipe)["first_draw"] for page in range(3)]
    assert firsts == [4, 4 + COLUMNS, 4 + 2 * COLUMNS]


@given(st.integers(1, 1000))
def test_many_rows_are_measured_over_fewer_draws(rows: int) -> None:
    draws = laddering.draws(rows)
    assert COLUMNS <= draws <= DRAWS
    assert draws == COLUMNS or draws * rows <= IMAGES


def test_a_large_model_is_measured_over_the_draws_that_are_shown() -> None:
    large = make_card(latents=4_000_000)
    assert laddering.question(large, LadderView(), recipes.first(large))["draws"] == COLUMNS


@pytest.mark.parametrize(("source", "below"), [({"seed": 1}, "noise"), ({"example": 1}, "mean")])
def test_zeros_and_ones_of_a_test_image_have_no_noise(source: dict[str, Any], below: str) -> None:
    card = make_card(prior="bernoulli")
    recipe = {**recipes.first(card), "source": source}
    assert laddering.question(card, LadderView(), recipe)["below"] == below
    assert laddering.question(card, LadderView(below="resample"), recipe)["below"] == "resample"


@given(SIZES)
def test_the_columns_have_every_row_once_and_in_order(sizes: list[int]) -> None:
    parts, first = [], 0
    for index, size in enumerate(sizes):
        parts.append(Part(f"{index}", tuple((level,) for level in range(first, first + size))))
        first += size
    left, right = laddering.columns(parts)
    assert [row for part in [*left, *right] for row in part.rows] == [(level,) for level in range(first)]
    assert [part.continued for part in left] == [False] * len(left)
    assert not any(part.continued for part in right[1:])
    assert left, "the first column is never empty"


def test_a_resolution_stays_whole_where_everything_is_seen() -> None:
    whole = Part("1x1", tuple((level,) for level in range(5)))
    assert laddering.columns([whole]) == ([whole], [])


def test_a_link_brings_the_choices_back() -> None:
    chosen = LadderView(rows="groups", below="resample", page=3, hidden=False)
    assert laddering.from_query(LadderView(), laddering.to_query(chosen)) == chosen


def test_a_damaged_link_leaves_them_as_they_were() -> None:
    damaged = {"rows": "x", "below": "", "draws": "-1", "inactive": "?"}
    assert laddering.from_query(LadderView(rows="groups"), damaged) == LadderView(rows="groups")
