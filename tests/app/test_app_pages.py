"""The open pages: one call at a time, only what changed is told, and an unknown page is opened from its link."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx
import pytest
from fake_api import FakeApi
from pydantic import ValidationError

from app import pages
from app.client import Client
from app.explorer import Explorer
from app.pages import Pages, Reply

T = TypeVar("T")
NEW_SEED = {"do": "seed", "seed": 7}


def run(work: Callable[[Pages], Awaitable[T]], api: FakeApi | None = None) -> T:
    return asyncio.run(_run(work, api or FakeApi()))


async def _run(work: Callable[[Pages], Awaitable[T]], api: FakeApi) -> T:
    return await work(fresh(api))


def fresh(api: FakeApi) -> Pages:
    names = itertools.count(1)
    return Pages(Explorer(api.client(), fresh_seed=lambda: 5), new_id=lambda: f"page {next(names)}")


async def met(pages: Pages, link: str = "") -> Reply:
    """A page that has its first image."""
    return await said(pages.act({"link": link}))


async def said(reply: Awaitable[Reply | None]) -> Reply:
    found = await reply
    assert found is not None
    return found


def after(reply: Reply, *intents: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The next call of a page that heard this reply."""
    numbered = [{**intent, "seq": reply["seq"] + 1 + i} for i, intent in enumerate(intents)]
    return {"page": reply["page"], "heard": reply["number"], "seq": reply["seq"], "intents": numbered, **changes}


def hotter(value: float) -> dict[str, Any]:
    return {"do": "temperature", "values": [value] * 4, "gesture": 1}


def test_a_new_page_sees_its_image_at_once() -> None:
    first = run(met)
    assert 'id="shown"' in first["regions"]["pictures"]
    assert not first["opening"]


def test_where_the_first_image_takes_long_a_new_page_sees_how_it_will_look(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            await asyncio.sleep(0.05)
        return api.answer(request)

    async def work() -> None:
        http = httpx.AsyncClient(base_url="http://api.test", transport=httpx.MockTransport(answer))
        pages = Pages(Explorer(Client(http, "http://api.test")))
        first = await said(pages.act({}))
        assert first["opening"]
        assert {"header", "rail"} <= first["regions"].keys()
        assert 'id="shown"' not in first["regions"]["pictures"]
        then = await said(pages.act(after(first)))
        assert 'id="shown"' in then["regions"]["pictures"]
        assert not then["opening"]

    monkeypatch.setattr(pages, "QUICK_S", 0.01)
    api = FakeApi()
    asyncio.run(work())


def test_a_page_is_told_only_what_changed() -> None:
    async def work(pages: Pages) -> None:
        before = await met(pages)
        nothing = await said(pages.act(after(before, {"do": "undo"})))
        assert nothing["regions"] == {}
        other = await said(pages.act(after(nothing, {"do": "tab", "name": "bits"})))
        assert {"itabs"} <= other["regions"].keys()
        assert "pictures" not in other["regions"]

    run(work)


def test_a_page_that_missed_an_answer_is_told_everything_again() -> None:
    async def work(pages: Pages) -> None:
        before = await met(pages)
        await pages.act(after(before, NEW_SEED))
        again = await said(pages.act(after(before, NEW_SEED)))
        assert {"header", "rail", "toolbar", "pictures", "status"} <= again["regions"].keys()
        assert again["seq"] == before["seq"] + 1

    run(work)


def test_a_drag_brings_the_image_alone_and_the_controls_when_it_rests() -> None:
    async def work(pages: Pages) -> None:
        moved = await said(pages.act(after(await met(pages), hotter(0.5))))
        assert moved["moving"]
        assert moved["regions"].keys() == {"toolbar", "pictures", "status"}
        rested = await said(pages.rest(after(moved)))
        assert {"header", "rail"} <= rested["regions"].keys()
        assert "pictures" not in rested["regions"]
        assert rested["seq"] == moved["seq"]

    run(work)


def test_what_takes_longer_comes_piece_by_piece_to_an_end() -> None:
    async def work(pages: Pages) -> list[set[str]]:
        reply, pieces = await met(pages), []
        while reply["more"]:
            reply = await said(pages.rest(after(reply)))
            pieces.append(set(reply["regions"]))
        return pieces

    assert run(work) == [{"strips"}, {"head", "effect", "foot"}, set()]


def test_a_page_that_is_not_known_any_more_loses_nothing_of_its_link_and_outbox() -> None:
    async def work(old: Pages, new: Pages) -> None:
        before = await met(old)
        token = next(reversed(api.tokens))
        kept = await said(old.act(after(before, NEW_SEED)))
        link = "?" + urlencode({"model": "toy", "r": next(reversed(api.tokens))})
        assert next(reversed(api.tokens)) != token
        again = await said(new.act(after(kept, {"do": "draw", "level": 1}, link=link)))
        assert again["page"] != ""
        assert again["seq"] == kept["seq"] + 1
        assert 'data-seed="7"' in again["regions"]["pictures"]
        assert api.recipes[-1]["levels"] == {"1": {"draw": 1}}

    api = FakeApi()
    asyncio.run(work(fresh(api), Pages(Explorer(api.client()), new_id=lambda: "another")))


def test_two_pages_know_nothing_of_each_other() -> None:
    async def work(pages: Pages) -> None:
        one, other = await met(pages), await met(pages)
        assert one["page"] != other["page"]
        await pages.act(after(one, NEW_SEED))
        assert (await said(pages.act(after(other))))["regions"] == {}

    run(work)


def test_newer_work_takes_the_place_of_older_work_of_the_same_page() -> None:
    slow = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and json.loads(request.content)["temperature"] == [0.5] * 4:
            await slow.wait()
        return api.answer(request)

    async def work() -> None:
        http = httpx.AsyncClient(base_url="http://api.test", transport=httpx.MockTransport(answer))
        pages = Pages(Explorer(Client(http, "http://api.test")))
        before = await met(pages)
        older = asyncio.ensure_future(pages.act(after(before, hotter(0.5))))
        await asyncio.sleep(0.01)
        newer = await said(pages.act(after(before, hotter(0.5), hotter(0.6))))
        assert await older is None
        assert "temperature 0.60" in newer["regions"]["pictures"]

    api = FakeApi()
    asyncio.run(work())


def test_the_quietest_page_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(open_pages: Pages) -> None:
        one, other = await met(open_pages), await met(open_pages)
        await open_pages.act(after(one))
        third = await met(open_pages)
        assert (await said(open_pages.act(after(one, heard=3))))["page"] == one["page"]
        assert (await said(open_pages.act(after(third))))["page"] == third["page"]
        assert (await said(open_pages.act(after(other))))["page"] != other["page"]

    monkeypatch.setattr(pages, "KEPT", 2)
    run(work)


def test_a_call_that_says_anything_else_is_refused() -> None:
    for call in ({"pages": 1}, {"intents": [{"do": "explode", "seq": 1}]}, {"seq": -1}):
        with pytest.raises(ValidationError):
            run(lambda pages, call=call: pages.act(call))  # type: ignore[misc]


def test_the_plot_is_that_of_the_page_that_looks_at_it() -> None:
    async def work(pages: Pages) -> None:
        before = await met(pages)
        assert before["plot"] == ""
        assert pages.plotted(before["page"]) is None
        looks = await said(pages.act(after(before, {"do": "tab", "name": "bits"}, {"do": "level", "level": 2})))
        plotted = pages.plotted(looks["page"])
        assert looks["plot"] == "toy 2 light"
        assert plotted is not None
        assert plotted[1:] == (2, "light")
        assert pages.plotted("nobody") is None

    run(work)
