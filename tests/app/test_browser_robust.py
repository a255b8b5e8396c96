"""Nothing is lost: not the last value of a drag, not one of two people's work, not a page whose server goes away."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ANSWER_MS, Screen, Site, exploring, free_port, serving, watched
from playwright.sync_api import Browser, BrowserContext, expect

pytestmark = pytest.mark.browser

DROP = """([data, target]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0)), transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "image.png", { type: "image/png" }));
  for (const name of ["dragover", "drop"])
    document.querySelector(target).dispatchEvent(
      new DragEvent(name, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def other(site: Site, browser: Browser) -> Iterator[Screen]:
    """Another person, in a browser of their own."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    screen = watched(context.new_page(), site).open()
    yield screen
    assert (screen.foreign, screen.complaints) == ([], [])
    context.close()


def nudge(screen: Screen, level: int, hundredths: int) -> None:
    """Turn a temperature down with as many keys as quickly as they can be pressed."""
    screen.handle(level).focus()
    for _ in range(hundredths):
        screen.page.keyboard.press("ArrowLeft")


def sweep(screen: Screen, level: int, pixels: int) -> None:
    """Drag a handle to the left and back again, one event a pixel, and let go at once."""
    box = screen.handle(level).bounding_box()
    assert box is not None
    x, y = box["x"] + 6 + int(screen.handle(level).input_value()) / 1000 * (box["width"] - 12), box["y"] + 12
    screen.page.mouse.move(x, y)
    screen.page.mouse.down()
    for way in (pixels, pixels // 3):
        screen.page.mouse.move(x - way, y, steps=pixels)
    screen.page.mouse.up()


def shows_what_the_rail_says(screen: Screen, level: int) -> None:
    """The image, the link and the number beside the handle are one."""
    answer = screen.answer()
    assert answer["recipe"]["temperature"][level] == float(screen.temperature(level))
    screen.this_image(answer["images"][0]["sha256"])


@pytest.mark.parametrize("level", [0, 3])
def test_the_last_value_of_a_drag_is_never_lost(screen: Screen, level: int) -> None:
    for pixels in (40, 24, 33):
        sweep(screen, level, pixels)
        shows_what_the_rail_says(screen, level)


def test_the_last_of_many_keys_is_never_lost(screen: Screen) -> None:
    for hundredths in (37, 12):
        nudge(screen, 2, hundredths)
        shows_what_the_rail_says(screen, 2)
    assert screen.temperature(2) == "0.51"


def test_two_people_at_once_do_not_disturb_each_other(screen: Screen, other: Screen) -> None:
    sweep(screen, 1, 30)
    nudge(other, 2, 15)
    sweep(screen, 1, 20)
    other.page.keyboard.press("n")
    shows_what_the_rail_says(screen, 1)
    shows_what_the_rail_says(other, 2)
    assert screen.temperature(2) == "1.00"
    assert other.temperature(1) == "1.00"
    assert screen.page.locator("#shown").get_attribute("data-seed") == "1240"
    assert screen.page.url != other.page.url
    other.page.keyboard.press("z")
    other.page.keyboard.press("z")
    expect(other.page.locator(".lrow[data-level='2'] .t")).to_have_text("1.00", timeout=ANSWER_MS)
    shows_what_the_rail_says(screen, 1)


def test_a_dropped_png_brings_its_recipe_back(screen: Screen) -> None:
    nudge(screen, 3, 22)
    screen.page.keyboard.press("r")
    screen.answer()
    image = screen.answer()["images"][0]
    source = screen.page.locator("#shown").get_attribute("src") or ""
    screen.page.get_by_role("button", name="Flat").click()
    screen.page.keyboard.press("n")
    screen.another_image(image["sha256"])
    screen.page.get_by_role("tab", name="Levels").click()
    expect(screen.page.locator("#base")).to_be_visible(timeout=ANSWER_MS)
    screen.page.evaluate(DROP, [source.partition(",")[2], "#levels"])
    screen.this_image(image["sha256"])
    expect(screen.page.locator(".lrow[data-level='3'] .t")).to_have_text("0.78", timeout=ANSWER_MS)
    assert b64decode(source.partition(",")[2]).startswith(b"\x89PNG")


def test_the_server_may_stop_and_start_again_under_the_page(zoo: Path, context: BrowserContext, tmp_path: Path) -> None:
    site = Site(*(f"http://127.0.0.1:{free_port()}" for _ in range(2)))
    with exploring(site.app, site.api, tmp_path / "app.log"):
        with serving(site.api, zoo, tmp_path / "server.log"):
            screen = watched(context.new_page(), site).open()
            nudge(screen, 1, 10)
            before = screen.answer()["images"][0]["sha256"]
        nudge(screen, 1, 5)
        alert = screen.page.get_by_role("alert").filter(has_text="The server does not answer")
        expect(alert).to_be_visible(timeout=ANSWER_MS)
        assert screen.shown() == before, "the last image stays"
        screen.page.get_by_label("Lock level 0", exact=True).click()
        with serving(site.api, zoo, tmp_path / "again.log"):
            screen.another_image(before)  # by itself
            expect(screen.page.get_by_label("Lock level 0", exact=True)).to_have_attribute("aria-pressed", "true")
            shows_what_the_rail_says(screen, 1)
            assert screen.temperature(1) == "0.85"
            for _ in range(3):
                screen.page.keyboard.press("z")
            expect(screen.page.locator(".lrow[data-level='1'] .t")).to_have_text("1.00", timeout=ANSWER_MS)
        assert (screen.foreign, screen.complaints) == ([], [])
        screen.page.close()


def test_the_explorer_may_stop_and_start_again_under_the_page(
    site: Site, context: BrowserContext, tmp_path: Path
) -> None:
    own = Site(f"http://127.0.0.1:{free_port()}", site.api)
    with exploring(own.app, own.api, tmp_path / "app.log"):
        screen = watched(context.new_page(), own).open()
        nudge(screen, 1, 10)
        before = screen.answer()["images"][0]["sha256"]
    nudge(screen, 2, 5)
    expect(screen.page.locator("#lost")).to_be_visible(timeout=ANSWER_MS)
    assert screen.shown() == before
    with exploring(own.app, own.api, tmp_path / "again.log"):
        screen.another_image(before)
        expect(screen.page.locator("#lost")).to_be_hidden()
        shows_what_the_rail_says(screen, 2)
        assert (screen.temperature(1), screen.temperature(2)) == ("0.90", "0.95")
        screen.page.close()
    assert screen.foreign == []
