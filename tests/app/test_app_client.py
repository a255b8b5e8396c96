"""The client: typed answers, and one exception that says what to do."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any, TypeVar

import httpx
import pytest
from fake_api import FakeApi, card_document

from app.client import Answer, ApiError, Client, Progressive

T = TypeVar("T")
RECIPE = {"source": {"seed": 7}, "n": 2, "temperature": [1.0] * 4, "levels": {}, "edits": [], "output": {}}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def failing(response: httpx.Response | Exception) -> ApiError:
    api = FakeApi()
    api.answer_with = response
    with pytest.raises(ApiError) as caught:
        run(api.client().sample("toy", RECIPE))
    return caught.value


def test_a_card_says_what_the_model_carries() -> None:
    card = run(FakeApi().client().models()).data[0]
    assert card.id == "toy"
    assert card.bits == pytest.approx(8 + 4 + 8 / 3 + 2)  # type: ignore[union-attr]
    assert card.group_of(2).name == "4x4"  # type: ignore[union-attr]


def test_the_rate_is_unknown_when_one_level_was_not_measured() -> None:
    document = card_document()
    document["levels"][1]["kl_bits"] = None
    card = run(FakeApi(document).client().models()).data[0]
    assert card.bits is None  # type: ignore[union-attr]


def test_an_unavailable_model_is_listed_with_its_reason() -> None:
    broken: dict[str, Any] = {"id": "bad", "object": "model", "state": "unavailable", "reason": "weights.bin differs"}
    models = run(FakeApi(card_document(), broken).client().models())
    assert [card.state for card in models.data] == ["ready", "unavailable"]
    assert models.data[1].reason == "weights.bin differs"


def test_the_address_of_an_image_holds_exactly_the_bytes_of_the_answer() -> None:
    image = run(FakeApi().client().sample("toy", RECIPE)).images[1]
    assert image.seed == 8
    assert hashlib.sha256(image.png).hexdigest() == image.sha256
    assert image.url == f"data:image/png;base64,{image.data}"


def test_the_same_recipe_is_asked_for_once() -> None:
    async def twice(client: Client) -> tuple[Answer, Answer, Answer]:
        return (
            await client.sample("toy", RECIPE),
            await client.sample("toy", dict(reversed(RECIPE.items()))),
            await client.sample("toy", {**RECIPE, "n": 3}),
        )

    api = FakeApi()
    first, again, other = run(twice(api.client()))
    assert first is again
    assert other is not first
    assert len(api.recipes) == 2


def test_an_inspection_that_was_seen_before_is_not_asked_for_again() -> None:
    async def twice(client: Client) -> list[Progressive]:
        asked = ({"example": 0}, {"example": 0}, {"example": 1})
        return [await client.progressive("toy", subject, others="mean") for subject in asked]

    api = FakeApi()
    first, again, other = run(twice(api.client()))
    assert first is again
    assert other is not first
    assert len(api.recipes) == 2


def test_a_full_queue_is_busy_and_says_when_to_come_back() -> None:
    error = failing(httpx.Response(429, headers={"Retry-After": "3"}, json={"detail": "The queue is full"}))
    assert (error.kind, error.retry_after) == ("busy", 3.0)


def test_a_server_that_is_starting_is_not_ready() -> None:
    error = failing(httpx.Response(503, json={"detail": "Loading"}))
    assert (error.kind, error.retry_after) == ("not_ready", 2.0)


def test_a_refusal_names_the_fields() -> None:
    faults = [{"pointer": "#/temperature/3", "code": "x", "detail": "Input should be at most 1.5"}]
    error = failing(httpx.Response(422, json={"detail": "1 field is invalid", "errors": faults}))
    assert error.kind == "refused"
    assert error.sentence == "1 field is invalid"
    assert error.fields[0].pointer == "#/temperature/3"
    assert error.retry_after is None


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("late")])
def test_no_answer_is_unreachable(failure: Exception) -> None:
    error = failing(failure)
    assert error.kind == "unreachable"
    assert "does not answer" in error.sentence


@pytest.mark.parametrize("body", ["", "<html>proxy</html>", "[]", '{"errors": null}'])
def test_any_other_error_is_broken_whatever_its_body(body: str) -> None:
    error = failing(httpx.Response(502, text=body))
    assert (error.kind, error.sentence) == ("broken", "The server answered 502.")


def test_an_answer_that_is_not_understood_says_where() -> None:
    error = failing(httpx.Response(200, json={"model": "toy"}))
    assert error.kind == "broken"
    assert "recipe" in error.sentence
