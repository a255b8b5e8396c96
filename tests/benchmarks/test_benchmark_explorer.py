"""The figures of the explorer benchmark from given measurements: what a hand waits for, and beside what."""

from __future__ import annotations

import pytest

from benchmarks.browsing import Moment, waits
from benchmarks.explorer import Page, summary, targets
from benchmarks.service_latency import Latency


def moments(*pairs: tuple[float, int]) -> list[Moment]:
    return [Moment(at=at, mark=mark) for at, mark in pairs]


def page(what: str, seconds: float, first: float) -> Page:
    times = Latency(what=what, seconds=seconds, p95=3 * seconds)
    opened = Latency(what=what, seconds=first, p95=first)
    return Page(what=what, first=opened, requests=40, bytes=300_000, pointer=times, keys=times)


def test_an_event_is_seen_with_the_first_image_that_shows_it_or_one_after_it() -> None:
    events = moments((0, 1), (30, 2), (60, 3), (90, 4))
    paints = moments((40, 1), (110, 3), (150, 4))
    assert waits(events, paints) == pytest.approx([0.04, 0.08, 0.05, 0.06])


def test_an_image_that_was_there_before_the_event_does_not_show_it() -> None:
    assert waits(moments((50, 7)), moments((0, 9), (80, 9))) == pytest.approx([0.03])


def test_the_median_over_the_rounds_counts() -> None:
    found = summary("pointer", [[0.1, 0.2, 0.3], [0.2, 0.4, 0.9], [0.1, 0.1, 0.1]])
    assert (found.seconds, found.p95) == (0.2, 0.3)


def test_the_explorer_is_compared_with_the_bare_page() -> None:
    found = targets(page("explorer", 0.06, 0.9), page("bare", 0.05, 0.5))
    assert [(target.wanted, round(target.measured, 2), target.met) for target in found] == [
        (1.6, 1.2, True),
        (2.0, 1.2, True),
        (1.6, 1.2, True),
        (2.0, 1.2, True),
        (1.5, 1.8, False),
    ]
