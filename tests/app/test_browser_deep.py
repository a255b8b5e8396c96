"""A model with the 66 levels of the published FFHQ-256 configuration: every level within reach, and nothing freezes.

The weights are few and random; levels, resolutions and image size are those of the recipe `vdvae-ffhq256`.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ANSWER_MS, Screen, Site, exploring, free_port, serving, watched
from playwright.sync_api import Browser, BrowserContext, expect

pytestmark = pytest.mark.browser

LEVELS = {1: 2, 4: 4, 8: 5, 16: 10, 32: 22, 64: 14, 128: 8, 256: 1}  # by resolution
FREEZE_MS = 200


@pytest.fixture(scope="module")
def deep_site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that has this one model, and its explorer."""
    zoo = tmp_path_factory.mktemp("zoo")
    toy = _module(root / "tests" / "server" / "toy_bundle.py")
    toy.RESOLUTIONS = tuple(size for size, count in LEVELS.items() for _ in range(count))
    toy.CHANNELS, toy.WIDTH, toy.IMAGE_SIZE = (2,) * len(toy.RESOLUTIONS), 4, 256
    toy.write_toy(zoo / "vdvae-toy-colour", "dmol")
    api, app = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    with serving(api, zoo, zoo / "server.log"), exploring(app, api, zoo / "app.log"):
        yield Site(app, api)


@pytest.fixture
def deep(deep_site: Site, browser: Browser, context: BrowserContext) -> Iterator[Screen]:
    """The page, once it is up: putting up Gradio is over, what a hand does begins."""
    screen = watched(context.new_page(), deep_site).open()
    settled(screen)
    browser.start_tracing(page=screen.page, categories=["toplevel", "__metadata"])
    yield screen
    tasks = main_thread_ms(json.loads(browser.stop_tracing()))
    assert tasks, "Chromium names its tasks otherwise"
    assert max(tasks) < FREEZE_MS
    assert (screen.foreign, screen.complaints) == ([], [])


def main_thread_ms(trace: dict[str, Any]) -> list[float]:
    """Processor time of every task of the page's main thread: on a busy machine the clock would tell of others."""
    events = trace["traceEvents"]
    main = {
        (e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
    }
    return [e["tdur"] / 1e3 for e in events if (e["pid"], e["tid"]) in main and "RunTask" in e["name"] and "tdur" in e]


def _module(path: Path) -> Any:
    """A module of other tests, under a name of its own: what is changed in it is changed here only."""
    spec = importlib.util.spec_from_file_location("deep_toy_bundle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settled(screen: Screen) -> None:
    expect(screen.page.locator("html[data-settled]:not([data-busy])")).to_be_attached(timeout=ANSWER_MS)


def test_every_resolution_opens_on_the_rail_and_every_level_has_a_handle(deep: Screen) -> None:
    for group, (size, count) in enumerate(LEVELS.items()):
        fold = deep.page.locator(".grp .fold").nth(group)
        if fold.get_attribute("aria-expanded") == "false":
            fold.click()
        expect(fold).to_have_attribute("aria-expanded", "true", timeout=ANSWER_MS)
        expect(fold).to_contain_text(f"{size} × {size}")
        expect(deep.page.locator(".grp").nth(group).locator(".lrow[data-level]")).to_have_count(count)
    assert deep.page.locator(".lrow[data-level]").count() == 66
    settled(deep)


def test_with_all_66_handles_open_a_drag_ends_on_its_last_value(deep: Screen) -> None:
    for fold in deep.page.locator(".grp .fold[aria-expanded=false]").all()[::-1]:
        fold.click()
    expect(deep.page.locator(".lrow[data-level]")).to_have_count(66, timeout=ANSWER_MS)
    deep.handle(40).scroll_into_view_if_needed()
    box = deep.handle(40).bounding_box()
    assert box is not None
    x, y = box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2
    deep.page.mouse.move(x, y)
    deep.page.mouse.down()
    deep.page.mouse.move(x - 50, y, steps=50)
    deep.page.mouse.up()
    deep.handle(41).focus()
    for _ in range(20):
        deep.page.keyboard.press("ArrowLeft")
    answer = deep.answer()
    assert answer["recipe"]["temperature"][40:42] == [float(deep.temperature(40)), 0.8]
    deep.this_image(answer["images"][0]["sha256"])
    settled(deep)


def test_the_ladder_opens_by_resolution_and_has_them_all(deep: Screen) -> None:
    deep.page.get_by_role("tab", name="Levels").click()
    expect(deep.page.locator(".lr")).to_have_count(len(LEVELS), timeout=ANSWER_MS)
    settled(deep)
    for size in LEVELS:
        heading = deep.page.locator("#levels h2").filter(has_text=f"{size} × {size}")
        expect(heading.first).to_be_attached()
    wanted = deep.page.locator(".lr .plain img").first.get_attribute("data-sha256")
    deep.page.locator(".lr .plain").first.click()
    expect(deep.page.locator("#shown")).to_be_visible(timeout=ANSWER_MS)
    assert wanted is not None
    assert deep.answer()["images"][0]["sha256"] == deep.shown()
    settled(deep)
