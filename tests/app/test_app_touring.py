"""The tour: its text explains every term before it is used, and every handle stands for recipes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from fake_api import make_card
from hypothesis import given
from hypothesis import strategies as st

from app import figures, touring
from app.client import Card
from app.intents import Intent
from app.screens import apply, moved, start
from app.state import Session
from app.touring import GoTo, Step, Tour, Turn

CARD = make_card((1, 4, 4, 8))
STEPS = touring.load()
IDS = [step.id for step in STEPS]


@pytest.fixture
def session() -> Session:
    return replace(start(CARD), screen="learn")


def wants(session: Session, *intents: Intent) -> Session:
    return apply(session, intents, CARD, lambda: 1)


def rows(step: Step, value: float | None = None, card: Card = CARD) -> list[touring.Row]:
    return touring.rows(step, card, touring.control(step, card, value))


def named(live: str) -> Step:
    return next(step for step in STEPS if step.live == live)


# --- the text ---------------------------------------------------------------------------------------------------------


def test_the_terms_are_explained_at_their_first_use() -> None:
    """Each is marked where it is explained, and no step before that uses it, nor the same text before the mark."""
    told = "\n".join(f"{step.title}\n{step.text}\n{step.try_}" for step in STEPS)
    for term in ("latent", "prior", "seed", "temperature", "posterior", "rate", "distortion", "nats", "ELBO", "level"):
        marked = re.search(rf"\*{term}s?\*", told)
        assert marked, f"{term} is never explained"
        if term == "temperature":  # it is the title of the step that explains it
            continue
        before = [line for line in told[: marked.start()].splitlines() if not _is_title(line)]
        assert not re.search(rf"\b{term}s?\b", "\n".join(before)), f"{term} is used before it is explained"
    assert re.search(r"\*bits/dim\*", told)
    assert "top-down inference" in told


def _is_title(line: str) -> bool:
    return line in {step.title for step in STEPS}


def test_the_tour_has_what_was_promised() -> None:
    told = " ".join(step.text for step in STEPS)
    for promised in ("LVAE", "NVAE", "VDVAE", "first proposition", "second proposition", "IW-1000"):
        assert promised in told
    assert {step.figure for step in STEPS} == {"", "rates", "inference", "depth", "published"}
    assert {step.opens for step in STEPS} == {"explore", "levels", "mix", "reconstruct", "compare"}


def test_what_the_text_claims_of_the_depth_study_is_what_was_measured() -> None:
    found = figures.load().depth
    means = [fit.mean for fit in found.fits]
    assert [fit.levels for fit in found.fits] == [1, 2, 4, 8]
    assert means == sorted(means, reverse=True), "it falls with each doubling"
    assert found.control.mean < means[2], "one wide level beats four narrow ones"
    assert abs(found.control.parameters / found.fits[-1].parameters - 1) < 0.01


def test_what_the_text_claims_of_the_three_models_is_what_was_measured() -> None:
    one, plain, ladder = figures.load().inference
    assert one.nats_per_image > plain.nats_per_image > ladder.nats_per_image
    assert plain.active[:2] == (0, 0)
    assert all(ladder.active)


# --- the handles ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS, ids=IDS)
@pytest.mark.parametrize("resolutions", [(1,), (1, 1, 1, 1, 1), (1, 4, 4, 8), (1,) * 196], ids=len)
def test_the_ends_of_every_handle_make_recipes_of_the_model(step: Step, resolutions: tuple[int, ...]) -> None:
    card = make_card(resolutions)
    for value in (None, 0.0, 1e6):
        control = touring.control(step, card, value)
        assert 0 <= control.value <= control.high
        for row in touring.rows(step, card, control):
            assert len(row.recipe["temperature"]) == len(card.levels)
            assert all(level < len(card.levels) for edit in row.recipe["edits"] for level in edit["levels"])
            assert all(edit["levels"] for edit in row.recipe["edits"])


def test_other_seeds_are_other_images_and_the_first_are_explores() -> None:
    assert rows(named("seeds"))[0].recipe["source"] == {"seed": 1240}
    assert rows(named("seeds"), 2)[0].recipe["source"] == {"seed": 1252}


def test_a_temperature_is_that_of_every_level() -> None:
    assert rows(named("temperature"), 0.35)[0].recipe["temperature"] == [0.35] * 4


def test_one_level_is_drawn_again_and_all_others_have_the_noise_of_the_first_seed() -> None:
    recipe = rows(named("level"), 1)[0].recipe
    assert recipe["edits"] == [{"op": "swap", "levels": [0, 2, 3], "source": {"seed": 1240}, "space": "noise"}]
    assert (recipe["source"], recipe["n"]) == ({"seed": 1240}, 6)


def test_the_first_levels_are_the_images_and_the_others_are_drawn_by_six_seeds() -> None:
    recipe = rows(named("kept"), 3)[0].recipe
    assert recipe["edits"] == [{"op": "resample", "levels": [3], "draw": 0, "mode": "sample"}]
    assert (recipe["source"], recipe["n"]) == ({"example": 0, "seed": 0}, 6)
    assert rows(named("kept"), 4)[0].recipe["edits"] == []


def test_strangers_are_mixed_in_latent_space_and_the_very_deep_in_noise_space() -> None:
    for live, space in (("strangers", "latent"), ("mix", "noise")):
        between, a, b = rows(named(live), 1)
        assert [edit["space"] for edit in between.recipe["edits"]] == [space] * 2
        assert [edit["levels"] for edit in between.recipe["edits"]] == [[1, 2, 3], [0]]
        assert (a.recipe["source"], b.recipe["source"]) == ({"seed": 1240}, {"seed": 1241})


def test_only_the_first_levels_draw() -> None:
    assert rows(named("working"), 1)[0].recipe["temperature"] == [1.0, 0.0, 0.0, 0.0]


def test_what_is_said_names_what_is_fixed_and_what_moves() -> None:
    said = touring.control(named("level"), CARD, 1).said
    assert said == "Only level 1 of 0 to 3 (4 × 4) is drawn again. Levels above stay, those below adapt."


def test_a_step_takes_the_first_of_its_models_that_is_there() -> None:
    step = STEPS[0]
    cards = {name: make_card(name=name) for name in step.models[1:]}
    found = touring.model(step, cards)
    assert found is not None
    assert found.id == step.models[1]
    assert touring.model(step, {"other": CARD}) is None


# --- where a person is ------------------------------------------------------------------------------------------------


def test_steps_and_values_are_steps_of_undo(session: Session) -> None:
    session = wants(session, GoTo(seq=1, do="tour_step", step=3), Turn(seq=2, do="tour_value", value=2))
    assert touring.now(session) == Tour(3, {3: 2})
    undone = session.with_history("learn", session.history.undo())
    assert touring.now(undone) == Tour(3)


def test_a_drag_is_one_step_of_undo(session: Session) -> None:
    turns = [Turn(seq=i, do="tour_value", value=i / 10, gesture=7) for i in range(1, 6)]
    assert len(wants(session, *turns).history.past) == 1


def test_there_is_no_step_after_the_last(session: Session) -> None:
    assert touring.now(wants(session, GoTo(seq=1, do="tour_step", step=len(STEPS)))).step == 0


def test_another_model_of_the_page_does_not_end_the_tour(session: Session) -> None:
    session = wants(session, GoTo(seq=1, do="tour_step", step=3))
    assert touring.now(moved(session, make_card((1, 2), "other"))).step == 3


@given(step=st.integers(0, len(STEPS) - 1), value=st.none() | st.integers(0, 400).map(lambda v: v / 20))
def test_a_link_brings_step_and_value_back(step: int, value: float | None) -> None:
    tour = Tour(step, {} if value is None else {step: value})
    assert touring.from_query(touring.to_query(tour), len(STEPS)) == tour


@given(text=st.text(), other=st.text())
def test_nonsense_in_a_link_starts_the_tour(text: str, other: str) -> None:
    tour = touring.from_query({"step": text, "value": other}, len(STEPS))
    assert 0 <= tour.step < len(STEPS)
