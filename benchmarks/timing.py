"""Timings that can be compared, on a machine that is never quite quiet.

Cases take turns: every round runs each of them, so whatever else the machine does meets all of them alike. Every
second round goes backwards, so that no case always runs after the same neighbour. Before each sample there is a rest,
because the threads of OpenBLAS and OpenMP spin for a while after work and would take a core from whoever comes next.
The median over the rounds counts.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict

SAMPLE_SECONDS = 0.05  # a sample repeats a short case until it takes about so long
REST_SECONDS = 0.1


class Record(BaseModel):
    """A part of a report: written as JSON, read by people, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Timing(Record):
    """Seconds of one run of a case: the median over the rounds, and between what it moved."""

    seconds: float
    fastest: float
    slowest: float
    rounds: int
    repeats: int  # runs of a sample


def interleave(
    cases: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    rest: Callable[[float], object] = time.sleep,
) -> dict[str, Timing]:
    """Time `cases` in turns. Each first runs twice untimed: to warm up, and to see how often a sample repeats it."""
    names = list(cases)
    repeats = {name: _repeats(run, clock) for name, run in cases.items()}
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names[::-1] if number % 2 else names:
            run, count = cases[name], repeats[name]
            rest(REST_SECONDS)
            start = clock()
            for _ in range(count):
                run()
            samples[name].append((clock() - start) / count)
    return {name: summarise(times, repeats[name]) for name, times in samples.items()}


def summarise(times: list[float], repeats: int = 1) -> Timing:
    """The figures of one case from the seconds of its samples."""
    return Timing(
        seconds=statistics.median(times),
        fastest=min(times),
        slowest=max(times),
        rounds=len(times),
        repeats=repeats,
    )


def _repeats(run: Callable[[], object], clock: Callable[[], float]) -> int:
    run()
    start = clock()
    run()
    return max(1, math.ceil(SAMPLE_SECONDS / max(clock() - start, 1e-6)))
