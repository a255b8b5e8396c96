"""The session: every intent, undo and redo, locks, and that nothing that does not exist is ever selected."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from fake_api import make_card
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app import laddering, mixing, recipes, reconstructing
from app.laddering import LadderView
from app.reconstructing import Source
from app.screens import AnyIntent, apply, start
from app.state import STEPS, History, Session

CARD = make_card()
READ: TypeAdapter[AnyIntent] = TypeAdapter(AnyIntent)


def after(session: Session, *wanted: dict[str, Any], fresh: int = 4711) -> Session:
    """The session after these intents, numbered on."""
    checked = [READ.validate_python({**intent, "seq": session.seq + 1 + i}) for i, intent in enumerate(wanted)]
    return apply(session, checked, CARD, lambda: fresh)


def temperature(values: list[float], gesture: int) -> dict[str, Any]:
    return {"do": "temperature", "values": values, "gesture": gesture}


@pytest.fixture
def session() -> Session:
    return start(CARD)


# --- history --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), max_size=30))
def test_undo_leads_back_to_the_start_and_redo_to_the_end(values: list[int]) -> None:
    history = History(0)
    for value in values:
        history = history.push(value)
    steps = len(history.past)
    assert steps == len([value for before, value in itertools.pairwise([0, *values]) if before != value])
    back = history
    for _ in range(steps):
        back = back.undo()
    assert (back.present, back.past) == (0, ())
    assert back.undo() is back
    for _ in range(steps):
        back = back.redo()
    assert back.present == history.present
    assert back.redo() is back


def test_a_new_value_forgets_what_was_undone() -> None:
    history = History(1).push(2).undo().push(3)
    assert (history.present, history.past, history.future) == (3, (1,), ())


def test_a_gesture_is_one_step() -> None:
    history = History(0).push(1, gesture=5).push(2, gesture=5).push(3, gesture=6)
    assert history.past == (0, 2)
    assert history.undo().push(9, gesture=6).past == (0, 2)  # after an undo a gesture starts anew


def test_history_is_bounded() -> None:
    history = History(0)
    for value in range(1, 2 * STEPS):
        history = history.push(value)
    assert len(history.past) == STEPS


# --- temperatures ---------------------------------------------------------------------------------------------------


def test_the_rail_is_one_value_and_a_drag_one_step(session: Session) -> None:
    dragged = after(session, temperature([0.9, 1, 1, 1], 1), temperature([0.8, 1, 1, 1], 1))
    assert recipes.temperature(dragged.recipe) == (0.8, 1.0, 1.0, 1.0)
    assert after(dragged, {"do": "undo"}).recipe == session.recipe
    assert after(dragged, {"do": "undo"}, {"do": "redo"}).recipe == dragged.recipe


def test_a_rail_of_another_length_changes_nothing(session: Session) -> None:
    assert after(session, temperature([0.5], 1)).recipe == session.recipe


@pytest.mark.parametrize("value", [-0.1, 1.6, float("nan"), float("inf"), "0.5", True])
def test_a_temperature_off_the_scale_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="values"):
        READ.validate_python({"do": "temperature", "values": [value], "gesture": 1, "seq": 1})


def test_a_locked_level_keeps_its_temperature_and_its_draw(session: Session) -> None:
    locked = after(session, {"do": "lock", "level": 1})
    turned = after(locked, {"do": "preset", "name": "linear"}, temperature([0.1] * 4, 1), {"do": "draw", "level": 1})
    assert recipes.temperature(turned.recipe) == (0.1, 1.0, 0.1, 0.1)
    assert recipes.draw(turned.recipe, 1) == 0
    assert after(turned, {"do": "lock", "level": 1}).view.locks == frozenset()


def test_a_preset_is_one_step(session: Session) -> None:
    preset = after(session, {"do": "level", "level": 1}, {"do": "preset", "name": "mean_below"})
    assert recipes.temperature(preset.recipe) == (1.0, 1.0, 0.0, 0.0)
    assert after(preset, {"do": "undo"}).recipe == session.recipe


# --- draws ----------------------------------------------------------------------------------------------------------


def test_drawing_again_counts_up_at_that_level_only(session: Session) -> None:
    drawn = after(session, {"do": "draw", "level": 2}, {"do": "draw", "level": 2})
    assert drawn.recipe["levels"] == {"2": {"draw": 2}}
    assert drawn.recipe["source"] == session.recipe["source"]


def test_without_a_level_the_selected_one_is_drawn_again(session: Session) -> None:
    assert after(session, {"do": "level", "level": 3}, {"do": "draw"}).recipe["levels"] == {"3": {"draw": 1}}


def test_keeping_a_draw_of_a_strip_is_one_step(session: Session) -> None:
    selected = after(session, {"do": "level", "level": 1}, {"do": "lock", "level": 2})
    assert after(selected, {"do": "keep", "draw": 5, "below": False}).recipe["levels"] == {"1": {"draw": 5}}
    below = after(selected, {"do": "keep", "draw": 5, "below": True})
    assert below.recipe["levels"] == {"3": {"draw": 5}}
    assert after(below, {"do": "undo"}).recipe == session.recipe


# --- images ---------------------------------------------------------------------------------------------------------


def test_a_new_seed_comes_from_outside(session: Session) -> None:
    assert recipes.seed(after(session, {"do": "new_seed"}, fresh=99).recipe) == 99


def test_fewer_images_select_the_last_that_is_left(session: Session) -> None:
    assert after(session, {"do": "image", "image": 3}, {"do": "images", "n": 2}).view.image == 1


def test_more_images_than_the_server_gives_are_not_asked_for(session: Session) -> None:
    assert after(session, {"do": "images", "n": 1000}).recipe["n"] == 64


def test_a_page_and_back(session: Session) -> None:
    there = after(session, {"do": "page", "by": 1})
    assert recipes.seed(there.recipe) == recipes.seed(session.recipe) + 4
    assert after(there, {"do": "page", "by": -1}).recipe == session.recipe


# --- the outbox -----------------------------------------------------------------------------------------------------


def test_an_intent_that_comes_twice_acts_once(session: Session) -> None:
    draw = READ.validate_python({"do": "draw", "level": 0, "seq": 1})
    once = apply(session, [draw], CARD, lambda: 0)
    again = apply(once, [draw, READ.validate_python({"do": "draw", "level": 0, "seq": 2})], CARD, lambda: 0)
    assert recipes.draw(again.recipe, 0) == 2
    assert again.seq == 2


@pytest.mark.parametrize(
    "intent", [{"do": "level", "level": 4}, {"do": "draw", "level": 9}, {"do": "lock", "level": 4}]
)
def test_a_level_that_does_not_exist_changes_nothing(session: Session, intent: dict[str, Any]) -> None:
    assert replace(after(session, intent), seq=0) == session


@pytest.mark.parametrize("intent", [{"do": "fly"}, {"do": "draw", "levle": 1}, {"do": "seed", "seed": "7"}, {}])
def test_an_intent_nobody_knows_is_refused(intent: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        READ.validate_python({**intent, "seq": 1})


def test_a_note_lasts_until_the_next_intent(session: Session) -> None:
    assert after(replace(session, note="The link was damaged"), {"do": "retry"}).note == ""


# --- the Mix screen -------------------------------------------------------------------------------------------------


@pytest.fixture
def mix(session: Session) -> Session:
    return after(session, {"do": "screen", "name": "mix"}, {"do": "mix_quick", "name": "none"})


def test_each_screen_undoes_its_own_steps(mix: Session) -> None:
    toggled = after(mix, {"do": "mix_level", "level": 2})
    assert mixing.now(toggled).levels == (2,)
    back = after(toggled, {"do": "undo"})
    assert mixing.now(back).levels == ()
    assert back.recipe == mix.recipe


def test_toggling_twice_is_nothing(mix: Session) -> None:
    twice = after(mix, {"do": "mix_level", "level": 2}, {"do": "mix_level", "level": 2})
    assert mixing.now(twice) == mixing.now(mix)


def test_a_cell_of_the_matrix_sets_the_cut_and_the_partner(mix: Session) -> None:
    cut = after(mix, {"do": "mix_cut", "cut": 3, "row": 1})
    assert mixing.now(cut).levels == (0, 1, 2)
    assert mixing.now(cut).b == {"seed": recipes.seed(mix.recipe) + 2}


def test_sources_are_seeds_or_test_images_that_exist(mix: Session) -> None:
    chosen = after(
        mix,
        {"do": "mix_source", "which": "a", "example": 2},
        {"do": "mix_source", "which": "b", "seed": 5},
        {"do": "mix_source", "which": "b", "example": 3},
    )
    assert (mixing.now(chosen).a, mixing.now(chosen).b) == ({"example": 2}, {"seed": 5})
    assert mixing.now(after(chosen, {"do": "mix_swap"})).a == {"seed": 5}


def test_a_new_pair_is_two_others(mix: Session) -> None:
    numbers = itertools.count(50)
    pair = [READ.validate_python({"do": "new_seed", "seq": 99})]
    fresh = mixing.now(apply(mix, pair, CARD, lambda: next(numbers)))
    assert (fresh.a, fresh.b) == ({"seed": 50}, {"seed": 51})
    examples = after(mix, {"do": "mix_source", "which": "a", "example": 0})
    for first in range(5):
        numbers = itertools.count(first)
        pair = [READ.validate_python({"do": "new_seed", "seq": 99})]
        fresh = mixing.now(apply(examples, pair, CARD, lambda: next(numbers)))  # noqa: B023
        assert fresh.a != fresh.b


def test_a_mix_can_be_taken_to_explore_and_left_behind(mix: Session) -> None:
    cut = after(mix, {"do": "mix_cut", "cut": 2}, {"do": "mix_explore", "space": "noise"})
    assert cut.screen == "explore"
    assert [edit["levels"] for edit in cut.recipe["edits"]] == [[2, 3], [0, 1]]
    assert after(cut, {"do": "drop_edits"}).recipe["edits"] == []


# --- Levels and Reconstruct -----------------------------------------------------------------------------------------


def test_the_choices_of_the_ladder_are_no_steps(session: Session) -> None:
    then = after(
        session, {"do": "ladder_view", "below": "mean"}, {"do": "ladder_again"}, {"do": "ladder_view", "hidden": False}
    )
    assert laddering.view(then) == LadderView("levels", "mean", page=1, hidden=False)
    assert then.history == session.history


def test_levels_undoes_the_steps_of_explore(session: Session) -> None:
    then = after(session, {"do": "draw", "level": 1}, {"do": "screen", "name": "levels"}, {"do": "undo"})
    assert then.recipe == session.recipe


def test_a_deep_model_opens_with_a_row_a_resolution() -> None:
    assert laddering.view(start(make_card((1,) * 3 + (4,) * 18))).rows == "groups"
    assert laddering.view(start(make_card((1,) * 21))).rows == "levels", "there is but one"


def test_a_drag_of_the_scrubber_is_one_step(session: Session) -> None:
    session = after(session, {"do": "screen", "name": "reconstruct"})
    drag = [{"do": "kept", "kept": kept, "gesture": 7} for kept in (3, 4, 99)]
    then = after(session, *drag)
    assert reconstructing.now(then).kept == 4
    assert reconstructing.now(after(then, {"do": "undo"})) == reconstructing.now(session)


def test_another_test_image_keeps_the_scrubber_where_it_is(session: Session) -> None:
    session = after(session, {"do": "screen", "name": "reconstruct"}, {"do": "kept", "kept": 3})
    then = after(session, {"do": "pick", "example": 1})
    assert (reconstructing.now(then).source, reconstructing.now(then).kept) == (Source(example=1), 3)
    assert after(session, {"do": "pick", "example": 99}) == replace(session, seq=session.seq + 1)
