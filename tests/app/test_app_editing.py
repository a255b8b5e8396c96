"""The Edit screen's intents, its links, and how it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_api import FakeApi, card_document, make_card
from test_app_explorer import Person
from test_app_screen import Reader

from app import changing, edit, editing
from app.client import Card, SampleImage
from app.editing import Tools

CARD = make_card()


def edited(*intents: dict[str, Any]) -> Person:
    person = Person().opens().wants({"do": "screen", "name": "edit"})
    for intent in intents:
        person.wants(intent)
    return person


def test_the_first_image_has_the_middle_of_a_grid_painted_and_nothing_changed() -> None:
    now = editing.now(edited().session)
    assert (now.level, now.cells, now.edits) == (1, "0000" + "0110" * 2 + "0000", ())
    assert now.before["source"] == {"seed": 1240}


def test_another_level_has_the_same_place_painted() -> None:
    now = editing.now(edited({"do": "edit_level", "level": 3}).session)
    assert now.cells == "0" * 16 + "00111100" * 4 + "0" * 16


@pytest.mark.parametrize(
    "intent",
    [
        {"do": "paint", "level": 2, "cells": "1" * 16},
        {"do": "paint", "level": 1, "cells": "1" * 17},
        {"do": "edit_level", "level": 9},
        {"do": "edit_image", "example": 9},
        {"do": "edit_image"},
        {"do": "edit_other", "example": 9},
        {"do": "drop_change", "index": 3},
    ],
)
def test_what_does_not_fit_changes_nothing(intent: dict[str, Any]) -> None:
    before, after = edited().session, edited(intent).session
    assert (editing.now(after), editing.tools(after)) == (editing.now(before), editing.tools(before))


def test_a_stroke_and_a_change_are_one_undo_step_each() -> None:
    person = edited({"do": "paint", "level": 1, "cells": "1" + "0" * 15}, {"do": "change", "how": "again"})
    assert len(editing.now(person.session).edits) == 1
    person.wants({"do": "undo"})
    assert (editing.now(person.session).edits, editing.now(person.session).cells) == ((), "1" + "0" * 15)
    person.wants({"do": "undo"})
    assert editing.now(person.session).cells == "0000" + "0110" * 2 + "0000"
    person.wants({"do": "redo"}, {"do": "redo"})
    assert len(editing.now(person.session).edits) == 1


def test_nothing_is_done_to_no_cells() -> None:
    person = edited({"do": "paint_all", "what": "none"}, {"do": "change", "how": "again"})
    assert editing.now(person.session).edits == ()


def test_a_change_that_a_recipe_does_not_hold_is_told() -> None:
    person = edited()
    for step in range(32):
        cells = f"{step + 1:016b}"
        person.wants({"do": "paint", "level": 1, "cells": cells}, {"do": "change", "how": "again"})
    assert len(editing.now(person.session).edits) == 32
    person.wants({"do": "paint_all", "what": "all"}, {"do": "change", "how": "again"})
    assert len(editing.now(person.session).edits) == 32
    assert "holds 32 edits" in person.regions["edit_status"]


def test_the_tools_decide_the_change_and_are_no_step() -> None:
    person = edited(
        {"do": "edit_tools", "space": "latent"},
        {"do": "edit_other", "example": 2},
        {"do": "change", "how": "swap"},
        {"do": "edit_tools", "temperature": 0.5},
        {"do": "change", "how": "cool"},
    )
    swap, cool = editing.now(person.session).edits
    assert (swap["source"], swap["space"], cool["temperature"]) == ({"example": 2}, "latent", 0.5)
    assert len(person.session.history.past) == 2


def test_the_noise_of_a_test_image_is_not_taken_where_it_has_none() -> None:
    discrete = make_card(prior="bernoulli")
    assert editing.space(Tools(source={"example": 1}), discrete) == "latent"
    assert editing.space(Tools(source={"seed": 1}), discrete) == "noise"


def test_a_new_image_is_edited_in_the_same_places() -> None:
    person = edited({"do": "change", "how": "again"}, {"do": "new_seed"})
    now = editing.now(person.session)
    assert (now.before["source"], len(now.edits)) == ({"seed": 4711}, 1)
    person.wants({"do": "edit_image", "example": 1}, {"do": "new_seed"})
    assert editing.now(person.session).before["source"]["example"] == 4711 % 3


def test_explore_and_edit_hand_each_other_their_image() -> None:
    person = Person().opens().wants({"do": "image", "image": 2}, {"do": "screen", "name": "edit"})
    person.wants({"do": "edit_image", "explore": True}, {"do": "change", "how": "again"})
    assert editing.now(person.session).before["source"] == {"seed": 1242}
    after = editing.now(person.session).after
    person.wants({"do": "edit_explore"})
    assert (person.session.screen, person.session.recipe) == ("explore", after)


def test_a_link_brings_back_the_changes_the_cells_and_the_tools() -> None:
    person = edited(
        {"do": "edit_image", "example": 1},
        {"do": "change", "how": "again"},
        {"do": "edit_level", "level": 3},
        {"do": "edit_tools", "brush": 3, "temperature": 0.65, "space": "latent"},
        {"do": "edit_other", "seed": 5},
    )
    header = Reader(person.regions["header"]).all("header")[0].attributes["data-link"] or ""
    query = dict(part.split("=", 1) for part in header.split("&"))
    again = Person(person.api, query).opens()
    assert editing.now(again.session) == editing.now(person.session)
    assert editing.tools(again.session) == editing.tools(person.session)


@pytest.mark.parametrize("key", ["brush", "other", "take", "cool"])
@pytest.mark.parametrize("value", ["", "x", "-1", "9999", "1.9", "seed-x"])
def test_what_makes_no_sense_in_a_link_is_left_as_it_was(key: str, value: str) -> None:
    assert editing.from_query(Tools(), {key: value}, CARD) == Tools()


# --- how it reads -----------------------------------------------------------------------------------------------------


@pytest.fixture
def image() -> SampleImage:
    return SampleImage.model_validate(FakeApi().sample("toy", {"source": {"seed": 1}})["images"][0])


def test_the_board_has_the_servers_bytes_and_the_grid_of_the_level(image: SampleImage) -> None:
    page = Reader(edit.board(CARD, edited().session, image))
    (shown,) = page.all("img", id="edited")
    assert (shown.attributes["src"], shown.attributes["data-sha256"]) == (image.url, image.sha256)
    (board,) = page.all("div", id="board")
    assert board.attributes["data-cells"] == "0000" + "0110" * 2 + "0000"
    assert board.attributes["data-columns"] == "4"
    assert "4 by 4: 4 painted" in (board.attributes["aria-label"] or "")


def test_a_fine_grid_has_brushes_and_a_coarse_one_has_none(image: SampleImage) -> None:
    fine = make_card((4, 16))
    person = Person(FakeApi(card_document((4, 16)))).opens().wants({"do": "screen", "name": "edit"})
    assert 'aria-label="Brush"' not in edit.board(fine, person.session, image)
    person.wants({"do": "edit_level", "level": 1}, {"do": "edit_tools", "brush": 3})
    page = Reader(edit.board(fine, person.session, image))
    assert page.all("div", id="board")[0].attributes["data-brush"] == "3"
    assert [one.attributes["aria-label"] for one in page.all("button", aria_pressed="true")] == ["3 by 3 cells"]


def test_a_level_without_a_grid_is_edited_whole_and_says_so(image: SampleImage) -> None:
    flat = make_card((1, 1, 1))
    person = Person(FakeApi(card_document((1, 1, 1)))).opens().wants({"do": "screen", "name": "edit"})
    assert edit.NO_GRID in edit.board(flat, person.session, image)
    assert 'id="board"' not in edit.board(flat, person.session, image)
    assert "All of level 0" in edit.changes(flat, person.session, image)
    person.wants({"do": "change", "how": "again"})
    (made,) = editing.now(person.session).edits
    assert "mask" not in made


def test_without_a_painted_cell_nothing_can_be_done(image: SampleImage) -> None:
    page = Reader(edit.changes(CARD, edited({"do": "paint_all", "what": "none"}).session, image))
    assert all("disabled" in one.attributes for one in page.all("button") if "change" in str(one.attributes))
    assert "Paint at least one cell" in [heading.text for heading in page.all("h2")]


def test_every_change_is_listed_in_words_and_can_be_removed(image: SampleImage) -> None:
    person = edited({"do": "change", "how": "again"}, {"do": "change", "how": "swap"}, {"do": "change", "how": "cool"})
    page = Reader(edit.result(CARD, person.session, image, image))
    assert [item.text for item in page.all("li")] == [
        "Level 1, 4 of 16 cells: drawn again, draw 1",
        "Level 1, 4 of 16 cells: noise of seed 1241",
        "Level 1, 4 of 16 cells: temperature 0.30",
    ]
    assert [one["index"] for one in page.intents("drop_change")] == [0, 1, 2]


def test_the_figures_say_how_much_changed_and_where() -> None:
    person = edited({"do": "change", "how": "again"})
    now = editing.now(person.session)
    before, after = (person.api.sample("toy", recipe)["images"][0] for recipe in (now.before, now.after))
    page = edit.result(CARD, person.session, *(SampleImage.model_validate(one) for one in (before, after)))
    assert "grey levels" in page
    assert "25 % of the image" in page
    assert "Nothing is changed yet" in edit.result(CARD, edited().session, *([SampleImage.model_validate(before)] * 2))


def test_the_heading_says_what_the_levels_below_do() -> None:
    session = edited().session
    assert "levels below adapt" in edit.heading(CARD, session)
    stay = session.pushed("edit", changing.with_below(editing.now(session), CARD, "stay"))
    assert "keep their values" in edit.heading(CARD, stay)
    discrete: Card = make_card(prior="bernoulli")
    test = replace(editing.now(session), before=changing.start({"example": 1}, discrete))
    assert edit.KEEPS_NO_NOISE in edit.heading(discrete, session.pushed("edit", test))
