"""The Reconstruct screen as it is read: one step in figures, every step in the strip, and what the image costs."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from fake_api import FakeApi, make_card
from test_app_screen import Reader

from app import curve, reconstruct, reconstructing
from app.client import Card, Progressive, RateMaps
from app.measure import decode, signed_map
from app.reconstructing import Reconstruction, Source
from app.screens import start

NOW = Reconstruction(Source(example=1), 3)


@pytest.fixture
def card() -> Card:
    return make_card()


@pytest.fixture
def found() -> Progressive:
    return Progressive.model_validate(FakeApi().progressive("toy", {"subject": {"example": 1}, "others": "mean"}))


@pytest.fixture
def maps() -> RateMaps:
    return RateMaps.model_validate(FakeApi().rate_maps("toy", {"subject": {"example": 1}}))


def test_the_step_is_the_servers_bytes(card: Card, found: Progressive, maps: RateMaps) -> None:
    (shown,) = Reader(reconstruct.view(card, NOW, found, maps)).all("img", id="kept")
    assert shown.attributes["src"] == found.steps[3].url
    assert shown.attributes["data-sha256"] == found.steps[3].sha256


def test_levels_bits_and_psnr_of_the_step_with_their_units(card: Card, found: Progressive, maps: RateMaps) -> None:
    page = Reader(reconstruct.view(card, NOW, found, maps))
    said = [element.text for element in page.all("span", **{"class": "big"})]
    assert said == ["3 of 4 levels", "7.5 of 10.0 bits", "20.0 dB PSNR"]
    (scrubber,) = page.all("input", id="scrubber")
    assert (scrubber.attributes["max"], scrubber.attributes["value"]) == ("4", "3")
    assert scrubber.attributes["aria-valuetext"] == "3 of 4 levels, 7.5 bits, 20.0 dB"
    assert len(page.all("i", **{"class": "in"})) == 3


def test_one_map_a_resolution(card: Card, found: Progressive, maps: RateMaps) -> None:
    page = Reader(reconstruct.view(card, NOW, found, maps))
    assert len([image for image in page.all("img") if (image.attributes["alt"] or "").startswith("Bits of")]) == 3
    assert "0.40 bits per pixel" in page.all("div", **{"class": "mhd"})[0].text


def test_every_step_is_in_the_strip_and_on_the_curve(found: Progressive) -> None:
    strip = Reader(reconstruct.strip(make_card(), NOW, found))
    assert [intent["kept"] for intent in strip.intents("kept")] == [0, 1, 2, 3, 4]
    (pressed,) = strip.all("button", aria_pressed="true")
    assert json.loads(pressed.attributes["data-intent"] or "") == {"do": "kept", "kept": 3}
    assert pressed.text == "37.5 bits20.0 dB"
    assert len(Reader(reconstruct.curve(NOW, found)).all("circle")) == 5 + 1


def test_an_image_that_is_met_exactly_has_no_end_of_decibel(found: Progressive) -> None:
    exact = found.model_copy(update={"steps": (*found.steps[:4], found.steps[4].model_copy(update={"psnr": None}))})
    last = replace(NOW, kept=4)
    assert "∞ dB" in reconstruct.strip(make_card(), last, exact)
    assert len(Reader(reconstruct.curve(last, exact)).all("circle")) == 5 + 1


def test_the_cost_stands_beside_the_data_sets(found: Progressive) -> None:
    page = Reader(reconstruct.curve(NOW, found))
    assert page.all("h2", **{"class": "cost"})[0].text == "12.0 nats, 0.114 bits/dim"
    assert "−ELBO. 25 % cheaper than the mean of 10,000 test images, 0.152 (ELBO)." in [p.text for p in page.all("p")]
    dear = found.model_copy(update={"bits_per_dim": 0.304})
    assert "100 % dearer" in reconstruct.curve(NOW, dear)
    assert "The data set was not measured" in reconstruct.curve(NOW, found.model_copy(update={"dataset": None}))


def test_the_picture_that_is_reconstructed_is_pressed(card: Card) -> None:
    urls = ["data:,0", "data:,1", "data:,2"]
    page = Reader(reconstruct.picker(card, NOW, urls))
    (pressed,) = page.all("button", aria_pressed="true")
    assert json.loads(pressed.attributes["data-intent"] or "") == {"do": "pick", "example": 1}
    own = Reader(reconstruct.picker(card, replace(NOW, source=Source(image="x")), urls))
    assert not own.all("button", aria_pressed="true")
    assert "Image your image" in own.all("h2")[0].text


def test_the_heading_says_what_the_others_do(card: Card) -> None:
    session = start(card)
    assert "leave the others at their prior mean" in reconstruct.heading(session)
    drawn = session.pushed("reconstruct", replace(reconstructing.first(card), others="sample"))
    assert "draw the others from their prior" in reconstruct.heading(drawn)


def test_extra_is_red_missing_is_blue_and_nothing_is_white() -> None:
    url = signed_map(np.array([[[1.0], [0.0], [-1.0]]]))
    red, white, blue = (decode(base64.b64decode(url.partition(",")[2])) * 255)[0]
    assert red[0] > 150 > red[2]
    assert blue[2] > 150 > blue[0]
    assert white.min() == white.max() == 247


def test_the_cost_is_one_mark_among_those_of_the_test_images(found: Progressive) -> None:
    peers = [found.model_copy(update={"bits_per_dim": cost}) for cost in (0.05, 0.1, 0.2)]
    page = Reader(reconstruct.curve(NOW, found, peers))
    assert "Cheaper than 1 of the model’s 3 test images. Dashed: mean of the test set." in [
        p.text for p in page.all("p")
    ]
    assert len(page.all("path", **{"class": "peer"})) == 3
    assert "this image 0.114" in [element.text for element in page.all("text")]
    assert not Reader(reconstruct.curve(NOW, found)).all("path", **{"class": "peer"})


def test_the_mean_curve_is_the_mean_of_every_step(found: Progressive) -> None:
    better = [step.model_copy(update={"psnr": (step.psnr or 0) + 2, "bits": step.bits + 1}) for step in found.steps]
    expected = [(step.bits + 0.5, (step.psnr or 0) + 1) for step in found.steps]
    assert np.array(curve.mean_points([found.steps, better])) == pytest.approx(np.array(expected))
    exact = [*better[:-1], better[-1].model_copy(update={"psnr": None})]
    assert len(curve.mean_points([found.steps, exact])) == len(found.steps) - 1
