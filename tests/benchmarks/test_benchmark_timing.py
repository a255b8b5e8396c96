"""Cases take turns, rest before they are timed, and the median counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.timing import SAMPLE_SECONDS, interleave, summarise


class Machine:
    """A clock, and work that moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def clock(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.now += seconds
        self.log.append("rest")

    def work(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds
            self.log.append(name)

        return run


def test_cases_take_turns_and_every_second_round_goes_backwards() -> None:
    machine = Machine()
    cases = {"a": machine.work("a", 1.0), "b": machine.work("b", 2.0)}
    interleave(cases, 2, machine.clock, machine.rest)
    warming_up = ["a", "a", "b", "b"]
    assert machine.log == [*warming_up, "rest", "a", "rest", "b", "rest", "b", "rest", "a"]


def test_the_rest_before_a_sample_is_not_timed() -> None:
    machine = Machine()
    timings = interleave({"a": machine.work("a", 1.0)}, 3, machine.clock, machine.rest)
    assert timings["a"].seconds == pytest.approx(1.0)


def test_a_short_case_is_repeated_until_its_sample_is_long_enough() -> None:
    machine = Machine()
    timing = interleave({"a": machine.work("a", SAMPLE_SECONDS / 10)}, 1, machine.clock, machine.rest)["a"]
    assert timing.seconds == pytest.approx(SAMPLE_SECONDS / 10)
    assert timing.repeats == pytest.approx(10, abs=1)


def test_one_disturbed_round_does_not_move_the_median() -> None:
    timing = summarise([1.0, 1.1, 90.0, 1.2, 1.0])
    assert (timing.seconds, timing.fastest, timing.slowest, timing.rounds) == (1.1, 1.0, 90.0, 5)
