"""A change at one level of a large model, decoded from the state above it: how long it takes, and that it is equal."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx

from benchmarks.clients import median
from benchmarks.subjects import Subject, prepare, sampling_pass
from benchmarks.timing import REST_SECONDS, Record
from server.engine import Engine
from server.levels import analyse
from server.plan import Pass, columns
from server.states import StateCache
from training.recipe import load_recipe

RECIPE = "vdvae-cifar10"
CACHE_BYTES = 256 << 20  # as the server's default


class Change(Record):
    """New noise at one level, everything above as before."""

    level: int
    levels_computed: int
    share: float  # of the FLOPs, of what depends on this level
    seconds: float  # the median over the rounds
    full_seconds: float  # of a decode with nothing remembered
    equal: bool  # to it, in every round, bit by bit

    @property
    def part(self) -> float:
        return self.seconds / self.full_seconds


def measure_prefix(rounds: int, threads: int, build: Path) -> list[Change]:
    subject = prepare(load_recipe(RECIPE), build, print)
    levels = len(subject.bundle.manifest.levels)
    remembering = Engine.open(subject.bundle, "cpu", threads, cache=StateCache(CACHE_BYTES))
    forgetful = Engine.open(subject.bundle, "cpu", threads)
    flops = level_flops(subject)
    chosen = [levels // 4, levels // 2, 3 * levels // 4, levels - 1]
    seconds: dict[int, list[float]] = {level: [] for level in chosen}
    full: list[float] = []
    computed, equal = dict.fromkeys(chosen, 0), dict.fromkeys(chosen, True)
    work = sampling_pass(subject, 1)
    for engine in (remembering, forgetful):
        engine.decode(work, ("likelihood",))
    for turn in range(rounds):
        for level in chosen:
            changed = with_new_noise(subject, work, level, 1 + turn)
            time.sleep(REST_SECONDS)
            start = time.perf_counter()
            fast = remembering.decode(changed, ("likelihood",))
            between = time.perf_counter()
            slow = forgetful.decode(changed, ("likelihood",))
            full.append(time.perf_counter() - between)
            seconds[level].append(between - start)
            computed[level] = fast.levels_computed[0]
            equal[level] &= bool(np.array_equal(fast["likelihood"], slow["likelihood"]))
    return [
        Change(
            level=level,
            levels_computed=computed[level],
            share=sum(flops[level:]) / sum(flops),
            seconds=median(seconds[level]),
            full_seconds=median(full),
            equal=equal[level],
        )
        for level in chosen
    ]


def level_flops(subject: Subject) -> list[int]:
    """FLOPs of one image by level: those of level l depend on it, and on none below."""
    model = onnx.load(subject.bundle.decoder, load_external_data=False)
    return analyse(model, subject.bundle.manifest.levels).flops()


def with_new_noise(subject: Subject, work: Pass, level: int, seed: int) -> Pass:
    changed, place = work.copy(), subject.bundle.manifest.levels[level]
    changed.noise[:, columns(place)] = np.random.default_rng(seed).standard_normal((len(work), place.size), np.float32)
    return changed
