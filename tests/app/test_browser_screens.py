"""What holds for every screen in Chromium, wide and narrow, light and dark: no barrier, nothing cut off, every key.

The screens come from app/screens, so a further one is looked at as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ANSWER_MS, Screen, Site, watched
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.screens import NAMES

SIZES = {"wide": (1280, 800), "narrow": (390, 844)}
# The criteria of WCAG 2.2, levels A and AA. The brackets of the rail are pseudo elements beside the text that axe
# would take for its background.
WCAG = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "checks": {"color-contrast": {"options": {"ignorePseudo": True}}},
}
CONTROLS = "button:not([disabled]), a[href], input:not([disabled]), select, textarea, [tabindex]"
BY_TAB = f"""() => [...document.querySelectorAll("{CONTROLS}")].filter((element) => element.tabIndex >= 0
    && element.checkVisibility({{ visibilityProperty: true }}) && !element.closest("dialog, .plotly"))"""
# Text with a digit, and fields that hold one, without a title here or around; Plotly's plot explains itself on hover,
# and the text of the tour in words.
UNEXPLAINED = """() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walker.nextNode())
        if (/\\d/.test(walker.currentNode.data)) found.push(walker.currentNode.parentElement);
    found.push(...document.querySelectorAll("input[type=text], input[type=range]"));
    return found.filter((element) => element.checkVisibility({ visibilityProperty: true })
        && !element.closest("script, style, option, dialog, .vh, .js-plotly-plot, .prose, [title]")
        && !element.closest("svg")?.querySelector("title")).map((element) => element.outerHTML.slice(0, 160));
}"""
# Where somebody clicked before, Tab would go on from there, even when nothing has the focus.
FROM_THE_TOP = """() => {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
}"""
FOCUS = """() => {
    const now = document.activeElement, ring = (e) => e && getComputedStyle(e).outlineStyle !== "none";
    return { at: window.stops.indexOf(now), body: now === document.body, what: now.outerHTML.slice(0, 160),
        handle: now.type === "range", ring: ring(now) || ring(now.closest("label")) };
}"""


@dataclass
class Look:
    """Pages of one size and theme: each screen is opened once, and looked at by several tests."""

    context: BrowserContext
    site: Site
    screens: dict[str, Screen] = field(default_factory=dict)

    def opened(self, query: str) -> Page:
        """The page with all that the screen shows, also what takes a moment."""
        if query not in self.screens:
            self.screens[query] = watched(self.context.new_page(), self.site)
            self.screens[query].page.goto(f"{self.site.app}/?screen={query}")
        page = self.screens[query].page
        page.bring_to_front()
        expect(page.locator("html[data-settled]")).to_be_attached(timeout=ANSWER_MS)
        return page


@pytest.fixture(scope="module", params=[(size, theme) for size in SIZES for theme in ("light", "dark")], ids="-".join)
def look(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Iterator[Look]:
    """Pages that must not complain, nor ask anybody else for anything."""
    size, theme = request.param
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    look = Look(context, site)
    yield look
    context.close()
    assert [said for screen in look.screens.values() for said in (*screen.foreign, *screen.complaints)] == []


@pytest.mark.parametrize("name", NAMES)
def test_its_own_tab_is_in_sight(look: Look, name: str) -> None:
    """Also where the tabs are wider than the page."""
    page = look.opened(name)
    expect(page.locator(f"#tab-{name}")).to_be_in_viewport(ratio=0.99)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_no_barrier_of_level_a_or_aa(look: Look, name: str) -> None:
    found = Axe().run(look.opened(name), options=WCAG).response
    assert found["passes"], "axe looked at nothing"
    assert [_told(violation) for violation in found["violations"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off_covered_or_beside_the_page(look: Look, name: str, root: Path) -> None:
    page = look.opened(name)
    assert page.evaluate(_boxes(root)) == []
    if name == "explore" and page.viewport_size == {"width": 1280, "height": 800}:
        assert page.evaluate("document.scrollingElement.scrollHeight") <= 800


@pytest.mark.parametrize("name", NAMES)
def test_every_number_explains_itself(look: Look, name: str) -> None:
    assert look.opened(name).evaluate(UNEXPLAINED) == []


def test_the_keyboard_is_told_as_much_as_the_pointer(look: Look) -> None:
    page = look.opened("explore")
    page.locator("#seed").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#tip")).to_have_text("New seed (N)")
    box = page.locator("#tip").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    page.locator("#shown").click()
    expect(page.locator("#tip")).to_be_empty()


@pytest.mark.parametrize("tab", ["map", "rate"])
def test_the_other_tabs_of_the_inspector_are_as_good(look: Look, tab: str, root: Path) -> None:
    page = look.opened(f"explore&tab={tab}")
    expect(page.locator("#r-encoded")).to_have_attribute("aria-labelledby", f"itab-{tab}")
    assert [_told(violation) for violation in Axe().run(page, options=WCAG).response["violations"]] == []
    assert page.evaluate(_boxes(root)) == []
    assert page.evaluate(UNEXPLAINED) == []
    if page.viewport_size == {"width": 1280, "height": 800}:
        assert page.evaluate("document.scrollingElement.scrollHeight") <= 800


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("#r-status { position: relative; top: -200px }", "overlaps"),
        ("#r-status { height: 8px; overflow: hidden }", "is cut off by"),
        ("#r-header { width: 3000px }", "is cut off by"),
        ("{ width: 3000px }", "the page scrolls sideways"),
    ],
)
def test_boxes_that_are_wrong_are_found(screen: Screen, style: str, said: str, root: Path) -> None:
    important = style.replace(";", " !important;").replace(" }", " !important }")
    screen.page.add_style_tag(content=f":root:root:root {important}")
    assert said in "".join(screen.page.evaluate(_boxes(root)))


@pytest.mark.parametrize("name", NAMES)
def test_every_control_can_be_reached_by_keys_and_shows_that_it_is(look: Look, name: str) -> None:
    page = look.opened(name)
    page.evaluate(f"window.stops = ({BY_TAB})()")
    page.evaluate(FROM_THE_TOP)
    controls = int(page.evaluate("window.stops.length"))
    assert controls > 10
    reached, without_ring, handle_seen = set(), [], False
    for _ in range(2 * controls):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["body"]:
            break
        reached.add(focus["at"])
        if focus["handle"]:  # its ring is on the thumb, whose style cannot be asked for; one stands for all
            assert handle_seen or _looks_focused(page)
            handle_seen = True
        elif not focus["ring"]:
            without_ring.append(focus["what"])
    left_out = [page.evaluate(f"window.stops[{i}].outerHTML.slice(0, 160)") for i in set(range(controls)) - reached]
    assert left_out == []
    assert without_ring == []


def test_arrows_lead_from_screen_to_screen(screen: Screen) -> None:
    screen.page.get_by_role("tab", selected=True).first.focus()
    for name in (*NAMES[1:], NAMES[0]):
        screen.page.keyboard.press("ArrowRight")
        expect(screen.page.locator(f"html[data-screen={name}]")).to_be_attached(timeout=ANSWER_MS)
        expect(screen.page.locator(f"#tab-{name}")).to_be_focused()
        expect(screen.page.locator(f"#{name}")).to_be_visible()


def _boxes(root: Path) -> str:
    return (root / "tests" / "app" / "boxes.js").read_text(encoding="utf-8").partition("() =>")[2].join(("() =>", ""))


def _looks_focused(page: Page) -> bool:
    """Whether the element with the focus looks different without it."""
    focused = page.locator(":focus")
    box = focused.bounding_box()
    assert box is not None
    around = {"x": box["x"] - 8, "y": box["y"] - 8, "width": box["width"] + 16, "height": box["height"] + 16}
    with_focus = page.screenshot(clip=around)  # type: ignore[arg-type]
    handle = focused.element_handle()
    page.evaluate("document.activeElement.blur()")
    without = page.screenshot(clip=around)  # type: ignore[arg-type]
    handle.focus()
    return with_focus != without


def _told(violation: dict[str, Any]) -> str:
    where = "; ".join(node["html"][:120] for node in violation["nodes"][:3])
    return f"{violation['id']}: {violation['help']} ({where})"
