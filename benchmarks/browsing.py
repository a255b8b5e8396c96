"""A page in a real Chromium, as a hand meets it: how long until it shows something, and then what was done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, TimeoutError

from benchmarks.timing import Record

PAINTED = Path(__file__).with_name("painted.js")
PATIENCE_MS = 60_000
QUIET_S = 1.5  # so long must nothing arrive before a page counts as loaded
EVENT_S = 0.033  # between two events of a drag: thirty a second, as a hand on a busy machine makes them
STEP = 0.0105  # of the track, for each event: a little more than 0.01 on the explorer's scale
THUMB = 14  # pixels, about


@dataclass(frozen=True)
class Subject:
    """A page to measure: where its image and its handle are, and what marks the image (see painted.js)."""

    image: str
    handle: str
    mark: str
    counted: bool


class Moment(Record):
    """When something happened, in milliseconds of the page's own clock, and its mark."""

    at: float
    mark: int


class FirstLoad(Record):
    """Milliseconds until the first image was seen by a browser that had never been there, and what it took in all."""

    first_ms: float
    requests: int
    bytes: int  # that travelled, headers included


@contextmanager
def opened(browser: Browser, subject: Subject, url: str) -> Iterator[tuple[Page, FirstLoad]]:
    """The page at `url` in a fresh browser profile, with its image there and nothing arriving any more."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    try:
        page = context.new_page()
        page.add_init_script(path=PAINTED)
        page.add_init_script(f"painted.of({json.dumps(subject.__dict__)})")
        traffic = _Traffic(page)
        page.goto(url, timeout=PATIENCE_MS)
        page.wait_for_function("painted.first() !== null", timeout=PATIENCE_MS)
        traffic.wait_until_quiet()
        first = page.evaluate("painted.first()")
        yield page, FirstLoad(first_ms=first, requests=traffic.requests, bytes=traffic.bytes)
    finally:
        context.close()


def drag(page: Page, subject: Subject, events: int) -> list[float]:
    """Seconds until each of these steps of a drag to the right was seen."""
    handle = page.locator(subject.handle)
    box = handle.bounding_box()
    assert box is not None
    value, low, high = (float(handle.evaluate(f"input => input.{name}")) for name in ("value", "min", "max"))
    left, width = box["x"] + THUMB / 2, box["width"] - THUMB
    x, y = left + width * (value - low) / (high - low), box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.wait_for_timeout(QUIET_S * 1e3)  # for what the press itself moved
    page.evaluate("painted.begin()")
    for step in range(1, events + 1):
        _in_time(page, lambda step=step: page.mouse.move(x + step * STEP * width, y))  # type: ignore[misc]
    page.mouse.up()
    return _seen(page)


def press(page: Page, subject: Subject, events: int) -> list[float]:
    """Seconds until each of these presses of an arrow key was seen."""
    page.locator(subject.handle).focus()
    page.evaluate("painted.begin()")
    for _ in range(events):
        _in_time(page, lambda: page.keyboard.press("ArrowRight"))
    return _seen(page)


def waits(events: Sequence[Moment], paints: Sequence[Moment]) -> list[float]:
    """Seconds from each event to the first image that shows it, or one after it: a hand waits for no less."""
    return [
        min(paint.at for paint in paints if paint.mark >= event.mark and paint.at >= event.at) / 1e3 - event.at / 1e3
        for event in events
    ]


def _in_time(page: Page, act: Callable[[], None]) -> None:
    """Act, and let a step of the drag pass from its beginning to its end."""
    end = time.perf_counter() + EVENT_S
    act()
    page.wait_for_timeout(max(0.0, end - time.perf_counter()) * 1e3)


def _seen(page: Page) -> list[float]:
    """Seconds of all events since the last `begin`, once the last of them was seen."""
    try:
        page.wait_for_function("painted.done()", timeout=PATIENCE_MS)
    except TimeoutError as error:
        raise SystemExit(f"the last value of a drag never came: {page.evaluate('painted.found()')}") from error
    found = page.evaluate("painted.found()")
    return waits(*([Moment.model_validate(one) for one in found[name]] for name in ("events", "paints")))


class _Traffic:
    """What a page asked for, and the bytes that came, as Chromium counts them."""

    def __init__(self, page: Page) -> None:
        self.requests, self.bytes, self._last = 0, 0, time.monotonic()
        self._page = page
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.responseReceived", lambda event: self._came(event["response"]["encodedDataLength"]))
        session.on("Network.dataReceived", lambda event: self._came(event["encodedDataLength"]))

    def wait_until_quiet(self) -> None:
        while time.monotonic() < self._last + QUIET_S:
            self._page.wait_for_timeout(100)

    def _asked(self, event: dict[str, Any]) -> None:
        if event["request"]["url"].startswith("http"):
            self.requests += 1
            self._last = time.monotonic()

    def _came(self, count: float) -> None:
        self.bytes += int(count)
        self._last = time.monotonic()
