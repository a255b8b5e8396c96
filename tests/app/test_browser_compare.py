"""The Compare screen in Chromium, before a real server: both images to the byte, one rail for both, and the link."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import pytest
from conftest import ANSWER_MS, Screen, watched
from PIL import Image
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser

A, B = "#side-a", "#side-b"


@pytest.fixture
def compare(screen: Screen) -> Screen:
    """The first two models that have a resolution in common, beside each other."""
    cards = httpx.get(f"{screen.site.api}/v1/models", timeout=60).json()["data"]
    if len(cards) < 2:
        pytest.skip("needs two bundles")
    screen.page.get_by_role("tab", name="Compare").click()
    expect(screen.page.locator(B)).to_be_visible(timeout=ANSWER_MS)
    return screen


def other(screen: Screen) -> str:
    return str(screen.page.locator("#model-b").input_value())


def sha256(screen: Screen, model: str, recipe: dict[str, Any]) -> str:
    """Of the server's image of a recipe of one's own."""
    answer = httpx.post(f"{screen.site.api}/v1/models/{model}/sample", json=recipe, timeout=60).raise_for_status()
    return str(answer.json()["images"][0]["sha256"])


def both(screen: Screen, recipe: dict[str, Any]) -> None:
    """Both images are the server's for this recipe. B is given the test image of A as a file: it may have others."""
    a = screen.page.locator("#model-a").input_value()
    screen.this_image(sha256(screen, a, recipe), A)
    source = dict(recipe["source"])
    if "example" in source:
        url = f"{screen.site.api}/v1/models/{a}/examples/{source.pop('example')}"
        source["image"] = base64.b64encode(httpx.get(url, timeout=60).content).decode()
    screen.this_image(sha256(screen, other(screen), {**recipe, "source": source}), B)


def shared(screen: Screen) -> str:
    """The finest resolution that both models have."""
    rows = screen.page.locator(".both .lrow").filter(has_not_text="only")
    if not rows.count():
        pytest.skip("needs two models with a resolution in common")
    return str(rows.last.locator("b").inner_text()).replace(" × ", "x")


def test_both_images_are_the_servers_of_the_same_seed(compare: Screen) -> None:
    both(compare, {"source": {"seed": 1240}})
    compare.page.locator("#seed-compare").fill("77")
    compare.page.keyboard.press("Enter")
    both(compare, {"source": {"seed": 77}})
    compare.this_image(compare.answer()["images"][0]["sha256"], A)


def test_one_handle_moves_that_resolution_of_both_and_undo_takes_it_back(compare: Screen) -> None:
    name = shared(compare)
    before = compare.shown(A), compare.shown(B)
    handle = compare.page.get_by_label(f"{name.replace('x', ' by ')}, temperature of both")
    handle.focus()
    handle.press("PageDown")
    handle.press("PageDown")
    handle.press("ArrowLeft")
    both(compare, {"source": {"seed": 1240}, "temperature": {name: 0.79}})
    expect(handle).to_be_focused()
    assert (compare.shown(A), compare.shown(B)) != before
    compare.page.keyboard.press("z")
    compare.this_image(before[0], A)
    compare.this_image(before[1], B)
    compare.page.keyboard.press("Shift+Z")
    both(compare, {"source": {"seed": 1240}, "temperature": {name: 0.79}})


def test_a_drag_loses_no_last_value_and_leaves_the_rail_of_explore(compare: Screen) -> None:
    name = shared(compare)
    handle = compare.page.get_by_label(f"{name.replace('x', ' by ')}, temperature of both")
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + 6 + int(handle.input_value()) / 1000 * (box["width"] - 12), box["y"] + box["height"] / 2
    compare.page.mouse.move(x, y)
    compare.page.mouse.down()
    compare.page.mouse.move(x - 50, y, steps=12)
    compare.page.mouse.up()
    value = float(
        compare.page.locator(".both .lrow").filter(has_text=name.replace("x", " × ")).locator(".t").inner_text()
    )
    assert value < 0.9
    both(compare, {"source": {"seed": 1240}, "temperature": {name: value}})
    compare.page.get_by_role("tab", name="Explore").click()
    expect(compare.page.locator("#shown")).to_be_visible(timeout=ANSWER_MS)
    compare.page.get_by_role("button", name="Select level 0", exact=True).focus()
    assert compare.temperature(0) == "1.00"
    compare.handle(0).press("PageDown")
    expect(compare.page.locator(".lrow[data-level='0'] .t")).to_have_text("0.90")


