"""The Levels screen as it is read: rows, numbers with their units, words, and what a click asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_api import FakeApi, card_document, make_card
from test_app_screen import Reader

from app import laddering, levels, recipes, words
from app.client import Card, Ladder
from app.laddering import LadderView
from app.screens import start
from app.state import Session


@pytest.fixture
def card() -> Card:
    return make_card()


@pytest.fixture
def session(card: Card) -> Session:
    return start(card).seen(level=1)


def found(card: Card, session: Session) -> Ladder:
    one = recipes.single(session.recipe, 0)
    question = laddering.question(card, laddering.view(session), one)
    return Ladder.model_validate(FakeApi().ladder("toy", {"kind": "ladder_grid", "recipe": one, **question}))


def test_a_row_a_level_with_its_draws_and_its_map(card: Card, session: Session) -> None:
    page = Reader(levels.grid(card, session, found(card, session)))
    assert [intent["level"] for intent in page.intents("level")] == [0, 1, 2, 3]
    assert [(intent["levels"], intent["draw"]) for intent in page.intents("cell")] == [
        ([level], draw) for level in range(4) for draw in range(1, 6)
    ]
    assert len(page.all("img", alt="Where level 2 acts")) == 1


def test_every_number_has_its_unit(card: Card, session: Session) -> None:
    page = Reader(levels.grid(card, session, found(card, session)))
    assert page.all("button", aria_label="Select level 0")[0].text == "01.50 bits10 % of all bits"
    said = [element.text for element in page.all("div", **{"class": "tx"})]
    assert said[0] == "Redraws the whole picture.50 % of the ink moves"
    assert said[3] == "Changes strokes.12 % of the ink moves"


def test_colour_is_told_in_grey_levels(session: Session) -> None:
    card = make_card(image={"height": 8, "width": 8, "channels": 3, "bits": 8})
    ladder = found(card, session)
    ladder = ladder.model_copy(
        update={"rows": tuple(row.model_copy(update={"ink_moved": None}) for row in ladder.rows)}
    )
    assert "9.0 grey levels change" in levels.grid(card, session, ladder)


def test_the_selected_level_is_marked(card: Card, session: Session) -> None:
    page = Reader(levels.grid(card, session, found(card, session)))
    assert [e.attributes["data-level"] for e in page.all("div", **{"class": "lr sel"})] == ["1"]


def test_inactive_levels_are_one_line_and_can_be_shown(session: Session) -> None:
    document = card_document()
    document["levels"][2]["kl_bits"] = 0.03
    card = Card.model_validate(document)
    page = Reader(levels.grid(card, session, found(card, session)))
    assert page.all("div", **{"class": "inact"})[0].text == "inactive2 carries 0.03 bits; hidden.Show"
    assert page.intents("ladder_view") == [{"do": "ladder_view", "hidden": False}]
    shown = session.with_view("levels", LadderView(hidden=False))
    page = Reader(levels.grid(card, shown, found(card, shown)))
    assert [e.text for e in page.all("span", **{"class": "tag"})] == ["inactive"]


def test_rows_of_resolutions_are_named_by_them(card: Card, session: Session) -> None:
    groups = session.with_view("levels", LadderView(rows="groups"))
    page = Reader(levels.grid(card, groups, found(card, groups)))
    assert page.all("button", aria_label="Select 4 × 4 levels")
    assert [intent["levels"] for intent in page.intents("cell")][5] == [1, 2]


def test_the_heading_says_what_is_fixed_and_what_moves(card: Card, session: Session) -> None:
    assert (
        "In each row one level is drawn again. Levels above are fixed, levels below keep their noise"
        in Reader(levels.heading(card, session, None)).all("p")[0].text
    )
    cold = session.with_view("levels", LadderView(rows="groups", below="mean"))
    page = Reader(levels.heading(card, cold, None))
    assert "one resolution is drawn again. Levels above are fixed, levels below take the mean" in page.all("p")[0].text
    assert [e.text for e in page.all("button", aria_pressed="true")] == ["Groups", "Mean"]


def test_one_resolution_leaves_no_choice_of_rows() -> None:
    card = make_card((1, 1))
    assert {"rows"} & {
        key for i in Reader(levels.heading(card, start(card), None)).intents("ladder_view") for key in i
    } == set()


def test_a_test_image_without_noise_is_told_why(session: Session) -> None:
    card = make_card(prior="bernoulli")
    encoded = session.changed({**session.recipe, "source": {"example": 0}})
    assert "does not tell its noise" in levels.heading(card, encoded, None)
    assert "does not tell its noise" not in levels.heading(card, session, None)


def test_nothing_from_outside_becomes_markup(card: Card, session: Session) -> None:
    nasty = "<script>alert('x')</script>\"&"
    named = card.model_copy(
        update={"levels": tuple(level.model_copy(update={"label": nasty}) for level in card.levels)}
    )
    page = Reader(levels.grid(named, session, found(card, session)))
    assert not page.all("script")
    assert page.all("button", title=f"{nasty}. {words.SHARE}")
    assert not Reader(levels.heading(card, replace(session, note=nasty), None)).all("script")
