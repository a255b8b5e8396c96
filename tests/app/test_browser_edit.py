"""The Edit screen in Chromium, before a real server: painting by pointer and by keys, and what that does to pixels."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ANSWER_MS, Screen, watched
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser

EDITED = "#edited"


@pytest.fixture
def edit(screen: Screen) -> Screen:
    screen.page.get_by_role("tab", name="Edit").click()
    expect(screen.page.locator("#board")).to_be_visible(timeout=ANSWER_MS)
    return screen


def cells(screen: Screen) -> str:
    return screen.page.locator("#board").get_attribute("data-cells") or ""


def painted(screen: Screen, wanted: str) -> None:
    expect(screen.page.locator("#board")).to_have_attribute("data-cells", wanted, timeout=ANSWER_MS)


def paint_one(screen: Screen) -> str:
    """The first cell alone, by keys."""
    screen.page.get_by_role("button", name="None", exact=True).click()
    painted(screen, "0" * len(cells(screen)))
    screen.page.locator("#board").focus()
    for key in ("ArrowUp", "ArrowLeft"):
        for _ in range(16):
            screen.page.keyboard.press(key)
    screen.page.keyboard.press("Space")
    wanted = "1" + "0" * (len(cells(screen)) - 1)
    painted(screen, wanted)
    return wanted


def edits(screen: Screen) -> list[dict[str, Any]]:
    return list(screen.answer()["recipe"]["edits"])


def test_cells_painted_by_keys_are_drawn_again_and_the_image_is_the_servers(edit: Screen) -> None:
    before = edit.shown(EDITED)
    paint_one(edit)
    expect(edit.page.locator("#cell")).to_have_text("Row 1, column 1, painted")
    expect(edit.page.locator("#board")).to_be_focused()
    edit.page.keyboard.press("Shift+ArrowRight")
    painted(edit, "11" + "0" * (len(cells(edit)) - 2))
    edit.page.get_by_role("button", name="Draw again").click()
    after = edit.another_image(before, EDITED)
    answer = edit.answer()
    assert after == answer["images"][0]["sha256"]
    (made,) = answer["recipe"]["edits"]
    assert (made["op"], made["draw"]) == ("resample", 1)
    assert "".join(made["mask"]["rows"]) == cells(edit)
    edit.page.get_by_role("heading", name="Changes").click()
    edit.page.keyboard.press("z")
    edit.this_image(before, EDITED)
    edit.page.keyboard.press("Shift+Z")
    edit.this_image(after, EDITED)


def test_a_stroke_of_the_pointer_paints_without_gaps(edit: Screen) -> None:
    edit.page.get_by_role("button", name="None", exact=True).click()
    count = len(cells(edit))
    painted(edit, "0" * count)
    side = int(count**0.5)
    box = edit.page.locator("#board").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / side / 2
    edit.page.mouse.move(box["x"] + 3, y)
    edit.page.mouse.down()
    edit.page.mouse.move(box["x"] + box["width"] - 3, y)  # in one step
    edit.page.mouse.up()
    painted(edit, "1" * side + "0" * (count - side))
    edit.page.keyboard.press("z")
    painted(edit, "0" * count)


def test_the_last_level_changes_the_painted_place_and_hardly_anything_else(edit: Screen) -> None:
    last = edit.page.locator("#r-edit_levels .ab").last
    last.click()
    expect(last).to_have_attribute("aria-pressed", "true", timeout=ANSWER_MS)
    before = edit.shown(EDITED)
    edit.page.get_by_role("button", name="Draw again").click()
    edit.another_image(before, EDITED)
    change, inside = edit.page.locator(".edfig b").all_inner_texts()
    assert float(change) > 0
    assert int(inside.removesuffix(" %")) >= 80
    (made,) = edits(edit)
    assert made["levels"] == [edit.page.locator("#r-edit_levels .ab").count() - 1]
    assert "".join(made["mask"]["rows"]) == cells(edit)


def test_a_swap_and_a_temperature_are_the_recipes(edit: Screen) -> None:
    before = edit.shown(EDITED)
    edit.page.locator("#source-other").select_option("1")
    edit.page.get_by_role("button", name="Latents").click()
    edit.page.get_by_role("button", name="Swap in").click()
    swapped = edit.another_image(before, EDITED)
    edit.page.locator("#cool").focus()
    edit.page.keyboard.press("Home")
    expect(edit.page.locator("#cool")).to_have_attribute("aria-valuetext", "0.00", timeout=ANSWER_MS)
    edit.page.get_by_role("button", name="Set there").click()
    edit.another_image(swapped, EDITED)
    swap, cool = edits(edit)
    assert (swap["source"], swap["space"], cool["temperature"]) == ({"example": 1}, "latent", 0.0)
    edit.this_image(edit.answer()["images"][0]["sha256"], EDITED)
    edit.page.get_by_label("Remove change 2").click()
    edit.this_image(swapped, EDITED)
    edit.page.get_by_label("Remove change 1").click()
    edit.this_image(before, EDITED)


def test_a_test_image_is_edited_and_its_link_brings_everything_back(edit: Screen, browser: Browser) -> None:
    before = edit.shown(EDITED)
    edit.page.locator("#source-edit").select_option("2")
    plain = edit.another_image(before, EDITED)
    wanted = paint_one(edit)
    edit.page.get_by_role("button", name="Draw again").click()
    shown = edit.another_image(plain, EDITED)
    edit.this_image(edit.answer()["images"][0]["sha256"], EDITED)
    elsewhere = browser.new_context(viewport={"width": 1280, "height": 800})
    again = watched(elsewhere.new_page(), edit.site).open("?" + edit.page.url.partition("?")[2])
    again.this_image(shown, EDITED)
    painted(again, wanted)
    expect(again.page.locator(".deeds-done li")).to_have_count(1)
    assert (again.foreign, again.complaints) == ([], [])
    elsewhere.close()


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_nothing_scrolls_sideways(edit: Screen, size: tuple[int, int]) -> None:
    edit.page.set_viewport_size({"width": size[0], "height": size[1]})
    assert edit.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    if size[0] == 1280:
        assert edit.page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_levels_that_cover_the_image_are_edited_whole(edit: Screen) -> None:
    first = edit.page.locator("#r-edit_levels .ab").first
    first.click()
    expect(edit.page.get_by_text("all of the level is edited")).to_be_visible(timeout=ANSWER_MS)
    before = edit.shown(EDITED)
    edit.page.get_by_role("button", name="Draw again").click()
    edit.another_image(before, EDITED)
    (made,) = edits(edit)
    assert (made["levels"], "mask" in made) == ([0], False)