def test_a_test_image_is_given_to_both_and_drawn_where_asked(compare: Screen) -> None:
    page, name = compare.page, shared(compare)
    page.get_by_role("button", name="Test image 1").click()
    expect(page.locator("#original")).to_be_visible(timeout=ANSWER_MS)
    both(compare, {"source": {"example": 1, "seed": 1240}})
    page.get_by_role("button", name=f"Draw {name.replace('x', ' by ')}").click()
    edits = [{"op": "resample", "levels": name, "mode": "sample"}]
    both(compare, {"source": {"example": 1, "seed": 1240}, "edits": edits})
    expect(page.locator(".rates .hd")).to_contain_text("of this image")
    page.get_by_role("button", name="Seed only").click()
    both(compare, {"source": {"seed": 1240}})


def test_the_link_brings_both_sides_back(compare: Screen, browser: Browser) -> None:
    page, name = compare.page, shared(compare)
    page.get_by_role("button", name="Test image 2").click()
    expect(page.locator("#original")).to_be_visible(timeout=ANSWER_MS)
    page.get_by_role("button", name=f"Draw {name.replace('x', ' by ')}").click()
    handle = page.get_by_label(f"{name.replace('x', ' by ')}, temperature of both")
    expect(handle).to_be_enabled(timeout=ANSWER_MS)
    handle.press("PageDown")
    edits = [{"op": "resample", "levels": name, "mode": "sample"}]
    recipe = {"source": {"example": 2, "seed": 1240}, "temperature": {name: 0.9}, "edits": edits}
    both(compare, recipe)
    assert compare.answer()["images"][0]["sha256"] == compare.shown(A)
    elsewhere = browser.new_context(viewport={"width": 1280, "height": 800})
    again = watched(elsewhere.new_page(), compare.site)
    again.page.goto(page.url)
    expect(again.page.locator("#original")).to_be_visible(timeout=ANSWER_MS)
    both(again, recipe)
    expect(again.page.get_by_role("button", name="Test image 2")).to_have_attribute("aria-pressed", "true")
    assert (again.foreign, again.complaints) == ([], [])
    elsewhere.close()


def test_an_upload_goes_to_both(compare: Screen) -> None:
    buffer = io.BytesIO()
    drawn = Image.new("L", (64, 64))
    drawn.paste(255, (28, 8, 36, 56))
    drawn.save(buffer, "PNG")
    before = compare.shown(A)
    compare.page.locator("#compare-upload").set_input_files(
        {"name": "i.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    )
    compare.another_image(before, A)
    expect(compare.page.locator("#r-both_source h2")).to_have_text("Both get your image")
    recipe = compare.answer()["recipe"]
    both(compare, {"source": recipe["source"]})


def test_either_model_can_be_chosen_and_the_comparison_goes_on(compare: Screen) -> None:
    page, first = compare.page, other(compare)
    page.locator("#seed-compare").fill("9")
    page.keyboard.press("Enter")
    both(compare, {"source": {"seed": 9}})
    page.locator("#model-a").select_option(first)
    expect(page.locator("#model-b")).not_to_have_value(first, timeout=ANSWER_MS)
    expect(page.locator("#model")).to_have_value(first)
    both(compare, {"source": {"seed": 9}})
    last = page.locator("#model-b option").last.get_attribute("value") or ""
    page.locator("#model-b").select_option(last)
    both(compare, {"source": {"seed": 9}})


def test_a_side_can_be_taken_elsewhere(compare: Screen) -> None:
    shown, model = compare.shown(B), other(compare)
    copied = compare.page.locator("figure:has(#side-b) [data-copy]").first.get_attribute("data-copy") or ""
    assert f"/v1/models/{model}/sample" in copied
    compare.page.locator("figure:has(#side-b) a").click()
    expect(compare.page.locator("#model")).to_have_value(model, timeout=ANSWER_MS)
    compare.this_image(shown)
    compare.left()


def test_another_seed_of_the_strip_is_a_click_away(compare: Screen) -> None:
    compare.page.locator(".seedrows").get_by_title("Seed 1242").first.click(timeout=ANSWER_MS)
    both(compare, {"source": {"seed": 1242}})
    expect(compare.page.locator("#seed-compare")).to_have_value("1242")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_nothing_scrolls_sideways(compare: Screen, width: int, height: int) -> None:
    compare.page.set_viewport_size({"width": width, "height": height})
    expect(compare.page.locator(".seedrows")).to_be_visible(timeout=ANSWER_MS)
    assert compare.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    widths = [compare.page.locator(image).bounding_box() for image in (A, B)]
    assert widths[0] is not None
    assert widths[1] is not None
    assert widths[0]["width"] == widths[1]["width"], "enlarged alike"
