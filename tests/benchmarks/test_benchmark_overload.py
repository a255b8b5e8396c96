"""A few seconds of ten times too much: what must hold on any machine, and what the report says of it."""

from __future__ import annotations

import pytest

from benchmarks.overload import Overload, lines, measure


@pytest.fixture(scope="module")
def result() -> Overload:
    return measure(seconds=8.0)


def test_only_200_and_429_and_every_request_is_answered(result: Overload) -> None:
    assert set(result.overload.statuses) == {200, 429}
    asked = round(result.overload.asked_per_second * result.overload.seconds)
    assert sum(result.overload.statuses.values()) == asked
    assert set(result.full_load.statuses) == {200}


def test_whoever_is_refused_is_told_when_to_come_again(result: Overload) -> None:
    least, most = result.retry_after
    assert 1 <= least <= most <= 60


def test_health_is_answered_throughout(result: Overload) -> None:
    assert len(result.health) == len(result.empty) > 10


def test_the_report_names_every_target_and_whether_it_was_met(result: Overload) -> None:
    text = "\n".join(lines(result))
    for target, (found, met) in result.targets().items():
        assert f"| {target} | {found} | {'yes' if met else 'no'} |" in text
