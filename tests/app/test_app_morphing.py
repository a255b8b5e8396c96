"""The Morph screen: the list of images, the jobs that it stands for, its links, and how it reads."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from fake_api import FakeApi, card_document, make_card
from PIL import Image
from test_app_explorer import Person
from test_app_screen import Reader

from app import apng, morph, morphing, recipes
from app.morphing import Exporting, Film, Motion
from app.screens.screen import Regions

CARD = make_card()


def morphed(*intents: dict[str, Any], api: FakeApi | None = None) -> Person:
    person = Person(api).opens().wants({"do": "screen", "name": "morph"})
    for intent in intents:
        person.wants(intent)
    return person


def follows(person: Person) -> list[Regions]:
    async def all_of_it() -> list[Regions]:
        return [found async for found in person.explorer.settle(person.session) if "morph_film" in found]

    return asyncio.run(all_of_it())


def sources(person: Person) -> list[dict[str, Any]]:
    return [one["source"] for one in morphing.now(person.session).keyframes]


# --- the list ---------------------------------------------------------------------------------------------------------


def test_three_seeds_are_there_from_the_start() -> None:
    assert sources(morphed()) == [{"seed": 1240}, {"seed": 1241}, {"seed": 1242}]


def test_images_are_added_changed_moved_and_removed_and_each_is_one_step() -> None:
    person = morphed({"do": "morph_add"}, {"do": "morph_source", "index": 0, "example": 1})
    assert sources(person) == [{"example": 1, "seed": 0}, {"seed": 1241}, {"seed": 1242}, {"seed": 1243}]
    person.wants({"do": "morph_move", "index": 0, "by": 1}, {"do": "morph_drop", "index": 0})
    assert sources(person) == [{"example": 1, "seed": 0}, {"seed": 1242}, {"seed": 1243}]
    for _ in range(4):
        person.wants({"do": "undo"})
    assert sources(person) == [{"seed": 1240}, {"seed": 1241}, {"seed": 1242}]


def test_after_a_test_image_comes_the_next_one() -> None:
    person = morphed({"do": "morph_source", "index": 2, "example": 2}, {"do": "morph_add"})
    assert sources(person)[-1] == {"example": 0, "seed": 0}
    assert sources(person.wants({"do": "new_seed"}))[-1] == {"seed": 4711}


def test_the_image_in_explore_comes_along_as_it_is() -> None:
    person = Person().opens().wants({"do": "draw", "level": 1}, {"do": "screen", "name": "morph"})
    person.wants({"do": "morph_source", "index": 1, "explore": True})
    assert morphing.now(person.session).keyframes[1] == recipes.single(person.session.recipe, 0)


@pytest.mark.parametrize(
    "intent",
    [
        {"do": "morph_source", "index": 3, "seed": 1},
        {"do": "morph_source", "index": 0, "example": 9},
        {"do": "morph_move", "index": 0, "by": -1},
        {"do": "morph_move", "index": 2, "by": 1},
        {"do": "morph_drop", "index": 3},
    ],
)
def test_what_does_not_fit_changes_nothing(intent: dict[str, Any]) -> None:
    assert morphing.now(morphed(intent).session) == morphing.first(CARD)


def test_there_are_at_most_32_images_and_at_least_one() -> None:
    person = morphed(*[{"do": "morph_add"}] * 40)
    assert len(sources(person)) == 32
    person = morphed(*[{"do": "morph_drop", "index": 0}] * 4).waits()
    assert len(sources(person)) == 1
    assert morph.ALONE in person.regions["morph_player"]


# --- jobs -------------------------------------------------------------------------------------------------------------


def test_the_job_says_all_of_the_film() -> None:
    film = Film(morphing.first(CARD).keyframes, Motion(stagger=0.4, loop=False))
    assert morphing.job(film, CARD, Exporting("gif", 4)) == {
        "kind": "morph",
        "model": "toy",
        "keyframes": list(film.keyframes),
        "space": "auto",
        "stagger": 0.4,
        "easing": "smooth",
        "transition_s": 2.0,
        "hold_s": 0.5,
        "fps": 15,
        "loop": False,
        "format": "gif",
        "scale": 4,
    }
    assert (film.frames, film.seconds) == (3 + 2 * 29, 5.5)


@pytest.mark.parametrize(("side", "offered", "first"), [(28, (4, 8, 16), 8), (256, (1, 2, 4), 1), (2000, (1,), 1)])
def test_a_file_is_neither_a_stamp_nor_a_poster(side: int, offered: tuple[int, ...], first: int) -> None:
    card = make_card(image={"height": side, "width": side, "channels": 3, "bits": 8})
    assert morphing.scales(card) == offered
    assert morphing.first_export(card).scale == first


def test_a_preview_is_the_same_way_with_fewer_pictures() -> None:
    film = Film(morphing.first(CARD).keyframes, Motion(stagger=0.4, transition_s=4.0, fps=30))
    asked = morphing.preview(film, CARD)
    assert (asked["transition_s"], asked["fps"], asked["hold_s"], asked["scale"]) == (8.0, 1, 0.0, 1)
    assert (asked["stagger"], asked["easing"]) == (0.4, "smooth")
    long = Film(film.keyframes * 10, film.motion)
    assert morphing.steps(long) == 2
    assert morphing.place(film, 10) == (1, 2, 0.25)
    assert morphing.place(film, 23) == (2, 0, 0.875)


def test_equal_pictures_in_a_row_are_told_apart_by_their_time() -> None:
    pictures = [Image.new("L", (4, 4), grey) for grey in (0, 0, 0, 90, 90, 200)]
    film = io.BytesIO()
    pictures[0].save(film, "PNG", save_all=True, append_images=pictures[1:], duration=1000)
    found = apng.pictures(film.getvalue(), 1000.0)
    greys = [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).getpixel((0, 0)) for url in found]
    assert greys == [0, 0, 0, 90, 90, 200]


def test_the_preview_is_one_job_and_going_back_asks_for_none() -> None:
    person = morphed().waits()
    assert len(Reader(person.regions["morph_strip"]).all("button")) == 24
    person.wants({"do": "morph_set", "stagger": 0.8}).waits()
    person.wants({"do": "undo"}).waits()
    assert len(person.api.jobs) == 2
    person.wants({"do": "export_as", "scale": 4}).waits()
    assert len(person.api.jobs) == 2


def test_an_export_is_followed_to_the_servers_bytes() -> None:
    person = morphed({"do": "export"})
    (id,) = person.api.jobs
    assert "<b>0</b> of" in person.regions["morph_film"]
    assert Reader(person.regions["morph_export"]).all("button", id="export")[0].attributes.get("disabled", "no") != "no"
    *told, last = follows(person)
    assert "<b>1</b> of" in told[0]["morph_film"]
    (link,) = Reader(last["morph_film"]).all("a")
    file = base64.b64decode((link.attributes["href"] or "").partition(",")[2])
    assert file == person.api.films[id]
    assert link.attributes["data-sha256"] == hashlib.sha256(file).hexdigest()
    assert link.attributes["download"] == "toy-morph.apng"
    assert "disabled" not in Reader(last["morph_export"]).all("button", id="export")[0].attributes
    assert follows(person) == []


def test_an_export_is_called_off() -> None:
    person = morphed({"do": "export"}, {"do": "cancel_export"})
    assert [job["state"] for job in person.api.jobs.values()] == ["cancelled"]
    assert morph.CALLED_OFF in person.regions["morph_status"]
    assert person.regions["morph_film"] == ""
    assert follows(person) == []


def test_what_the_server_does_not_make_is_told() -> None:
    person = morphed({"do": "export_as", "format": "mp4"}, {"do": "export"})
    assert "This server makes no MP4" in person.regions["morph_status"]
    person = morphed()
    person.api.answer_with = httpx.Response(429, json={"status": 429}, headers={"Retry-After": "3"})
    person.wants({"do": "export"})
    assert "3 s" in person.regions["morph_status"]
    person.waits()
    assert "Next try in 3 s" in person.regions["morph_status"]


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_link_brings_back_images_way_and_file() -> None:
    person = Person().opens().wants({"do": "draw", "level": 1}, {"do": "screen", "name": "morph"})
    person.wants(
        {"do": "morph_source", "index": 0, "explore": True},
        {"do": "morph_source", "index": 1, "example": 2},
        {"do": "morph_set", "stagger": 0.8, "space": "latent", "loop": False, "fps": 30, "hold_s": 0.0},
        {"do": "export_as", "format": "webp", "scale": 16},
    )
    link = Reader(person.regions["header"]).all("header")[0].attributes["data-link"] or ""
    again = Person(person.api, dict(parse_qsl(link))).opens()
    assert morphing.now(again.session) == morphing.now(person.session)
    assert morphing.exporting(again.session) == morphing.exporting(person.session)


@pytest.mark.parametrize("value", ["", "x", "-1", "1e999", "nan", "99", "{}", recipes.to_token({"n": 1})])
@pytest.mark.parametrize("key", ["keys", "stagger", "space", "fps", "loop", "format", "scale"])
def test_what_makes_no_sense_in_a_link_is_as_at_the_start(key: str, value: str) -> None:
    film, export = morphing.from_query(CARD, {key: value})
    if (key, value) != ("fps", "99"):
        assert (film, export) == (morphing.first(CARD), morphing.first_export(CARD))


def test_recipes_of_another_model_or_none_are_left_out_of_a_link() -> None:
    other = morphing.first(make_card((1, 4))).keyframes[0]
    strange = {**morphing.first(CARD).keyframes[0], "source": {"latents": "0"}}
    for recipe in (other, strange, {**other, "more": 1}):
        assert morphing.from_query(CARD, {"keys": recipes.to_token(recipe)})[0] == morphing.first(CARD)


# --- how it reads -----------------------------------------------------------------------------------------------------


def test_every_image_of_the_list_has_its_own_controls_and_the_servers_bytes() -> None:
    person = morphed()
    page = Reader(person.regions["morph_keys"])
    answer = person.api.sample("toy", morphing.now(person.session).keyframes[1])["images"][0]
    assert page.all("img")[1].attributes["data-sha256"] == answer["sha256"]
    assert [one["index"] for one in page.intents("morph_drop")] == [0, 1, 2]
    labels = {label.text for label in page.all("label") if label.attributes.get("class") == "vh"}
    assert labels == {"Source of image 1", "Source of image 2", "Source of image 3"}


def test_the_strip_names_the_images_and_says_where_every_picture_is() -> None:
    page = Reader(morphed().waits().regions["morph_strip"])
    said = [one.attributes["data-said"] for one in page.all("button")]
    assert said[0] == "Image 1, seed 1240"
    assert said[10] == "25 % of the way from image 2 to image 3"
    times = {one.attributes["data-ms"] for one in page.all("button")}
    assert times == {"250", "750"}


def test_where_nothing_lies_between_latents_only_seeds_are_offered_and_said_why() -> None:
    person = morphed(api=FakeApi({**card_document(), "prior": "bernoulli"}))
    assert morph.ONLY_SEEDS in person.regions["morph_keys"]
    assert "test image" not in person.regions["morph_keys"]
    person.wants({"do": "morph_source", "index": 0, "example": 1}, {"do": "morph_source", "index": 0, "explore": True})
    assert sources(person)[0] == {"seed": 1240}
    (latents,) = [one for one in Reader(person.regions["morph_motion"]).all("button") if one.text == "Latents"]
    assert "disabled" in latents.attributes


def test_every_setting_says_what_it_means() -> None:
    page = Reader(morph.motion(CARD, morphing.first(CARD)))
    assert all(one.attributes["title"] for one in page.all("button"))
    pressed = [one.text for one in page.all("button", aria_pressed="true")]
    assert pressed == ["Together", "Auto", "Smooth", "2 s", "0.5 s", "15", "Loop"]


def test_an_export_says_how_long_and_how_large_it_will_be() -> None:
    session = morphed().session
    page = morph.export(CARD, session.with_view("morph", replace(Exporting(), scale=4)), running=False)
    assert all(part in page for part in ("<b>90</b> frames", "<b>7.5</b> seconds", "<b>32 × 32</b> pixels"))
    assert json.dumps({"do": "export"}).replace('"', "&quot;") in page
