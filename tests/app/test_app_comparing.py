"""What the Compare screen asks of two models, and what its links say."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api import make_card
from hypothesis import given
from hypothesis import strategies as st

from app import comparing
from app.comparing import CompareDraw, CompareImage, CompareSeed, CompareTemperatures, CompareWith, Comparison
from app.intents import Intent, NewSeed
from app.reconstructing import Source
from app.screens import apply, moved, start
from app.state import Session

A = make_card((1, 4, 4, 8), "a")
B = make_card((4, 8, 8, 16), "b")
NAMES = st.sampled_from(["1x1", "4x4", "8x8", "16x16"])
COMPARISONS = st.builds(
    Comparison,
    other=st.sampled_from([None, "b", "lvae-mnist"]),
    seed=st.integers(0, 2**53 - 1),
    picture=st.sampled_from([None, Source(example=2)]),
    temperature=st.dictionaries(NAMES, st.integers(0, 150).map(lambda hundredths: hundredths / 100)),
    drawn=st.frozensets(NAMES),
)


@pytest.fixture
def session() -> Session:
    return moved(start(A), A)


def wants(session: Session, *intents: Intent) -> Session:
    session = apply(session, [], A, lambda: 4711)
    return apply(session, intents, A, lambda: 4711)


def sent(shape: type[Intent], seq: int = 1, **fields: Any) -> Intent:
    names = {CompareWith: "compare_with", CompareSeed: "compare_seed", CompareImage: "compare_image"}
    names |= {CompareTemperatures: "compare_temperature", CompareDraw: "compare_draw", NewSeed: "new_seed"}
    return shape(seq=seq, do=names[shape], **fields)  # type: ignore[call-arg]


def test_resolutions_are_those_of_both_coarsest_first_and_marked_where_only_one_has_them() -> None:
    found = comparing.resolutions(A, B)
    assert [(one.name, one.only) for one in found] == [("1x1", "A"), ("4x4", ""), ("8x8", ""), ("16x16", "B")]


def test_a_temperature_moves_the_levels_of_its_resolution_in_both_models() -> None:
    now = Comparison(seed=5, temperature={"8x8": 0.3})
    assert comparing.recipe(now, A)["temperature"] == [1.0, 1.0, 1.0, 0.3]
    assert comparing.recipe(now, B)["temperature"] == [1.0, 0.3, 0.3, 1.0]
    assert comparing.recipe(now, A)["source"] == comparing.recipe(now, B)["source"] == {"seed": 5}


def test_an_image_is_kept_but_where_it_is_drawn() -> None:
    now = Comparison(seed=5, drawn=frozenset({"8x8"}))
    recipe = comparing.recipe(now, B, {"image": "x"})
    assert recipe["source"] == {"image": "x", "seed": 5}
    assert recipe["edits"] == [{"op": "resample", "levels": [1, 2], "draw": 0, "mode": "sample"}]
    assert comparing.recipe(Comparison(), B, {"image": "x"})["edits"] == []
    assert comparing.recipe(now, B)["edits"] == [], "without an image everything is drawn"


def test_b_is_the_model_wanted_or_the_one_that_takes_the_same_images() -> None:
    size = {"height": 14, "width": 14, "channels": 1}
    other, same = make_card(name="other", image=size), make_card(name="same")
    assert comparing.partner(A, [A, other, same], None) == same
    assert comparing.partner(A, [A, other, same], "other") == other
    assert comparing.partner(A, [A, other], "same") == other, "it has gone"
    assert comparing.partner(A, [A, other, same], "a") == same, "never A itself"
    assert comparing.partner(A, [A], None) is None


def test_models_of_other_sizes_share_no_image() -> None:
    now = Comparison(picture=Source(example=1))
    assert comparing.picture(now, A, B) == Source(example=1)
    assert comparing.picture(now, A, make_card(image={"height": 14, "width": 14, "channels": 1})) is None
    assert comparing.picture(Comparison(picture=Source(example=9)), A, B) is None


def test_intents_change_what_both_are_asked(session: Session) -> None:
    now = comparing.now(
        wants(
            session,
            sent(CompareWith, 1, id="b"),
            sent(CompareSeed, 2, seed=7),
            sent(CompareImage, 3, example=2),
            sent(CompareImage, 4, example=99),
            sent(CompareTemperatures, 5, values={"4x4": 0.456}, gesture=1),
            sent(CompareDraw, 6, group="4x4"),
        )
    )
    assert now == Comparison("b", 7, Source(example=2), {"4x4": 0.46}, frozenset({"4x4"}))


def test_a_drag_is_one_step_and_undo_takes_it_back(session: Session) -> None:
    values = [sent(CompareTemperatures, i, values={"4x4": i / 10}, gesture=3) for i in range(1, 5)]
    session = wants(session, *values)
    assert comparing.now(session).temperature == {"4x4": 0.4}
    assert len(session.histories["compare"].past) == 1


def test_a_new_seed_is_another_image_where_no_seed_changes_anything(session: Session) -> None:
    on_screen = apply(session, [], A, lambda: 4711)
    on_screen = Session(**{**vars(on_screen), "screen": "compare"})
    assert comparing.now(wants(on_screen, sent(NewSeed))).seed == 4711
    pictured = wants(on_screen, sent(CompareImage, 1, example=1), sent(NewSeed, 2))
    assert comparing.now(pictured).picture == Source(example=4711 % 3)
    drawn = wants(on_screen, sent(CompareImage, 1, example=1), sent(CompareDraw, 2, group="4x4"), sent(NewSeed, 3))
    assert (comparing.now(drawn).picture, comparing.now(drawn).seed) == (Source(example=1), 4711)


def test_another_model_of_the_page_leaves_the_comparison(session: Session) -> None:
    session = wants(session, sent(CompareSeed, seed=7))
    assert comparing.now(moved(session, B)) == comparing.now(session)
    assert moved(session, B).model == "b"


@given(now=COMPARISONS)
def test_a_link_and_its_recipe_bring_everything_back(now: Comparison) -> None:
    subject = now.picture.subject if now.picture else None
    linked = comparing.from_query(Comparison(), comparing.to_query(now))
    back = comparing.from_recipe(comparing.recipe(now, A, subject), linked, A)
    for name in ("1x1", "4x4", "8x8", "16x16"):
        assert comparing.temperature(back, name) == comparing.temperature(now, name)
    assert (back.other, back.seed, back.picture, back.drawn) == (now.other, now.seed, now.picture, now.drawn)


@given(text=st.text())
def test_nonsense_in_a_link_is_left_out(text: str) -> None:
    now = comparing.from_query(Comparison(), {"t": text, "drawn": text, "with": text})
    assert all(0 <= value <= 1.5 for value in now.temperature.values())
    assert len(now.other or "") <= 40
