"""Changes of painted cells: which edits they are, and what the recipe says of them afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_api import FakeApi, make_card
from hypothesis import given
from hypothesis import strategies as st

from app import changing, recipes
from app.changing import Below, Editing
from app.mixing import Source

CARD = make_card((1, 4, 4, 8))
CELLS = "0110" + "0" * 12
SEED, TEST = {"seed": 7}, {"example": 2}


def editing(source: Source = SEED, level: int = 1, cells: str = CELLS, below: Below = "adapt") -> Editing:
    return Editing(changing.start(source, CARD, below), (), level, cells)


# --- the image before -----------------------------------------------------------------------------------------------


def test_levels_below_adapt_where_they_hold_noise_and_stay_where_they_hold_latents() -> None:
    everything = {"op": "swap", "levels": [0, 1, 2, 3]}
    assert changing.start(SEED, CARD)["edits"] == []
    assert changing.start(SEED, CARD, "stay")["edits"] == [{**everything, "source": SEED, "space": "latent"}]
    assert changing.start(TEST, CARD)["edits"] == [{**everything, "source": TEST, "space": "noise"}]
    assert changing.start(TEST, CARD, "stay")["edits"] == []


@pytest.mark.parametrize("source", [SEED, TEST])
@pytest.mark.parametrize("below", ["adapt", "stay"])
def test_a_recipe_says_what_the_levels_below_do_and_which_image_it_is(source: Source, below: Below) -> None:
    before = changing.start(source, CARD, below)
    assert changing.below(before) == below
    assert changing.source_of(before) == source
    assert changing.choices_below(before, CARD) == ("adapt", "stay")
    other: Below = "stay" if below == "adapt" else "adapt"
    assert changing.with_below(editing(source, below=below), CARD, other) == editing(source, below=other)


def test_a_test_image_whose_latents_are_0_or_1_has_no_noise_to_adapt_with() -> None:
    discrete = make_card(prior="bernoulli")
    before = changing.start(TEST, discrete)
    assert (before["edits"], changing.below(before), changing.choices_below(before, discrete)) == ([], "stay", ())
    now = Editing(before, (), 1, CELLS)
    assert changing.with_below(now, discrete, "adapt") == now
    assert changing.choices_below(changing.start(SEED, discrete), discrete) == ("adapt", "stay")


def test_the_image_of_explore_keeps_its_draws_and_its_edits_count_as_changes() -> None:
    recipe = recipes.with_draw(recipes.first(CARD), [2], 3)
    swap = {"op": "swap", "levels": [0], "source": {"seed": 1}, "space": "noise"}
    now = changing.with_recipe(editing(), {**recipe, "edits": [swap]})
    assert now.before == {**recipes.single(recipe, 0), "edits": []}
    assert now.edits == (swap,)
    assert changing.source_of(now.before) is None
    assert changing.choices_below(now.before, CARD) == ()
    assert changing.name_of(now.before) == "seed 1240, levels drawn again"


@given(
    st.sampled_from([SEED, TEST]),
    st.sampled_from(["adapt", "stay"]),
    st.lists(st.sampled_from(["again", "swap", "cool"]), max_size=4),
)
def test_a_resolved_recipe_brings_the_changes_back(source: Source, below: Below, how: list[str]) -> None:
    now = editing(source, below=below)
    for step, name in enumerate(how):
        now = replace(now, cells=f"{step + 1:016b}")
        now = {
            "again": lambda now: changing.drawn_again(now, CARD),
            "swap": lambda now: changing.swapped(now, CARD, {"seed": 9}, "latent"),
            "cool": lambda now: changing.cooled(now, CARD, 0.2),
        }[name](now)
    resolved = FakeApi().sample("toy", now.after)["recipe"]
    assert changing.with_recipe(now, recipes.from_resolved(resolved)) == now


# --- changes --------------------------------------------------------------------------------------------------------


def test_painted_cells_are_drawn_again_with_a_draw_that_nothing_has_yet() -> None:
    now = replace(editing(), before=recipes.with_draw(editing().before, [1], 4))
    (edit,) = changing.drawn_again(now, CARD).edits
    assert edit == {
        "op": "resample",
        "levels": [1],
        "draw": 5,
        "mode": "sample",
        "mask": {"resolution": 4, "rows": ["0110", "0000", "0000", "0000"]},
    }


def test_drawing_the_same_cells_again_takes_the_place_of_the_draw_before() -> None:
    twice = changing.drawn_again(changing.drawn_again(editing(), CARD), CARD)
    assert [edit["draw"] for edit in twice.edits] == [2]
    elsewhere = changing.drawn_again(replace(twice, cells="1" * 16), CARD)
    assert [edit["draw"] for edit in elsewhere.edits] == [2, 3]
    assert "mask" not in elsewhere.edits[1]


def test_cells_come_from_another_image() -> None:
    (edit,) = changing.swapped(editing(), CARD, TEST, "noise").edits
    assert (edit["op"], edit["levels"], edit["source"], edit["space"]) == ("swap", [1], TEST, "noise")


def test_cooling_keeps_the_draw_of_each_cell() -> None:
    now = changing.drawn_again(editing(), CARD)
    now = changing.cooled(replace(now, cells="0011" + "0" * 12), CARD, 0.25)
    assert [(edit["draw"], edit["mask"]["rows"][0]) for edit in now.edits] == [(1, "0110"), (0, "0001"), (1, "0010")]
    assert {edit["temperature"] for edit in now.edits[1:]} == {0.25}
    assert now.cells == "0011" + "0" * 12


def test_another_temperature_for_the_same_cells_takes_the_place_of_the_last() -> None:
    now = changing.cooled(changing.cooled(editing(), CARD, 0.25), CARD, 0.5)
    assert [edit["temperature"] for edit in now.edits] == [0.5]


def test_a_change_is_removed_and_the_others_stay() -> None:
    now = changing.swapped(changing.drawn_again(editing(), CARD), CARD, TEST, "noise")
    assert [edit["op"] for edit in changing.removed(now, 0).edits] == ["swap"]
    assert changing.removed(now, 9) == now


def test_the_place_of_the_changes_is_all_that_any_of_them_covers() -> None:
    now = changing.drawn_again(editing(), CARD)
    assert changing.place(now.edits, CARD).sum() == 2 * 2 * 2  # two cells of 2 x 2 pixels
    now = changing.drawn_again(replace(now, level=0, cells="1"), CARD)
    assert changing.place(now.edits, CARD).all()
    assert not changing.place((), CARD).any()
