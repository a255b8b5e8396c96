"""The Reconstruct screen in Chromium, before a real server: every step to the byte, the scrubber, and an upload."""

from __future__ import annotations

import io

import httpx
import pytest
from conftest import ANSWER_MS, Screen, watched
from PIL import Image
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser

SCRUBBER, KEPT = "#scrubber", "#kept"


@pytest.fixture
def reconstruct(screen: Screen) -> Screen:
    screen.page.get_by_role("tab", name="Reconstruct").click()
    expect(screen.page.locator(KEPT)).to_be_visible(timeout=ANSWER_MS)
    return screen


def levels(screen: Screen) -> int:
    return int(screen.page.locator(SCRUBBER).get_attribute("max") or "")


def step(screen: Screen, kept: int, mode: str = "mean", example: int = 0) -> str:
    """SHA-256 of the server's image of this step, by a recipe of one's own."""
    rest = list(range(kept, levels(screen)))
    edits = [{"op": "resample", "levels": rest, "mode": mode}] if rest else []
    answer = screen.sample({"source": {"example": example, "seed": 0}, "edits": edits})
    return str(answer["images"][0]["sha256"])


def test_the_scrubber_shows_the_servers_image_of_every_step(reconstruct: Screen) -> None:
    page, count = reconstruct.page, levels(reconstruct)
    page.locator(SCRUBBER).focus()
    page.keyboard.press("Home")
    reconstruct.this_image(step(reconstruct, 0), KEPT)
    page.keyboard.press("ArrowRight")
    reconstruct.this_image(step(reconstruct, 1), KEPT)
    page.keyboard.press("End")
    reconstruct.this_image(step(reconstruct, count), KEPT)
    reconstruct.this_image(reconstruct.answer()["images"][0]["sha256"], KEPT)
    expect(page.locator(SCRUBBER)).to_be_focused()
    expect(page.locator(".big").first).to_have_text(f"{count} of {count} levels")
    expect(page.locator(".prog [aria-pressed=true] b")).to_have_text(str(count))


def test_brackets_step_and_undo_takes_the_gesture_back(reconstruct: Screen) -> None:
    before, kept = reconstruct.shown(KEPT), int(reconstruct.page.locator(SCRUBBER).input_value())
    reconstruct.page.keyboard.press("]")
    reconstruct.page.keyboard.press("]")
    reconstruct.this_image(step(reconstruct, kept + 2), KEPT)
    reconstruct.page.keyboard.press("z")
    reconstruct.this_image(before, KEPT)
    reconstruct.page.keyboard.press("[")
    reconstruct.this_image(step(reconstruct, kept - 1), KEPT)


def test_a_drag_of_the_scrubber_loses_no_last_value(reconstruct: Screen) -> None:
    box = reconstruct.page.locator(SCRUBBER).bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    reconstruct.page.mouse.move(box["x"] + box["width"] / 2, middle)
    reconstruct.page.mouse.down()
    reconstruct.page.mouse.move(box["x"] + box["width"] - 4, middle, steps=15)
    reconstruct.page.mouse.up()
    reconstruct.this_image(step(reconstruct, levels(reconstruct)), KEPT)


def test_a_click_on_a_step_and_on_another_image(reconstruct: Screen) -> None:
    reconstruct.page.locator(".prog button").nth(2).click()
    reconstruct.this_image(step(reconstruct, 2), KEPT)
    reconstruct.page.get_by_role("button", name="Test image 3").click()
    reconstruct.this_image(step(reconstruct, 2, example=3), KEPT)
    reconstruct.page.get_by_role("button", name="Others: drawn").click()
    reconstruct.this_image(step(reconstruct, 2, "sample", example=3), KEPT)


def test_an_upload_is_reconstructed_and_its_link_brings_it_back(reconstruct: Screen, browser: Browser) -> None:
    page, buffer = reconstruct.page, io.BytesIO()
    drawn = Image.new("L", (64, 64))
    drawn.paste(255, (28, 8, 36, 56))
    drawn.save(buffer, "PNG")
    before = reconstruct.shown(KEPT)
    page.locator("#upload").set_input_files({"name": "i.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
    shown = reconstruct.another_image(before, KEPT)
    expect(page.locator("#r-picker h2")).to_have_text("Image your image")
    reconstruct.this_image(reconstruct.answer()["images"][0]["sha256"], KEPT)
    elsewhere = browser.new_context(viewport={"width": 1280, "height": 800})
    again = watched(elsewhere.new_page(), reconstruct.site).open("?" + page.url.partition("?")[2])
    again.this_image(shown, KEPT)
    assert (again.foreign, again.complaints) == ([], [])
    elsewhere.close()


def test_bits_and_psnr_are_the_servers(reconstruct: Screen) -> None:
    page = reconstruct.page
    model = httpx.URL(page.url).params["model"]
    question = {"kind": "progressive", "subject": {"example": 0}}
    answer = httpx.post(f"{reconstruct.site.api}/v1/models/{model}/inspect", json=question, timeout=60).json()
    now = answer["steps"][int(page.locator(SCRUBBER).input_value())]
    said = page.locator(".big").all_inner_texts()
    assert said[1:] == [f"{now['bits']:.1f} of {answer['rate_bits']:.1f} bits", f"{now['psnr']:.1f} dB PSNR"]
    expect(page.locator(".cost")).to_have_text(
        f"{answer['nats_per_image']:.1f} nats, {answer['bits_per_dim']:.3f} bits/dim"
    )


def test_play_goes_to_the_last_level(reconstruct: Screen) -> None:
    reconstruct.page.get_by_role("button", name="Play").click()
    reconstruct.this_image(step(reconstruct, levels(reconstruct)), KEPT)


def test_the_screen_fits_without_scrolling(reconstruct: Screen) -> None:
    assert reconstruct.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
