"""Rendering: what is on the screen for a card and a session, read back from the HTML as a browser would."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from fake_api import FakeApi, card_document, make_card

from app import header, html, inspector, mix, mixing, plots, rail, stage
from app.client import Answer, ApiError, Card, FieldFault, ImageSize
from app.measure import Effect
from app.recipes import with_draw, with_temperature
from app.screens import start
from app.state import History, Session

PLACE = header.Place(["toy"], [("explore", "Explore"), ("mix", "Mix")], "http://api.test", "model=toy")
NASTY = "<script>alert('x')</script>\"&"


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""


class Reader(HTMLParser):
    """All elements of a piece of HTML, each with the text inside it; raises where tags do not match."""

    VOID = ("img", "input", "br", "rect", "circle", "path")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(source)
        assert not self._open, f"left open: {self._open[-1].tag}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(self.elements[-1])

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [e for e in self.elements if e.tag == tag and wanted.items() <= e.attributes.items()]

    def intents(self, do: str) -> list[dict[str, Any]]:
        sent = [json.loads(e.attributes["data-intent"] or "") for e in self.elements if "data-intent" in e.attributes]
        return [intent for intent in sent if intent["do"] == do]


@pytest.fixture
def card() -> Card:
    return make_card()


@pytest.fixture
def session(card: Card) -> Session:
    return start(card).seen(level=1)


def answer_to(session: Session) -> Answer:
    return Answer.model_validate(FakeApi().sample("toy", session.recipe))


def effects(card: Card, moved: float = 0.5) -> dict[int, Effect]:
    return {level.index: Effect(moved, np.full((8, 8), 0.2), 16) for level in card.levels}


# --- rail -----------------------------------------------------------------------------------------------------------


def test_every_level_has_a_named_handle_its_temperature_and_its_bits(card: Card, session: Session) -> None:
    page = Reader(rail.rail(card, session))
    handles = page.all("input", type="range")
    assert [handle.attributes["aria-label"] for handle in handles] == [
        "Level 0, 1 by 1, temperature",
        "Level 1, 4 by 4, temperature",
        "Level 2, 4 by 4, temperature",
        "Level 3, 8 by 8, temperature",
    ]
    assert {handle.attributes["aria-valuetext"] for handle in handles} == {"1.00"}
    assert [bits.text for bits in page.all("span", **{"class": "b"})] == ["8.00", "4.00", "2.67", "2.00"]


def test_the_rail_carries_its_one_value(card: Card, session: Session) -> None:
    page = Reader(rail.rail(card, session.seen(locks=frozenset({2}))))
    (rows,) = [element for element in page.elements if "data-rail" in element.attributes]
    assert json.loads(rows.attributes["data-rail"] or "") == [1.0] * 4
    assert json.loads(rows.attributes["data-locks"] or "") == [2]
    assert json.loads(rows.attributes["data-groups"] or "") == [[0], [1, 2], [3]]


def test_a_locked_level_has_neither_handle_nor_dice(card: Card, session: Session) -> None:
    page = Reader(rail.rail(card, session.seen(locks=frozenset({2}))))
    assert "disabled" in page.all("input", type="range")[2].attributes
    assert "disabled" in page.all("button", aria_label="Draw level 2 again")[0].attributes
    assert page.all("button", aria_label="Lock level 2", aria_pressed="true")


def test_a_level_below_a_twentieth_of_a_bit_is_inactive_but_movable(session: Session) -> None:
    document = card_document()
    document["levels"][2]["kl_bits"] = 0.049
    page = Reader(rail.rail(Card.model_validate(document), session))
    assert [e.text for e in page.all("span", **{"class": "b"})][2] == "inactive"
    assert "disabled" not in page.all("input", type="range")[2].attributes


def test_the_preset_that_the_rail_shows_is_pressed(card: Card, session: Session) -> None:
    pressed = [e.text for e in Reader(rail.rail(card, session)).all("button", aria_pressed="true")]
    assert pressed == ["Flat"]
    turned = session.changed(with_temperature(session.recipe, [0.9, 0.8, 0.7, 0.6]))
    assert "Linear" in [e.text for e in Reader(rail.rail(card, turned)).all("button", aria_pressed="true")]


def test_many_levels_are_one_row_a_resolution_until_opened() -> None:
    card = make_card((1,) * 3 + (4,) * 10 + (8,) * 20)
    session = start(card)
    page = Reader(rail.rail(card, session))
    assert len(page.all("input", type="range")) == 3 + 1 + 1  # the group with the busiest level is open
    assert [e.attributes["aria-expanded"] for e in page.all("button", **{"class": "fold"})] == [
        "true",
        "false",
        "false",
    ]
    opened = Reader(rail.rail(card, session.seen(open=frozenset({"1x1", "4x4", "8x8"}))))
    assert len(opened.all("input", type="range")) == 33


def test_a_long_group_keeps_its_handle_above_its_levels() -> None:
    card = make_card((1,) * 30)
    page = Reader(rail.rail(card, start(card)))
    handles = [json.loads(e.attributes["data-levels"] or "") for e in page.all("input", type="range")]
    assert handles == [list(range(30)), *([level] for level in range(30))]


def test_a_level_with_a_name_of_its_own_says_it() -> None:
    document = card_document((1,) * 4)
    for level in document["levels"]:
        level["label"] = f"row 0, column {level['index']}"
    card = Card.model_validate(document)
    session = start(card)
    assert Reader(rail.rail(card, session)).all("button", title="row 0, column 3")
    assert f"row 0, column {session.view.level}, 2 latents" in inspector.head(card, session, {})


def test_many_switches_of_a_mix_go_over_several_lines() -> None:
    few, many = (make_card((1,) * count) for count in (63, 64))
    assert "wrapped" not in mix.levels(few, mixing.now(start(few)))
    assert "switches wrapped" in mix.levels(many, mixing.now(start(many)))


def test_a_model_that_was_not_measured_says_so(session: Session) -> None:
    document = card_document()
    for part in (*document["levels"], *document["groups"]):
        part["kl_bits"] = None
    card = Card.model_validate(document)
    assert "not measured" in rail.rail(card, session)
    assert "–" in inspector.head(card, session, {})
    Reader(mix.levels(card, mixing.now(session)))


# --- stage ----------------------------------------------------------------------------------------------------------


def test_the_image_is_the_servers_bytes(card: Card, session: Session) -> None:
    answer = answer_to(session)
    (shown,) = Reader(stage.pictures(card, session, answer)).all("img", id="shown")
    assert shown.attributes["src"] == "data:image/png;base64," + answer.images[0].data
    assert shown.attributes["data-sha256"] == answer.images[0].sha256
    assert shown.attributes["alt"] == "Sample, seed 1240, temperature 1.00"


def test_the_download_is_the_selected_image(card: Card, session: Session) -> None:
    answer = answer_to(session)
    (link,) = Reader(stage.toolbar(card, session.seen(image=2), answer)).all("a")
    assert link.attributes["href"] == answer.images[2].url
    assert link.attributes["download"] == "toy-1242.png"


def test_the_gallery_shows_all_images(card: Card, session: Session) -> None:
    page = Reader(stage.pictures(card, session.seen(gallery=True), answer_to(session)))
    assert [intent["image"] for intent in page.intents("image")] == [0, 1, 2, 3]


def test_the_status_says_what_it_took(card: Card, session: Session) -> None:
    said = Reader(stage.status(card, session, answer_to(session))).all("p", role="status")[0].text
    assert said == "Seed 1240T 1.004 of 4 levels computed7.2 ms on CPU"


def test_the_captions_say_what_is_fixed(card: Card, session: Session) -> None:
    images = answer_to(session).images
    said = Reader(stage.strips(card, session.seen(level=2), images, images)).all("section")[0].text
    assert "Only level 2 drawn again0–1 fixed, 3 same noise" in said
    assert "Levels 0–2 fixed3 drawn again" in said


def test_the_captions_name_locked_levels(card: Card, session: Session) -> None:
    images = answer_to(session).images
    locked = session.seen(locks=frozenset({1, 3}))
    said = Reader(stage.strips(card, locked, images, images)).all("section")[0].text
    assert "Level 1 is locked" in said
    assert "2 drawn again, 3 locked" in said


def test_the_draw_that_is_on_the_screen_is_pressed(card: Card, session: Session) -> None:
    drawn = session.changed(with_draw(session.recipe, [1], 2))
    images = [answer_to(session).images[0]] * 8
    page = Reader(stage.strips(card, drawn, images, images))
    pressed = [json.loads(e.attributes["data-intent"] or "") for e in page.all("button", aria_pressed="true")]
    assert pressed[0] == {"do": "keep", "draw": 2, "below": False}


def test_a_strip_stays_when_one_of_its_draws_is_kept() -> None:
    assert {tuple(stage.strip_draws(draw)) for draw in range(8)} == {tuple(range(8))}
    assert list(stage.strip_draws(8))[0] == 8


def test_below_the_last_level_there_is_nothing_to_draw(card: Card, session: Session) -> None:
    assert "No level below" in stage.strips(card, session.seen(level=3), answer_to(session).images, [])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ApiError("busy", "x", retry_after=2.0), "Busy. Next try in 2 s."),
        (ApiError("not_ready", "x", retry_after=5.0), "The server is not ready. Next try in 5 s."),
        (ApiError("unreachable", "The server does not answer."), "The server does not answer."),
        (
            ApiError("refused", "1 field is invalid", fields=(FieldFault(pointer="#/n", detail=NASTY),)),
            f"1 field is invalid #/n: {NASTY}.",
        ),
    ],
)
def test_trouble_is_a_sentence_and_a_way_on(error: ApiError, sentence: str) -> None:
    page = Reader(stage.trouble(error))
    assert page.all("p")[0].text == sentence
    assert page.intents("retry") == [{"do": "retry"}]
    assert any("data-retry" in e.attributes for e in page.elements) == (error.kind != "refused")


# --- inspector ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moved", "words"),
    [(0.6, "Redraws the whole picture"), (0.2, "main parts"), (0.05, "small details"), (0.0, "Hardly changes")],
)
def test_the_sentence_follows_from_the_numbers(card: Card, moved: float, words: str) -> None:
    assert words in inspector.sentence(card, card.levels[1], Effect(moved, np.zeros((8, 8)), 16))


def test_before_it_is_measured_the_sentence_speaks_of_bits_only(card: Card) -> None:
    assert inspector.sentence(card, card.levels[1], None) == "Carries 24\u00a0% of the bits."


def test_one_map_a_level_on_one_scale(card: Card, session: Session) -> None:
    page = Reader(inspector.effect_pane(card, session, effects(card), 16))
    assert [intent["level"] for intent in page.intents("level")] == [0, 1, 2, 3]
    assert len({image.attributes["src"] for image in page.all("img")}) == 1
    assert "Pixel deviation over 16 draws" in page.all("p")[0].text


def test_a_large_model_is_measured_when_asked(card: Card, session: Session) -> None:
    page = Reader(inspector.effect_pane(card, session, {1: effects(card)[1]}, 16))
    assert page.intents("measure") == [{"do": "measure"}]
    assert "64 images" in page.all("span")[0].text


def test_colour_is_told_in_grey_levels(session: Session) -> None:
    card = make_card(image={"height": 8, "width": 8, "channels": 3, "bits": 8})
    said = Reader(inspector.head(card, session, effects(card, 12.3))).all("dl")[0].text
    assert "Change12.3 grey levels" in said


def test_the_plot_tells_levels_and_total(card: Card) -> None:
    bars, line = plots.bits(card, 1, "dark").data
    assert list(bars.y) == pytest.approx([8, 4, 8 / 3, 2])
    assert line.y[-1] == pytest.approx(card.bits)


# --- header, mix, and everything that comes from outside ------------------------------------------------------------


def test_the_header_gives_the_likelihood_with_its_estimator(card: Card, session: Session) -> None:
    page = Reader(header.header(PLACE, card, session, {}, "toy"))
    assert "Test −ELBO82.5 nats/image, 0.152 bits/dim" in page.all("dl")[0].text
    assert page.all("div", title="ELBO, mean over 10,000 test images.")


def test_curl_and_python_carry_the_whole_recipe(session: Session) -> None:
    recipe = answer_to(session).recipe
    command = header.curl("http://api.test", "toy", recipe)
    assert json.dumps(recipe, separators=(",", ":")) in command
    lines = header.python("http://api.test", "toy", recipe)
    assert repr(recipe) in lines
    compile(lines, "copied", "exec")


def test_the_link_names_the_recipe_and_what_is_selected(session: Session) -> None:
    assert header.link(session, {"locks": "0,2"}, "abc") == "model=toy&screen=explore&level=1&locks=0,2&r=abc"


def test_a_recipe_that_is_too_long_for_a_link_is_left_out(session: Session) -> None:
    assert header.link(session, {}, "a" * 20_000) == "model=toy&screen=explore&level=1"


def test_the_switches_of_a_mix_name_their_image(card: Card, session: Session) -> None:
    page = Reader(mix.levels(card, replace(mixing.now(session), levels=(0, 2))))
    named = [e.attributes["aria-label"] for e in page.all("button", **{"class": "ab"})]
    assert named == ["Level 0 from B", "Level 1 from A", "Level 2 from B", "Level 3 from A"]
    assert "0, 2: 10.7 of 16.7 bits" in page.all("div", **{"class": "hd"})[0].text


def test_nothing_from_outside_becomes_markup(session: Session) -> None:
    document = card_document()
    document |= {"id": NASTY, "dataset": NASTY, "provider": NASTY}
    document["examples"][0]["label"] = NASTY
    document["metrics"][0] |= {"estimator": NASTY, "split": NASTY, "note": NASTY}
    for level in document["levels"]:
        level["group"] = document["groups"][0]["name"] if level["index"] == 0 else level["group"]
        level["label"] = NASTY
    card = Card.model_validate(document)
    nasty = replace(session, model=NASTY, note=NASTY)
    answer = answer_to(session).model_copy(update={"provider": NASTY, "model": NASTY})
    everything = [
        header.header(header.Place([NASTY], [("mix", "Mix")], NASTY, NASTY), card, nasty, answer.recipe, NASTY),
        rail.rail(card, nasty),
        stage.toolbar(card, nasty, answer),
        stage.pictures(card, nasty, answer),
        stage.status(card, nasty, answer),
        stage.examples(card, ["data:,"]),
        inspector.head(card, nasty, effects(card)),
        mix.sources(card, mixing.now(nasty), None, None),
        mix.levels(card, mixing.now(nasty)),
    ]
    for piece in everything:
        assert "<script" not in piece
        assert not Reader(piece).all("script")


# --- exact pixels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "box", "shown"), [(28, 392, 392), (28, 84, 84), (32, 392, 384), (16, 56, 48)])
def test_images_are_enlarged_by_whole_numbers(size: int, box: int, shown: int) -> None:
    assert html.scaled(ImageSize(height=size, width=size, channels=1), box) == (shown, shown)


def test_an_image_larger_than_its_box_fits_it() -> None:
    assert html.scaled(ImageSize(height=1024, width=512, channels=3), 392) == (196, 392)


def test_level_numbers_are_joined_to_runs() -> None:
    assert html.span([0]) == "0"
    assert html.span([4, 5, 6, 1]) == "1, 4–6"


def test_the_coarsest_group_has_the_first_fill_and_the_finest_the_last() -> None:
    card = make_card((1, 2, 4, 8, 16, 32))
    assert html.fill(card, "1x1") == "--g:var(--g0);--on:var(--on0)"
    assert html.fill(card, "32x32") == "--g:var(--g3);--on:var(--on3)"
    assert "color-mix" in html.fill(card, "4x4")
    assert html.fill_rgb(card, "32x32", "light") == "rgb(152,165,239)"


def test_a_history_that_is_empty_disables_its_button(card: Card, session: Session) -> None:
    page = Reader(header.header(PLACE, card, session, {}, "toy"))
    assert "disabled" in page.all("button", aria_label="Undo")[0].attributes
    moved = session.with_history("explore", History(session.recipe, past=(session.recipe,)))
    page = Reader(header.header(PLACE, card, moved, {}, "toy"))
    assert "disabled" not in page.all("button", aria_label="Undo")[0].attributes
