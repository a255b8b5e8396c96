"""The Levels screen in Chromium, before a real server: the ladder, its cells to the byte, and the way to Explore."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from typing import Any

import httpx
import pytest
from conftest import ANSWER_MS, Screen, watched
from playwright.sync_api import Browser, Locator, expect

pytestmark = pytest.mark.browser


@pytest.fixture
def ladder(screen: Screen) -> Screen:
    screen.page.get_by_role("tab", name="Levels").click()
    expect(screen.page.locator(".lr").first).to_be_visible(timeout=ANSWER_MS)
    return screen


def row(screen: Screen, level: int) -> Locator:
    return screen.page.locator(f".lr[data-level='{level}']")


def cell(screen: Screen, level: int, column: int) -> Locator:
    return row(screen, level).locator(".plain img").nth(column)


def shown(image: Locator) -> str:
    """SHA-256 of the bytes of an image, which must be what the screen says it is."""
    sha256 = hashlib.sha256(b64decode((image.get_attribute("src") or "").partition(",")[2])).hexdigest()
    assert sha256 == image.get_attribute("data-sha256")
    return sha256


def asked(screen: Screen, levels: list[int], draw: int, below: dict[str, Any] | None = None) -> str:
    """SHA-256 of the server's image with these levels at that draw, by a recipe of one's own."""
    edits = [{"op": "resample", "levels": levels, "draw": draw}, *([below] if below else [])]
    return str(screen.sample({"source": {"seed": 1240}, "edits": edits})["images"][0]["sha256"])


def test_a_cell_is_the_servers_image_to_the_byte(ladder: Screen) -> None:
    level = int(ladder.page.locator(".lr.sel").get_attribute("data-level") or "")
    assert [shown(cell(ladder, level, column)) for column in (0, 4)] == [
        asked(ladder, [level], 1),
        asked(ladder, [level], 5),
    ]


def test_what_happens_below_changes_the_pixels(ladder: Screen) -> None:
    level = int(ladder.page.locator(".lr.sel").get_attribute("data-level") or "")
    noise = shown(cell(ladder, level, 0))
    ladder.page.get_by_role("button", name="Mean", exact=True).last.click()
    expect(cell(ladder, level, 0)).not_to_have_attribute("data-sha256", noise, timeout=ANSWER_MS)
    count = len(ladder.answer()["recipe"]["temperature"])
    mean = {"op": "resample", "levels": list(range(level + 1, count)), "mode": "mean"}
    assert shown(cell(ladder, level, 0)) == asked(ladder, [level], 1, mean)
    ladder.page.get_by_role("button", name="Drawn again").click()
    expect(cell(ladder, level, 0)).not_to_have_attribute("data-sha256", asked(ladder, [level], 1, mean))
    expect(cell(ladder, level, 0)).to_have_attribute(
        "data-sha256", asked(ladder, list(range(level, count)), 1), timeout=ANSWER_MS
    )


def test_drawing_all_again_shows_the_next_draws(ladder: Screen) -> None:
    level = int(ladder.page.locator(".lr.sel").get_attribute("data-level") or "")
    ladder.page.get_by_role("button", name="Draw all again").click()
    expect(cell(ladder, level, 0)).to_have_attribute("data-sha256", asked(ladder, [level], 6), timeout=ANSWER_MS)


def test_a_cell_opens_in_explore(ladder: Screen) -> None:
    level = int(ladder.page.locator(".lr.sel").get_attribute("data-level") or "")
    wanted = (cell(ladder, level, 2).get_attribute("src") or "").partition(",")[2]
    cell(ladder, level, 2).click()
    expect(ladder.page.locator("#shown")).to_be_visible(timeout=ANSWER_MS)
    ladder.same_pixels(wanted, "#shown")
    answer = ladder.answer()
    assert answer["recipe"]["levels"] == {str(level): {"draw": 3, "mode": "sample"}}
    ladder.this_image(answer["images"][0]["sha256"])


def test_rows_of_resolutions_and_the_link_of_them(ladder: Screen, browser: Browser) -> None:
    page = ladder.page
    page.get_by_role("button", name="Groups").click()
    page.get_by_role("button", name="Drawn again").click()
    expect(page.get_by_role("button", name="Drawn again")).to_have_attribute("aria-pressed", "true", timeout=ANSWER_MS)
    page.wait_for_function("location.search.includes('below=resample')")
    base = ladder.shown("#base")
    answer = ladder.answer()
    model = httpx.URL(page.url).params["model"]
    count = len(httpx.get(f"{ladder.site.api}/v1/models/{model}", timeout=60).json()["groups"])
    expect(page.locator(".lr")).to_have_count(count, timeout=ANSWER_MS)
    elsewhere = browser.new_context(viewport={"width": 1280, "height": 800})
    again = watched(elsewhere.new_page(), ladder.site).open("?" + page.url.partition("?")[2])
    expect(again.page.locator(".lr")).to_have_count(count, timeout=ANSWER_MS)
    assert again.shown("#base") == base
    assert again.answer()["recipe"] == answer["recipe"]
    expect(again.page.get_by_role("button", name="Groups")).to_have_attribute("aria-pressed", "true")
    assert (again.foreign, again.complaints) == ([], [])
    elsewhere.close()


def test_the_ladder_fits_one_screen(ladder: Screen) -> None:
    assert ladder.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    for part in (".lad", ".lsum"):
        for box in (one.bounding_box() for one in ladder.page.locator(part).all()):
            assert box is not None
            assert box["y"] + box["height"] <= 800


def test_a_level_is_selected_and_a_cell_opened_by_keys(ladder: Screen) -> None:
    row(ladder, 0).locator(".n").focus()
    ladder.page.keyboard.press("Enter")
    expect(row(ladder, 0)).to_have_class("lr sel", timeout=ANSWER_MS)
    expect(row(ladder, 0).locator(".n")).to_be_focused()
    ladder.page.keyboard.press("Tab")
    wanted = (cell(ladder, 0, 0).get_attribute("src") or "").partition(",")[2]
    ladder.page.keyboard.press("Enter")
    ladder.same_pixels(wanted, "#shown")
