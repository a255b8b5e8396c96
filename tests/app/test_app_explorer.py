"""What a session shows: one request for the image, the rest in a moment, and a screen that survives trouble."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from typing import Any

import httpx
import pytest
from fake_api import FakeApi, card_document, png
from pydantic import TypeAdapter

from app import laddering, mixing, recipes, reconstructing
from app.explorer import Explorer
from app.reconstructing import Source
from app.screens import AnyIntent
from app.screens.screen import Regions
from app.state import Session

EXAMPLES = len(card_document()["examples"])
READ: TypeAdapter[AnyIntent] = TypeAdapter(AnyIntent)


class Person:
    """Somebody at the screen of a new explorer."""

    def __init__(self, api: FakeApi | None = None, query: dict[str, str] | None = None) -> None:
        self.api = api or FakeApi()
        self.explorer = Explorer(self.api.client(), fresh_seed=lambda: 4711)
        self.query = query or {}
        self.state: Session | None = None
        self.regions: Regions = {}

    @property
    def session(self) -> Session:
        assert self.state is not None
        return self.state

    def opens(self) -> Person:
        self.state, self.regions = asyncio.run(self.explorer.open(self.query))
        return self

    def wants(self, *intents: dict[str, Any]) -> Person:
        first = self.state.seq + 1 if self.state else 1
        checked = [READ.validate_python({**intent, "seq": first + i}) for i, intent in enumerate(intents)]
        self.state, self.regions = asyncio.run(self.explorer.show(self.state, checked, self.query))
        return self

    def waits(self) -> Person:
        async def all_of_it(session: Session) -> Regions:
            return {name: text async for found in self.explorer.settle(session) for name, text in found.items()}

        self.regions = asyncio.run(all_of_it(self.session))
        return self


@pytest.fixture
def person() -> Person:
    return Person().opens()


def test_opening_shows_the_models_own_images_before_the_first_sample(person: Person) -> None:
    assert "Test image 0" in person.regions["pictures"]
    assert "Loading the model" in person.regions["status"]
    assert person.api.recipes == []


def test_the_image_is_one_request(person: Person) -> None:
    person.wants()
    assert person.api.recipes == [person.session.recipe]
    assert 'id="shown"' in person.regions["pictures"]


def test_selecting_a_level_asks_for_nothing(person: Person) -> None:
    person.wants().wants({"do": "level", "level": 2})
    assert len(person.api.recipes) == 1
    assert 'data-level="2"><button type="button" class="no"' in person.regions["rail"].partition("lrow sel")[2][:60]


def test_undo_asks_for_nothing(person: Person) -> None:
    person.wants().wants({"do": "draw", "level": 1}).wants({"do": "undo"})
    assert len(person.api.recipes) == 2


def test_strips_and_effects_come_in_few_requests(person: Person) -> None:
    person.wants().waits()
    assert set(person.regions) == {"strips", "head", "effect", "foot"}
    assert "Only level 0 drawn again" in person.regions["strips"]
    # draw 0 of the second strip is draw 0 of the first
    image, alone, below, effects = 1, 8, 7, 1
    assert len(person.api.recipes) == image + alone + below + effects
    asked = person.api.recipes[-1]
    assert asked["rows"] == [[0], [1], [2], [3], [0], [1, 2], [3]]
    assert (asked["below"], asked["show"]) == ("noise", 0)


def test_what_was_measured_is_there_at_once_when_another_level_is_selected(person: Person) -> None:
    person.wants().waits().wants({"do": "level", "level": 3})
    assert "Level 3" in person.regions["head"]
    assert "Ink moved</dt><dd>–" not in person.regions["head"]
    person.api.requests.clear()
    person.waits()
    assert [recipe for recipe in person.api.recipes if recipe.get("kind")] == [], "it is not measured again"


def test_a_large_model_measures_one_level_unless_asked() -> None:
    person = Person(FakeApi({**card_document(), "latents": 4_000_000})).opens().wants().waits()
    assert "Measure all 4 levels" in person.regions["effect"]
    person.wants({"do": "measure"}).waits()
    assert "Where each level acts" in person.regions["effect"]
    assert "Measure all" not in person.regions["effect"]


def test_many_levels_are_measured_in_several_requests() -> None:
    person = Person(FakeApi(card_document((1,) * 70))).opens().wants({"do": "measure"}).waits()
    assert [len(recipe["rows"]) for recipe in person.api.recipes if recipe.get("kind")] == [32, 32, 7]
    assert "Where each level acts" in person.regions["effect"]


def test_the_mix_screen_shows_both_images_both_spaces_and_the_matrix(person: Person) -> None:
    person.wants({"do": "screen", "name": "mix"})
    assert 'id="mix-noise"' in person.regions["results"]
    assert 'id="mix-latent"' in person.regions["results"]
    assert len(person.api.recipes) == 4
    person.waits()
    assert person.regions["matrix"].count("<img") == 4 * (1 + 5)  # B and cuts after 0, 1, 2, 3 and 4 levels


def test_a_mix_in_one_space_asks_for_that_one(person: Person) -> None:
    person.wants({"do": "screen", "name": "mix"}, {"do": "mix_spaces", "spaces": "latent"})
    assert 'id="mix-noise"' not in person.regions["results"]
    assert len(person.api.recipes) == 3


def test_a_mix_that_has_no_noise_says_why_and_asks_for_none() -> None:
    person = Person(FakeApi({**card_document(), "prior": "bernoulli"})).opens()
    person.wants({"do": "screen", "name": "mix"})
    assert "No noise space" not in person.regions["results"]
    person.api.requests.clear()
    person.wants({"do": "mix_source", "which": "b", "example": 1}).waits()
    assert "Latent space." in person.regions["matrix"]
    assert {edit["space"] for recipe in person.api.recipes for edit in recipe["edits"]} == {"latent"}
    shown = asyncio.run(person.explorer.show(person.session, [], {}))[1]
    assert "No noise space for a test image" in shown["results"]
    assert shown["heading"].count("disabled") == 2


def test_a_model_of_many_levels_measures_one_unless_asked() -> None:
    person = Person(FakeApi(card_document((1,) * 65))).opens().wants().waits()
    assert "Measure all 65 levels" in person.regions["effect"]


# --- Levels ---------------------------------------------------------------------------------------------------------


def test_the_ladder_is_one_call_and_comes_in_a_moment(person: Person) -> None:
    person.wants({"do": "screen", "name": "levels"})
    assert 'id="base"' in person.regions["ladder_heading"]
    assert "Drawing 5 rows again, 16 draws each" in person.regions["ladder_status"]
    person.api.requests.clear()
    person.waits()
    assert set(person.regions) == {"ladder_grid", "ladder_status"}
    assert person.regions["ladder_status"] == ""
    (asked,) = person.api.recipes
    assert (asked["kind"], asked["rows"], asked["recipe"]["n"]) == ("ladder_grid", [[0], [1], [2], [3], [1, 2]], 1)


def test_a_cell_opens_its_recipe_in_explore_and_undo_leads_back(person: Person) -> None:
    person.wants({"do": "screen", "name": "levels"}).waits()
    before = person.session.recipe
    person.wants({"do": "cell", "levels": [2], "draw": 4})
    assert (person.session.screen, person.session.view.level) == ("explore", 2)
    assert person.session.recipe["levels"] == {"2": {"draw": 4}}
    assert 'id="shown"' in person.regions["pictures"]
    assert person.wants({"do": "undo"}).session.recipe == before


def test_below_a_cell_the_mean_is_a_temperature_of_nothing(person: Person) -> None:
    person.wants({"do": "screen", "name": "levels"}, {"do": "ladder_view", "below": "mean"})
    person.wants({"do": "cell", "levels": [1], "draw": 1})
    assert person.session.recipe["temperature"] == [1.0, 1.0, 0.0, 0.0]


def test_a_cell_that_is_not_there_changes_nothing(person: Person) -> None:
    person.wants({"do": "screen", "name": "levels"}).waits()
    before = person.session
    person.wants({"do": "cell", "levels": [9], "draw": 4})
    assert (person.session.screen, person.session.recipe) == ("levels", before.recipe)


def test_a_link_brings_the_ladder_back(person: Person) -> None:
    person.wants(
        {"do": "level", "level": 2},
        {"do": "image", "image": 1},
        {"do": "screen", "name": "levels"},
        {"do": "ladder_view", "rows": "groups"},
        {"do": "ladder_view", "below": "resample", "hidden": False},
        {"do": "ladder_again"},
    )
    link = httpx.URL("http://x/?" + _link(person.regions))
    again = Person(person.api, dict(link.params)).opens().wants().session
    assert (again.screen, again.recipe, again.view) == ("levels", person.session.recipe, person.session.view)
    assert laddering.view(again) == laddering.view(person.session)


def test_a_busy_server_leaves_the_ladder_and_says_so(person: Person) -> None:
    person.wants({"do": "screen", "name": "levels"})
    person.api.answer_with = httpx.Response(429, headers={"Retry-After": "2"}, json={"detail": "full"})
    person.waits()
    assert set(person.regions) == {"ladder_status"}
    assert "Busy. Next try in 2 s." in person.regions["ladder_status"]


# --- Reconstruct ----------------------------------------------------------------------------------------------------


def test_every_step_of_an_image_comes_at_once_and_the_scrubber_asks_for_nothing(person: Person) -> None:
    person.wants({"do": "screen", "name": "reconstruct"})
    assert [recipe["kind"] for recipe in person.api.recipes] == ["progressive", "kl"]
    assert {"picker", "kept", "curve", "steps"} <= set(person.regions)
    assert "Dashed" not in person.regions["curve"]
    person.waits()
    assert len(person.api.recipes) == 2 + EXAMPLES - 1, "the test images to compare with, the first is known"
    assert f"Dashed: mean of {EXAMPLES} test images" in person.regions["curve"]
    person.api.requests.clear()
    person.wants({"do": "kept", "kept": 1}).wants({"do": "kept", "kept": 4})
    assert "Dashed" in person.regions["curve"], "what is known is there at once"
    person.waits()
    assert person.api.requests == []


@pytest.mark.parametrize(
    ("tab", "kind", "shown"), [("map", "kl", "All levels"), ("rate", "progressive", "Levels 0–0:")]
)
def test_two_tabs_of_the_inspector_encode_the_image_that_is_selected(
    person: Person, tab: str, kind: str, shown: str
) -> None:
    person.wants({"do": "image", "image": 1}, {"do": "tab", "name": tab}).waits()
    (asked,) = [recipe for recipe in person.api.recipes if recipe.get("kind") == kind]
    assert asked["subject"]["recipe"]["source"] == {"seed": recipes.FIRST_SEED + 1}
    assert shown in person.regions["encoded"]
    person.api.requests.clear()
    person.wants({"do": "level", "level": 2}).waits()
    assert [recipe for recipe in person.api.recipes if recipe.get("kind") == kind] == [], "the dot moves by itself"
    assert "encoded" not in person.wants({"do": "tab", "name": "effect"}).waits().regions


def test_a_large_model_is_not_compared_with_its_test_images() -> None:
    person = Person(FakeApi({**card_document(), "latents": 4_000_000})).opens()
    person.wants({"do": "screen", "name": "reconstruct"}).waits()
    assert [recipe["kind"] for recipe in person.api.recipes] == ["progressive", "kl"]


def test_an_upload_is_brought_to_the_models_size_first(person: Person) -> None:
    sent = base64.b64encode(png(b"mine")).decode()
    person.wants({"do": "screen", "name": "reconstruct"})
    person.wants({"do": "upload", "media_type": "image/png", "data": sent})
    assert reconstructing.now(person.session).source == Source(image=sent)
    assert "your image" in person.regions["picker"]
    assert reconstructing.now(person.wants({"do": "undo"}).session).source == Source(example=0)


@pytest.mark.parametrize("data", ["bm8gaW1hZ2U=", "not base64"])
def test_what_is_no_image_is_told_and_changes_nothing(person: Person, data: str) -> None:
    person.wants({"do": "screen", "name": "reconstruct"})
    person.wants({"do": "upload", "media_type": "image/png", "data": data})
    assert "no image" in person.regions["rec_status"]
    assert reconstructing.now(person.session).source == Source(example=0)


@pytest.mark.parametrize("source", [{"do": "pick", "example": 2}, {"do": "upload", "media_type": "image/png"}])
@pytest.mark.parametrize("kept", [0, 2, 4])
def test_a_link_brings_a_reconstruction_back(person: Person, source: dict[str, Any], kept: int) -> None:
    if source["do"] == "upload":
        source = {**source, "data": base64.b64encode(png(b"mine")).decode()}
    others = {"do": "others", "others": "mean" if kept == 4 else "sample"}
    person.wants({"do": "screen", "name": "reconstruct"}, source, others, {"do": "kept", "kept": kept})
    link = httpx.URL("http://x/?" + _link(person.regions))
    person.api.tokens[link.params["r"]] = _recipe(link.params["r"])
    again = Person(person.api, dict(link.params)).opens().wants().session
    assert again.screen == "reconstruct"
    assert reconstructing.now(again) == reconstructing.now(person.session)


def test_a_busy_server_leaves_the_reconstruction_and_says_so(person: Person) -> None:
    person.wants({"do": "screen", "name": "reconstruct"})
    person.api.answer_with = httpx.Response(429, headers={"Retry-After": "2"}, json={"detail": "full"})
    person.wants({"do": "pick", "example": 1})
    assert "kept" not in person.regions
    assert "Busy. Next try in 2 s." in person.regions["rec_status"]


# --- links ----------------------------------------------------------------------------------------------------------


def test_a_link_brings_everything_back(person: Person) -> None:
    person.wants(
        {"do": "level", "level": 2},
        {"do": "draw", "level": 2},
        {"do": "preset", "name": "linear"},
        {"do": "lock", "level": 1},
        {"do": "image", "image": 3},
        {"do": "tab", "name": "bits"},
    )
    before = person.session
    link = httpx.URL("http://x/?" + _link(person.regions))
    again = Person(person.api, dict(link.params)).opens().wants().session
    assert again.recipe == before.recipe
    assert (again.view, again.model, again.screen) == (before.view, before.model, before.screen)


def test_a_link_brings_a_mix_back(person: Person) -> None:
    person.wants(
        {"do": "screen", "name": "mix"},
        {"do": "mix_source", "which": "a", "example": 1},
        {"do": "mix_source", "which": "b", "seed": 77},
        {"do": "mix_quick", "name": "none"},
        {"do": "mix_spaces", "spaces": "noise"},
    )
    link = httpx.URL("http://x/?" + _link(person.regions))
    again = Person(person.api, dict(link.params)).opens().wants().session
    assert mixing.now(again) == mixing.now(person.session)
    assert mixing.wanted_spaces(again) == "noise"


@pytest.mark.parametrize(
    "query",
    [
        {"level": "99", "image": "-1", "locks": "a,,7", "tab": "x", "screen": "y", "b": "z", "model": "nobody"},
        {"level": "", "image": "9" * 30, "theme": "purple"},
        {"r": "not-a-token"},
    ],
)
def test_a_damaged_link_opens_what_it_can(query: dict[str, str]) -> None:
    person = Person(query=query).opens().wants()
    assert 'id="shown"' in person.regions["pictures"]
    assert ("cannot be used" in person.regions["status"]) == ("r" in query)


# --- models ---------------------------------------------------------------------------------------------------------


def test_another_model_is_a_new_session_on_the_same_screen() -> None:
    api = FakeApi(card_document(), card_document((1, 8), "small"))
    person = Person(api).opens().wants({"do": "screen", "name": "mix"}, {"do": "model", "id": "small"})
    assert (person.session.model, person.session.screen) == ("small", "mix")
    assert recipes.temperature(person.session.recipe) == (1.0, 1.0)


def test_a_model_that_does_not_exist_changes_nothing(person: Person) -> None:
    assert person.wants({"do": "model", "id": "nobody"}).session.model == "toy"


# --- trouble --------------------------------------------------------------------------------------------------------


def test_a_busy_server_leaves_the_image_and_follows_the_controls(person: Person) -> None:
    person.wants()
    person.api.answer_with = httpx.Response(429, headers={"Retry-After": "2"}, json={"detail": "full"})
    person.wants({"do": "preset", "name": "linear"})
    assert "pictures" not in person.regions
    assert "0.90 → 0.60" in person.regions["rail"]
    assert "Busy. Next try in 2 s." in person.regions["status"]
    person.api.answer_with = None
    assert "pictures" in person.wants({"do": "retry"}).regions


def test_without_a_server_the_settings_are_in_the_link(person: Person) -> None:
    person.wants()
    person.api.answer_with = httpx.ConnectError("refused")
    person.wants({"do": "preset", "name": "linear"})
    assert "Your settings are kept in the link." in person.regions["status"]
    assert recipes.to_token(person.session.recipe) in _link(person.regions)


def test_strips_that_cannot_be_had_say_so(person: Person) -> None:
    person.wants()
    person.api.answer_with = httpx.ConnectError("refused")
    assert "does not answer" in person.waits().regions["strips"]


def test_a_server_without_models_gives_its_reasons() -> None:
    broken = {"id": "bad", "object": "model", "state": "unavailable", "reason": "weights.bin differs"}
    person = Person(FakeApi(broken)).opens()
    assert person.state is None
    assert "not ready" in person.regions["status"]


def test_an_app_that_was_started_again_takes_up_where_the_page_is(person: Person) -> None:
    person.state = None  # Gradio has forgotten it; the page still has its outbox
    person.wants({"do": "preset", "name": "linear"})
    assert recipes.temperature(person.session.recipe)[0] == 0.9


def _recipe(token: str) -> dict[str, Any]:
    """The recipe in a token, as the server unpacks it."""
    packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return dict(json.loads(zlib.decompress(packed)))


def _link(regions: Regions) -> str:
    return regions["header"].partition('data-link="')[2].partition('"')[0].replace("&amp;", "&")
