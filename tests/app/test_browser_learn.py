"""The tour in Chromium, before a real server: walked by keys alone, every image the server's, every link kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ANSWER_MS, Screen, Site, pixels, watched
from playwright.sync_api import Browser, expect
from test_browser_screens import UNEXPLAINED, WCAG

from app import touring

pytestmark = pytest.mark.browser

STEPS = touring.load()
SHOWN = {
    "explore": "#shown",
    "levels": "#base",
    "mix": "#mix-noise",
    "reconstruct": "#kept",
    "compare": "#side-a",
}


@pytest.fixture
def learn(screen: Screen) -> Screen:
    screen.page.get_by_role("tab", name="Learn").click()
    expect(screen.page.locator("#tour-value")).to_be_visible(timeout=ANSWER_MS)
    return screen


def hashes(screen: Screen) -> list[str]:
    """SHA-256 of the images that the server made for this step, from left to right."""
    found = screen.page.locator(".shots img[data-sha256]")
    return [found.nth(i).get_attribute("data-sha256") or "" for i in range(found.count())]


def made(screen: Screen, model: str, recipe: dict[str, Any]) -> list[str]:
    url = f"{screen.site.api}/v1/models/{model}/sample"
    return [image["sha256"] for image in httpx.post(url, json=recipe, timeout=60).raise_for_status().json()["images"]]


def drawn(screen: Screen) -> list[str]:
    """The PNGs that the server made for this step, in base64."""
    found = screen.page.locator(".shots img[data-sha256]")
    return [(found.nth(i).get_attribute("src") or "").partition(",")[2] for i in range(found.count())]


def is_at(screen: Screen, step: int) -> None:
    """The step of this number, with its images or with the word that they are not there."""
    expect(screen.page.locator("#r-tour h1")).to_have_text(STEPS[step - 1].title, timeout=ANSWER_MS)
    expect(screen.page.locator("html:not([data-busy])")).to_be_attached(timeout=ANSWER_MS)
    expect(screen.page.locator(".live")).to_be_visible(timeout=ANSWER_MS)


def test_the_whole_tour_can_be_walked_with_the_arrow_keys(learn: Screen) -> None:
    page = learn.page
    page.locator("body").click(position={"x": 640, "y": 780})
    for step in range(1, len(STEPS) + 1):
        is_at(learn, step)
        expect(page.locator("#r-tour [role=status]")).to_contain_text(f"Step {step} of {len(STEPS)}")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.keyboard.press("ArrowRight")
    is_at(learn, 1)
    page.keyboard.press("ArrowRight")
    is_at(learn, 2)
    page.keyboard.press("ArrowLeft")
    is_at(learn, 1)


def test_the_handle_is_reached_by_tab_and_its_images_are_the_servers(learn: Screen) -> None:
    page = learn.page
    page.locator("#tour-next").focus()
    page.keyboard.press("Enter")
    is_at(learn, 2)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "tour-value":
            break
    expect(page.locator("#tour-value")).to_be_focused()
    before = hashes(learn)
    page.keyboard.press("Home")
    expect(page.locator(".said .idle")).to_contain_text("T = 0.00", timeout=ANSWER_MS)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".said .idle")).to_contain_text("T = 0.05", timeout=ANSWER_MS)
    expect(page.locator("#tour-value")).to_be_focused()
    assert hashes(learn) == made(learn, "vdvae-mnist", {"source": {"seed": 1240}, "n": 6, "temperature": 0.05})
    assert hashes(learn) != before
    page.locator("#tour-next").focus()
    page.keyboard.press("z")
    expect(page.locator(".said .idle")).to_contain_text("T = 1.00", timeout=ANSWER_MS)
    assert hashes(learn) == before
    page.keyboard.press("Shift+Z")
    expect(page.locator(".said .idle")).to_contain_text("T = 0.05", timeout=ANSWER_MS)


def test_a_drag_loses_no_last_value(learn: Screen) -> None:
    page = learn.page
    box = page.locator("#tour-value").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2, steps=15)
    page.mouse.up()
    expect(page.locator(".said .idle")).to_contain_text("Seeds 1540 to 1545", timeout=ANSWER_MS)
    assert hashes(learn) == made(learn, "vdvae-mnist", {"source": {"seed": 1540}, "n": 6})


def test_one_level_again_is_what_the_noise_of_the_others_says(learn: Screen) -> None:
    learn.page.get_by_role("button", name="Step 5:").click()
    is_at(learn, 5)
    card = httpx.get(f"{learn.site.api}/v1/models/vdvae-mnist", timeout=60).json()
    level = int(learn.page.locator("#tour-value").input_value())
    others = [index for index in range(len(card["levels"])) if index != level]
    edits = [{"op": "swap", "levels": others, "source": {"seed": 1240}, "space": "noise"}]
    assert hashes(learn) == made(learn, "vdvae-mnist", {"source": {"seed": 1240}, "n": 6, "edits": edits})
    assert hashes(learn)[0] != hashes(learn)[1]


def test_every_pixel_of_the_image_can_be_kept(learn: Screen) -> None:
    learn.page.get_by_role("button", name="Step 10:").click()
    is_at(learn, 10)
    learn.page.locator("#tour-value").press("End")
    expect(learn.page.locator(".said .idle")).to_contain_text("The first 196 of 196", timeout=ANSWER_MS)
    assert len({pixels(image) for image in drawn(learn)}) == 1, "nothing is left to draw"


@pytest.mark.parametrize("step", [2, 5, 6, 9, 10, 12])
def test_a_step_opens_on_its_screen_with_its_recipe(screen: Screen, step: int) -> None:
    page, opens = screen.page, STEPS[step - 1].opens
    page.goto(f"{screen.site.app}/?screen=learn&step={step}")
    is_at(screen, step)
    about = 1 if opens == "mix" else 0  # A stands before it
    sha256, png = hashes(screen)[about], drawn(screen)[about]
    page.locator("#tour-open").click()
    expect(page.locator(SHOWN[opens])).to_be_visible(timeout=ANSWER_MS)
    if opens == "levels":  # which starts from the image that no level was drawn again of
        screen.same_pixels(png, SHOWN[opens])
    else:
        screen.this_image(sha256, SHOWN[opens])
    page.go_back()
    is_at(screen, step)
    screen.left()


def test_the_link_brings_step_and_value_back(learn: Screen, browser: Browser) -> None:
    page = learn.page
    page.get_by_role("button", name="Step 6:").click()
    is_at(learn, 6)
    page.locator("#tour-value").press("ArrowRight")
    expect(page.locator("html:not([data-busy])")).to_be_attached(timeout=ANSWER_MS)
    said, shown = page.locator(".said .idle").inner_text(), hashes(learn)
    elsewhere = browser.new_context(viewport={"width": 1280, "height": 800})
    again = watched(elsewhere.new_page(), learn.site)
    again.page.goto(page.url)
    is_at(again, 6)
    expect(again.page.locator(".said .idle")).to_have_text(said, timeout=ANSWER_MS)
    assert hashes(again) == shown
    assert (again.foreign, again.complaints) == ([], [])
    elsewhere.close()


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_no_step_has_a_barrier_or_scrolls_sideways_and_its_numbers_explain_themselves(
    site: Site, browser: Browser, width: int, theme: Any
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=theme)
    look = watched(context.new_page(), site)
    look.page.goto(f"{site.app}/?screen=learn")
    for step in range(1, len(STEPS) + 1):
        is_at(look, step)
        assert look.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), step
        assert look.page.evaluate(UNEXPLAINED) == [], step
        found = Axe().run(look.page, options=WCAG).response["violations"]
        assert [(violation["id"], [node["html"][:200] for node in violation["nodes"]]) for violation in found] == [], (
            step
        )
        look.page.locator("#tour-next").click()
    assert (look.foreign, look.complaints) == ([], [])
    context.close()
