"""The explorer in a real Chromium, before a real server: what a person does, and that the image is the server's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ANSWER_MS, Screen, Site, exploring, free_port, serving, watched
from playwright.sync_api import Browser, BrowserContext, expect

pytestmark = pytest.mark.browser


def card(screen: Screen) -> dict[str, Any]:
    model = httpx.URL(screen.page.url).params["model"]
    return dict(httpx.get(f"{screen.site.api}/v1/models/{model}", timeout=60).json())


def busiest(screen: Screen) -> int:
    """The level that is selected at the start: it carries most bits, so turning it shows."""
    return int(httpx.URL(screen.page.url).params["level"])


# --- Explore --------------------------------------------------------------------------------------------------------


def test_the_image_on_the_screen_is_the_servers_to_the_byte(screen: Screen) -> None:
    image = screen.answer()["images"][0]
    assert screen.shown() == image["sha256"] == screen.page.locator("#shown").get_attribute("data-sha256")


def test_an_arrow_key_turns_a_temperature_by_a_hundredth(screen: Screen) -> None:
    level, before = busiest(screen), screen.shown()
    screen.handle(level).focus()
    for _ in range(20):
        screen.page.keyboard.press("ArrowLeft")
    assert screen.temperature(level) == "0.80"
    screen.another_image(before)
    answer = screen.answer()
    assert answer["recipe"]["temperature"][level] == 0.8
    screen.this_image(answer["images"][0]["sha256"])


@pytest.mark.parametrize(
    ("key", "temperature"), [("PageDown", "0.90"), ("PageUp", "1.10"), ("Home", "0.00"), ("End", "1.50")]
)
def test_the_other_keys_of_a_handle(screen: Screen, key: str, temperature: str) -> None:
    level = busiest(screen)
    screen.handle(level).focus()
    screen.page.keyboard.press(key)
    assert screen.temperature(level) == temperature
    assert screen.handle(level).get_attribute("aria-valuetext") == temperature


def test_a_drag_turns_a_temperature_and_is_one_step(screen: Screen) -> None:
    level, before = busiest(screen), screen.shown()
    drag(screen, level, -40)
    turned = screen.temperature(level)
    assert turned < "1.00"
    screen.another_image(before)
    answer = screen.answer()
    assert answer["recipe"]["temperature"][level] == float(turned)
    screen.this_image(answer["images"][0]["sha256"])
    screen.page.keyboard.press("z")
    screen.this_image(before)
    assert screen.temperature(level) == "1.00"


def test_a_drag_with_shift_moves_the_whole_resolution(screen: Screen) -> None:
    group = max(card(screen)["groups"], key=lambda group: len(group["levels"]))
    screen.page.keyboard.down("Shift")
    drag(screen, group["levels"][0], -30)
    screen.page.keyboard.up("Shift")
    temperatures = {screen.temperature(level) for level in group["levels"]}
    assert len(temperatures) == 1
    assert temperatures.pop() < "1.00"


def test_a_double_click_resets_a_handle(screen: Screen) -> None:
    level = busiest(screen)
    screen.handle(level).focus()
    screen.page.keyboard.press("Home")
    screen.handle(level).dblclick()
    assert screen.temperature(level) == "1.00"


def test_the_dice_draw_one_level_again(screen: Screen) -> None:
    level, before = busiest(screen), screen.shown()
    screen.page.get_by_label(f"Draw level {level} again").click()
    screen.another_image(before)
    answer = screen.answer()
    assert {key: change["draw"] for key, change in answer["recipe"]["levels"].items()} == {str(level): 1}
    screen.this_image(answer["images"][0]["sha256"])
    screen.page.get_by_label("Undo").click()
    screen.this_image(before)
    screen.page.get_by_label("Redo").click()
    screen.this_image(answer["images"][0]["sha256"])


def test_a_draw_of_a_strip_is_kept_by_a_click(screen: Screen) -> None:
    tile = screen.page.get_by_title("Keep draw 3").first
    expect(tile).to_be_visible(timeout=ANSWER_MS)
    wanted = tile.locator("img").get_attribute("src")
    before = screen.shown()
    tile.click()
    screen.another_image(before)
    assert screen.page.locator("#shown").get_attribute("src") == wanted
    expect(screen.page.get_by_title("Keep draw 3").first).to_have_attribute("aria-pressed", "true", timeout=ANSWER_MS)


def test_a_locked_level_stays(screen: Screen) -> None:
    level, before = busiest(screen), screen.shown()
    screen.page.get_by_label(f"Lock level {level}", exact=True).click()
    expect(screen.handle(level)).to_be_disabled(timeout=ANSWER_MS)
    screen.page.get_by_role("button", name="Mean below").click()
    screen.page.get_by_role("button", name="Linear").click()
    screen.another_image(before)
    assert screen.temperature(level) == "1.00"


def test_paging_through_seeds(screen: Screen) -> None:
    before = screen.shown()
    seed = int(screen.page.locator("#shown").get_attribute("data-seed") or "")
    screen.page.get_by_label("Next 4 seeds").click()
    screen.another_image(before)
    expect(screen.page.locator("#shown")).to_have_attribute("data-seed", str(seed + 4))
    screen.page.get_by_label("Previous 4 seeds").click()
    screen.this_image(before)


def test_the_gallery_shows_every_image_and_selects_one(screen: Screen) -> None:
    screen.page.get_by_label("Images", exact=True).first.fill("12")
    screen.page.keyboard.press("Enter")
    screen.page.get_by_label("All images", exact=True).first.click()
    tiles = screen.page.locator(".gallery button")
    expect(tiles).to_have_count(12, timeout=ANSWER_MS)
    tiles.nth(7).click()
    expect(screen.page.locator("#shown")).to_be_visible(timeout=ANSWER_MS)
    screen.this_image(screen.answer()["images"][7]["sha256"])


def test_a_sample_of_the_pixels_is_another_image(screen: Screen) -> None:
    before = screen.shown()
    screen.page.get_by_role("button", name="Sample", exact=True).click()
    screen.another_image(before)
    assert screen.answer()["recipe"]["output"]["image"] == "sample"


def test_the_download_is_the_servers_png(screen: Screen, tmp_path: Path) -> None:
    with screen.page.expect_download() as started:
        screen.page.locator("#download").click()
    started.value.save_as(tmp_path / "image.png")
    assert hashlib.sha256((tmp_path / "image.png").read_bytes()).hexdigest() == screen.answer()["images"][0]["sha256"]


def test_the_effect_of_every_level_is_measured_and_the_bits_are_plotted(screen: Screen) -> None:
    expect(screen.page.locator(".fx")).to_have_count(len(card(screen)["levels"]), timeout=ANSWER_MS)
    screen.page.get_by_role("tab", name="Bits").click()
    expect(screen.page.locator("#bits .main-svg").first).to_be_visible(timeout=ANSWER_MS)


# --- Mix ------------------------------------------------------------------------------------------------------------


def test_swapping_a_level_between_two_samples(screen: Screen) -> None:
    screen.page.get_by_role("tab", name="Mix").click()
    noise = screen.page.locator("#mix-noise")
    expect(noise).to_be_visible(timeout=ANSWER_MS)
    screen.page.get_by_role("button", name="None").click()
    a, b = (screen.sample({"source": {"seed": seed}})["images"][0]["data"] for seed in (1240, 1241))
    screen.same_pixels(a, "#mix-noise")
    screen.same_pixels(a, "#mix-latent")
    level, nothing = busiest(screen), screen.shown("#mix-noise")
    screen.page.get_by_label(f"Level {level} from A").click()
    screen.another_image(nothing, "#mix-noise")
    edit = {"op": "swap", "levels": [level], "source": {"seed": 1241}, "space": "noise"}
    swapped = screen.sample({"source": {"seed": 1240}, "edits": [edit]})["images"][0]["data"]
    assert swapped not in (a, b)
    screen.same_pixels(swapped, "#mix-noise")
    screen.this_image(screen.answer()["images"][0]["sha256"], "#mix-noise")
    screen.page.get_by_role("button", name="All", exact=True).click()
    screen.same_pixels(b, "#mix-noise")
    screen.same_pixels(b, "#mix-latent")


def test_test_images_can_be_mixed(screen: Screen) -> None:
    screen.page.get_by_role("tab", name="Mix").click()
    expect(screen.page.locator("#source-b")).to_be_visible(timeout=ANSWER_MS)
    before = screen.shown("#mix-latent")
    screen.page.locator("#source-b").select_option("1")
    screen.another_image(before, "#mix-latent")
    screen.page.get_by_role("button", name="All", exact=True).click()
    screen.same_pixels(screen.sample({"source": {"example": 1}})["images"][0]["data"], "#mix-latent")


def test_a_cell_of_the_matrix_sets_the_cut(screen: Screen) -> None:
    screen.page.get_by_role("tab", name="Mix").click()
    cell = screen.page.locator(".mx .plain").nth(1)
    expect(cell).to_be_visible(timeout=ANSWER_MS)
    cell.click()
    expect(screen.page.locator(".ab[aria-pressed=true]")).to_have_count(1, timeout=ANSWER_MS)


# --- the link ---------------------------------------------------------------------------------------------------------


def test_the_link_brings_everything_back(screen: Screen, browser: Browser) -> None:
    level, before = busiest(screen), screen.shown()
    page = screen.page
    page.get_by_role("button", name="Cosine").click()
    page.get_by_label(f"Draw level {level} again").click()
    page.get_by_label("Lock level 0", exact=True).click()
    page.get_by_role("button", name="Select level 1", exact=True).click()
    page.get_by_title("Seed 1242").click()
    page.get_by_role("tab", name="Bits").click()
    expect(page.get_by_title("Seed 1242")).to_have_attribute("aria-pressed", "true", timeout=ANSWER_MS)
    expect(page.get_by_role("tab", name="Bits")).to_have_attribute("aria-selected", "true", timeout=ANSWER_MS)
    shown = screen.another_image(before)
    elsewhere = browser.new_context(viewport={"width": 1280, "height": 800})
    again = watched(elsewhere.new_page(), screen.site).open(
        page.url.partition("/")[2].partition("/")[2].partition("/")[2]
    )
    again.this_image(shown)
    assert again.answer()["recipe"] == screen.answer()["recipe"]
    assert again.page.locator(".lrow.sel").get_attribute("data-level") == "1"
    expect(again.page.get_by_label("Lock level 0", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(again.page.get_by_role("tab", name="Bits")).to_have_attribute("aria-selected", "true")
    assert [again.temperature(i) for i in range(3)] == [screen.temperature(i) for i in range(3)]
    screen.reload()
    screen.this_image(shown)
    elsewhere.close()


def test_the_link_brings_a_mix_back(screen: Screen) -> None:
    page = screen.page
    page.get_by_role("tab", name="Mix").click()
    before = screen.shown("#mix-noise")
    page.locator("#seed-b").fill("77")
    page.keyboard.press("Enter")
    screen.another_image(before, "#mix-noise")
    shown = screen.shown("#mix-noise"), screen.shown("#mix-latent")
    screen.reload()
    screen.this_image(shown[0], "#mix-noise")
    screen.this_image(shown[1], "#mix-latent")
    expect(page.locator("#seed-b")).to_have_value("77")
    expect(page.locator("#explore")).to_be_hidden()


def test_link_and_curl_are_copied(screen: Screen, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=screen.site.app)
    screen.page.get_by_role("button", name="Copy link").click()
    expect(screen.page.locator("#said")).to_have_text("Link copied")
    assert screen.page.evaluate("navigator.clipboard.readText()") == screen.page.url
    screen.page.get_by_role("button", name="as curl").click()
    expect(screen.page.locator("#said")).to_have_text("Text copied")
    assert screen.page.evaluate("navigator.clipboard.readText()").startswith(f"curl -sS {screen.site.api}/v1/models/")


# --- the keyboard alone ---------------------------------------------------------------------------------------------


def test_everything_can_be_done_from_the_keyboard(screen: Screen) -> None:
    page, keys = screen.page, screen.page.keyboard
    first = screen.shown()
    keys.press("n")
    fresh = screen.another_image(first)
    keys.press("r")
    drawn = screen.another_image(fresh)
    keys.press("z")
    screen.this_image(fresh)
    keys.press("Shift+Z")
    screen.this_image(drawn)
    keys.press("2")
    second = card(screen)["groups"][1]["levels"][0]
    expect(page.locator(".lrow.sel")).to_have_attribute("data-level", str(second), timeout=ANSWER_MS)
    keys.press("Tab")  # from the row's number to its handle
    expect(screen.handle(second)).to_be_focused()
    keys.press("PageDown")
    expect(page.locator(f".lrow[data-level='{second}'] .t")).to_have_text("0.90")
    expect(screen.handle(second)).to_be_focused()
    keys.press("Tab")
    expect(page.get_by_label(f"Draw level {second} again")).to_be_focused()
    expect(page.get_by_title("Keep draw 1").first).to_be_visible(timeout=ANSWER_MS)
    before = screen.shown()
    keys.press("Enter")
    screen.another_image(before)
    keys.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("tab", name="Explore").focus()
    keys.press("ArrowRight")
    expect(page.locator(".lr").first).to_be_visible(timeout=ANSWER_MS)
    expect(page.get_by_role("tab", name="Levels")).to_be_focused()
    keys.press("ArrowRight")
    expect(page.locator("#mix-noise")).to_be_visible(timeout=ANSWER_MS)
    expect(page.get_by_role("tab", name="Mix")).to_be_focused()


def test_letters_typed_into_a_field_are_no_commands(screen: Screen) -> None:
    before, link = screen.shown(), screen.page.url
    screen.page.locator("#seed").fill("")
    screen.page.locator("#seed").press_sequentially("nrz?12")
    screen.page.keyboard.press("Enter")
    expect(screen.page.locator("#seed")).to_have_value("1240")  # not a number: back to what it was
    expect(screen.page.get_by_role("dialog")).to_be_hidden()
    assert (screen.shown(), screen.page.url) == (before, link)
    screen.page.locator("#seed").fill("77")
    screen.page.keyboard.press("Enter")
    screen.another_image(before)
    expect(screen.page.locator("#shown")).to_have_attribute("data-seed", "77")


# --- the page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1280, 390])
def test_no_screen_scrolls_sideways(screen: Screen, width: int) -> None:
    screen.page.set_viewport_size({"width": width, "height": 800})
    expect(screen.page.locator(".strip")).to_be_visible(timeout=ANSWER_MS)
    for name, part in (("Explore", "#shown"), ("Levels", ".lr"), ("Mix", "#mix-noise"), ("Reconstruct", "#kept")):
        screen.page.get_by_role("tab", name=name).click()
        expect(screen.page.locator(part).first).to_be_visible(timeout=ANSWER_MS)
        assert screen.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_image_rail_and_inspector_fit_one_screen(screen: Screen) -> None:
    expect(screen.page.locator(".strip")).to_be_visible(timeout=ANSWER_MS)
    for part in ("#shown", ".rail", ".strip", "#r-head"):
        box = screen.page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800


def test_images_are_enlarged_by_whole_numbers_without_smoothing(screen: Screen) -> None:
    width = card(screen)["image"]["width"]
    box = screen.page.locator("#shown").bounding_box()
    assert box is not None
    assert box["width"] % width == 0
    assert box["width"] > 8 * width
    assert screen.page.locator("#shown").evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"


def test_dark_is_remembered(screen: Screen) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = screen.page.evaluate(background)
    screen.page.get_by_label("Switch theme").click()
    dark = screen.page.evaluate(background)
    assert dark != light
    screen.reload()
    expect(screen.page.locator("#shown")).to_be_visible(timeout=ANSWER_MS)
    assert screen.page.evaluate(background) == dark


def test_without_a_server_the_page_says_so_and_tries_again(zoo: Path, browser: Browser, tmp_path: Path) -> None:
    site = Site(*(f"http://127.0.0.1:{free_port()}" for _ in range(2)))
    with exploring(site.app, site.api, tmp_path / "app.log"):
        screen = watched(browser.new_page(), site)
        screen.page.goto(site.app)
        expect(screen.page.get_by_role("alert")).to_have_text(
            "The server does not answer. Your settings are kept in the link.", timeout=ANSWER_MS
        )
        with serving(site.api, zoo, tmp_path / "server.log"):
            screen.page.get_by_role("button", name="Retry").click()
            expect(screen.page.locator("#shown")).to_be_visible(timeout=ANSWER_MS)
            assert screen.shown() == screen.answer()["images"][0]["sha256"]
        screen.page.close()
        assert screen.foreign == []


def drag(screen: Screen, level: int, pixels: int) -> None:
    """Drag a level's handle sideways with the mouse, in small steps."""
    handle = screen.handle(level)
    box = handle.bounding_box()
    assert box is not None
    share = int(handle.input_value()) / 1000
    x, y = box["x"] + 6 + share * (box["width"] - 12), box["y"] + box["height"] / 2
    screen.page.mouse.move(x, y)
    screen.page.mouse.down()
    screen.page.mouse.move(x + pixels, y, steps=12)
    screen.page.mouse.up()
