"""The Morph screen in Chromium, before a real server: the list, the preview, and the exported file to the byte."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from conftest import ANSWER_MS, Screen, watched
from PIL import Image
from playwright.sync_api import Browser, expect

from app.client import BlockingClient

pytestmark = pytest.mark.browser


@pytest.fixture
def morph(screen: Screen) -> Screen:
    screen.page.get_by_role("tab", name="Morph").click()
    expect(screen.page.locator("#film")).to_be_visible(timeout=ANSWER_MS)
    return screen


def frames(screen: Screen, count: int) -> None:
    expect(screen.page.locator("[data-frame]")).to_have_count(count, timeout=ANSWER_MS)


def sampled(screen: Screen, source: dict[str, Any]) -> str:
    return str(screen.sample({"source": source})["images"][0]["sha256"])


def listed(screen: Screen, *sources: dict[str, Any]) -> None:
    """Waits until exactly these images are in the list, to the byte."""
    images = screen.page.locator(".keys li img")
    expect(images).to_have_count(len(sources), timeout=ANSWER_MS)
    for index, source in enumerate(sources):
        expect(images.nth(index)).to_have_attribute("data-sha256", sampled(screen, source), timeout=ANSWER_MS)


def test_images_are_added_moved_changed_and_removed_by_keys_alone(morph: Screen) -> None:
    page = morph.page
    first, second, third, fourth = ({"seed": 1240 + step} for step in range(4))
    listed(morph, first, second, third)
    page.get_by_role("button", name="Add").focus()
    page.keyboard.press("Enter")
    listed(morph, first, second, third, fourth)
    page.get_by_role("button", name="Move later image 1").focus()
    page.keyboard.press("Enter")
    listed(morph, second, first, third, fourth)
    page.get_by_role("button", name="Remove image 2").focus()
    page.keyboard.press("Enter")
    listed(morph, second, third, fourth)
    page.locator("#source-key-0").select_option("2")
    listed(morph, {"example": 2}, third, fourth)
    page.locator("#seed-key-1").fill("77")
    page.keyboard.press("Enter")
    listed(morph, {"example": 2}, {"seed": 77}, fourth)
    for _ in range(5):
        page.get_by_label("Undo").click()
    listed(morph, first, second, third)
    page.get_by_label("Redo").click()
    listed(morph, first, second, third, fourth)


def test_the_preview_is_scrubbed_by_keys_and_by_a_click(morph: Screen) -> None:
    page = morph.page
    frames(morph, 24)
    first = morph.sample({"source": {"seed": 1240}})["images"][0]["data"]
    morph.same_pixels(first, "#film")
    page.locator("#filmat").focus()
    page.keyboard.press("End")
    expect(page.locator("#filmsaid")).to_have_text("88 % of the way from image 3 to image 1")
    page.keyboard.press("Home")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#filmat")).to_be_focused()
    expect(page.locator("#filmsaid")).to_have_text("Image 2, seed 1241")
    morph.same_pixels(morph.sample({"source": {"seed": 1241}})["images"][0]["data"], "#film")
    page.locator("[data-frame='0']").click()
    morph.same_pixels(first, "#film")


def test_the_way_decides_the_pictures_between(morph: Screen) -> None:
    page = morph.page
    frames(morph, 24)
    middle = page.locator("[data-frame='4'] img")
    together = middle.get_attribute("src") or ""
    page.get_by_role("button", name="Coarse first").click()
    expect(middle).not_to_have_attribute("src", together, timeout=ANSWER_MS)
    page.get_by_role("button", name="Once").click()
    frames(morph, 17)
    page.get_by_label("Undo").click()
    page.get_by_label("Undo").click()
    expect(middle).to_have_attribute("src", together, timeout=ANSWER_MS)


def test_play_goes_on_by_itself_and_stops_at_a_second_press(morph: Screen) -> None:
    page = morph.page
    frames(morph, 24)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#filmsaid")).to_have_text(re.compile("of the way from image"), timeout=ANSWER_MS)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_where_motion_is_not_wanted_play_goes_to_the_next_image(morph: Screen) -> None:
    morph.page.emulate_media(reduced_motion="reduce")
    frames(morph, 24)
    morph.page.get_by_role("button", name="Play").click()
    expect(morph.page.locator("#filmsaid")).to_have_text("Image 2, seed 1241")
    expect(morph.page.get_by_role("button", name="Play")).to_be_visible()


@pytest.mark.parametrize(("name", "format"), [("APNG", "apng"), ("WebP", "webp"), ("GIF", "gif")])
def test_the_exported_file_is_the_servers_to_the_byte(morph: Screen, name: str, format: str, tmp_path: Path) -> None:
    page = morph.page
    page.get_by_role("button", name=name).click()
    page.get_by_role("button", name="10", exact=True).click()
    page.get_by_role("button", name="1 s", exact=True).first.click()
    expect(page.locator(".edfig").last).to_contain_text("30 frames", timeout=ANSWER_MS)
    page.get_by_role("button", name="Make the file").click()
    link = page.locator("#film-file")
    expect(link).to_be_visible(timeout=ANSWER_MS)
    with page.expect_download() as download:
        link.click()
    download.value.save_as(tmp_path / "film")
    file = (tmp_path / "film").read_bytes()
    assert hashlib.sha256(file).hexdigest() == link.get_attribute("data-sha256")
    keyframes = [{"source": {"seed": 1240 + step}} for step in range(3)]
    model = httpx.URL(page.url).params["model"]
    asked = {"kind": "morph", "model": model, "keyframes": keyframes, "fps": 10, "transition_s": 1.0, "scale": 8}
    with BlockingClient.connect(morph.site.api) as client:
        assert client.make({**asked, "format": format}) == file
    with Image.open(io.BytesIO(file)) as film:
        assert film.size == (224, 224)


def test_a_film_that_is_too_large_for_the_server_is_told(morph: Screen) -> None:
    page = morph.page
    for _ in range(12):
        page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="30", exact=True).click()
    page.get_by_role("button", name="4 s", exact=True).click()
    page.get_by_role("button", name="× 16", exact=True).click()
    page.get_by_role("button", name="Make the file").click()
    expect(page.get_by_role("alert")).to_contain_text("pixels", timeout=ANSWER_MS)
    expect(page.get_by_role("button", name="Make the file")).to_be_enabled(timeout=ANSWER_MS)


def test_an_export_is_called_off(morph: Screen) -> None:
    page = morph.page
    for _ in range(12):
        page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="30", exact=True).click()
    page.get_by_role("button", name="4 s", exact=True).click()
    page.get_by_role("button", name="× 4", exact=True).click()
    page.get_by_role("button", name="Make the file").click()
    expect(page.get_by_role("progressbar", name="Export")).to_be_visible(timeout=ANSWER_MS)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("The export was called off.")).to_be_visible(timeout=ANSWER_MS)
    expect(page.get_by_role("button", name="Make the file")).to_be_enabled(timeout=ANSWER_MS)


def test_a_link_brings_everything_back_in_a_fresh_page(morph: Screen, browser: Browser) -> None:
    morph.page.locator("#source-key-1").select_option("1")
    listed(morph, {"seed": 1240}, {"example": 1}, {"seed": 1242})
    morph.page.get_by_role("button", name="Coarse first").click()
    expect(morph.page.get_by_role("button", name="Coarse first")).to_have_attribute("aria-pressed", "true")
    expect(morph.page.locator("html:not([data-busy])")).to_be_attached(timeout=ANSWER_MS)
    assert parse_qs(morph.page.url)["stagger"] == ["0.8"]
    elsewhere = browser.new_context(viewport={"width": 1280, "height": 800})
    again = watched(elsewhere.new_page(), morph.site).open("?" + morph.page.url.partition("?")[2])
    listed(again, {"seed": 1240}, {"example": 1}, {"seed": 1242})
    expect(again.page.get_by_role("button", name="Coarse first")).to_have_attribute("aria-pressed", "true")
    assert (again.foreign, again.complaints) == ([], [])
    elsewhere.close()


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_nothing_scrolls_sideways(morph: Screen, size: tuple[int, int]) -> None:
    frames(morph, 24)
    morph.page.set_viewport_size({"width": size[0], "height": size[1]})
    assert morph.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    if size[0] == 1280:
        assert morph.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
