"""What a dropped file says of itself, and what the explorer makes of it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from fake_api import FakeApi, card_document
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from test_app_explorer import Person

from app.dropped import Carried, carried

RECIPE = {
    "source": {"seeds": [77]},
    "n": 1,
    "temperature": [1.0] * 4,
    "levels": {},
    "edits": [],
    "output": {"image": "mean"},
}


def png(**texts: str) -> str:
    about, file = PngInfo(), io.BytesIO()
    for key, value in texts.items():
        about.add_itxt(f"strata.{key}", value)
    Image.new("L", (4, 4)).save(file, "PNG", pnginfo=about)
    return base64.b64encode(file.getvalue()).decode()


def dropped(person: Person, data: str) -> Person:
    return person.wants({"do": "restore", "data": data})


def test_a_png_says_its_model_and_its_recipe() -> None:
    assert carried(png(model="toy", recipe=json.dumps(RECIPE))) == Carried("toy", RECIPE)


@pytest.mark.parametrize(
    "data",
    [
        png(),
        png(model="toy"),
        png(model="toy", recipe="no JSON"),
        png(model="toy", recipe="[1]"),
        png(model="toy", recipe="[" * 100_000),
        png(model="toy", recipe=json.dumps(RECIPE))[:60],
        base64.b64encode(b"GIF89a").decode(),
        "no base64",
        "",
    ],
)
def test_whatever_else_it_is_says_nothing(data: str) -> None:
    assert carried(data) is None


def test_explore_goes_on_with_the_recipe_and_undo_leads_back() -> None:
    person = dropped(Person().opens(), png(model="toy", recipe=json.dumps(RECIPE)))
    assert person.session.screen == "explore"
    assert person.session.recipe["source"] == {"seed": 77}
    assert 'data-seed="77"' in person.regions["pictures"]
    assert person.wants({"do": "undo"}).session.recipe["source"] == {"seed": 1240}


def test_its_model_is_chosen_with_it() -> None:
    person = Person(FakeApi(card_document(), card_document(name="other"))).opens()
    assert dropped(person, png(model="other", recipe=json.dumps(RECIPE))).session.model == "other"
    assert person.session.recipe["source"] == {"seed": 77}


@pytest.mark.parametrize(
    ("texts", "said"),
    [({}, "no PNG that carries a recipe"), ({"model": "gone", "recipe": "{}"}, "made by gone")],
)
def test_what_cannot_be_restored_changes_nothing_and_is_told(texts: dict[str, Any], said: str) -> None:
    person = Person().opens()
    before = person.session.recipe
    assert said in dropped(person, png(**texts)).regions["status"]
    assert person.session.recipe == before
