"""Equal requests share one result, and nobody's leaving is another's loss."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.api import create_app
from server.models import Model
from server.resolve import Resolved
from server.sample_api import Timed, make_answer
from server.service import Stored
from server.settings import Settings
from server.single_flight import SingleFlight


class Work:
    """Counts how often it began; a run ends when it is let go, with its number as result."""

    def __init__(self) -> None:
        self.begun = 0
        self.let_go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.let_go.wait()
        if self.error:
            error, self.error = self.error, None
            raise error
        return number


def play(scene: Callable[[SingleFlight, Work], Awaitable[None]]) -> None:
    async def act() -> None:
        await asyncio.wait_for(scene(SingleFlight(), Work()), 30)

    asyncio.run(act())


async def soon(*coroutines: Any) -> list[asyncio.Task[Any]]:
    """Tasks that have all come as far as they can."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def test_equal_requests_are_worked_on_once_and_others_are_not() -> None:
    async def scene(flights: SingleFlight, work: Work) -> None:
        tasks = await soon(*(flights.run(key, work) for key in "aabaa"))
        assert work.begun == 2
        work.let_go.set()
        assert await asyncio.gather(*tasks) == [1, 1, 2, 1, 1]

    play(scene)


def test_what_is_done_is_not_remembered() -> None:
    async def scene(flights: SingleFlight, work: Work) -> None:
        work.let_go.set()
        assert [await flights.run("a", work), await flights.run("a", work)] == [1, 2]

    play(scene)


def test_one_who_waits_may_leave() -> None:
    async def scene(flights: SingleFlight, work: Work) -> None:
        first, leaves, stays = await soon(*(flights.run("a", work) for _ in range(3)))
        leaves.cancel()
        work.let_go.set()
        assert [await first, await stays] == [1, 1]
        assert leaves.cancelled()

    play(scene)


def test_when_the_first_leaves_the_next_begins_anew() -> None:
    async def scene(flights: SingleFlight, work: Work) -> None:
        leaves, second, third = await soon(*(flights.run("a", work) for _ in range(3)))
        leaves.cancel()
        await soon()
        assert work.begun == 2
        work.let_go.set()
        assert [await second, await third] == [2, 2]

    play(scene)


def test_an_error_belongs_to_whom_it_happened() -> None:
    """It may be that one's own: too late, superseded, no place in the queue."""

    async def scene(flights: SingleFlight, work: Work) -> None:
        first, second = await soon(*(flights.run("a", work) for _ in range(2)))
        work.error = ValueError("the first was too late")
        work.let_go.set()
        with pytest.raises(ValueError, match="too late"):
            await first
        assert await second == 2

    play(scene)


def test_who_cannot_wait_so_long_begins_on_their_own() -> None:
    async def scene(flights: SingleFlight, work: Work) -> None:
        first, second = await soon(flights.run("a", work), flights.run("a", work, patience=0.0))
        await asyncio.sleep(0.01)
        assert work.begun == 2
        work.let_go.set()
        assert [await first, await second] == [1, 2]

    play(scene)


def test_equal_recipes_at_the_same_time_are_sampled_once(
    toy_zoo: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However they are written, as long as they ask for the same kind of answer."""
    made: list[str] = []

    def count(model: Model, recipe: Resolved, stored: Stored, media_type: str) -> Timed:
        made.append(media_type)
        time.sleep(0.3)  # long enough for the others to arrive
        return make_answer(model, recipe, stored, media_type)

    monkeypatch.setattr("server.sample_api.make_answer", count)
    monkeypatch.setattr("server.dispatch.QUICK_FLOPS", 0)  # it is slower than it looks
    recipes = [{"source": {"seed": 3}}, {"source": {"seeds": [3]}, "n": 1}, {"source": {"seed": 3}, "temperature": 1.0}]
    with TestClient(create_app(toy_zoo, settings)) as client, ThreadPoolExecutor(4) as threads:

        def ask(recipe: object, accept: str) -> bytes:
            return client.post("/v1/models/vdvae-toy/sample", json=recipe, headers={"Accept": accept}).content

        asked = [threads.submit(ask, recipe, "image/png") for recipe in recipes]
        asked.append(threads.submit(ask, recipes[0], "application/x-npz"))
        bodies = [each.result() for each in asked]
    assert sorted(made) == ["application/x-npz", "image/png"]
    assert len({*bodies[:3]}) == 1
    assert bodies[0][:4] == b"\x89PNG"
