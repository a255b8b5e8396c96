"""Passes wait for nobody while there is a free lane, and go together when there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from model_zoo.manifest import Manifest
from server.batching import Batcher
from server.cancel import Cancel, Cancelled
from server.chain import Decoded, Outputs
from server.plan import Pass

IMAGE: Outputs = ("likelihood",)


class Gate:
    """A decoder whose runs wait until they are let go; an image comes out as its first noise."""

    def __init__(self) -> None:
        self.started: list[tuple[list[float], Cancel]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error: Exception | None = None

    def decode(self, work: Pass, outputs: Outputs, cancel: Cancel) -> Decoded:
        seeds = work.noise[:, 0]
        self.started.append((seeds.tolist(), cancel))
        self.begun.release()
        assert self.go.acquire(timeout=30)
        if self.error:
            raise self.error
        cancel.check()
        return Decoded({"likelihood": seeds.reshape(-1, 1, 1, 1)}, [int(seed) for seed in seeds])


class Scene:
    """A batcher, and requests that come to it from threads of their own."""

    def __init__(self, manifest: Manifest, lanes: int = 1) -> None:
        self.manifest, self.gate = manifest, Gate()
        self.batcher = Batcher(self.gate, max_batch=4, lanes=lanes)
        self.threads = ThreadPoolExecutor(16)

    def ask(self, *seeds: int, outputs: Outputs = IMAGE, cancel: Cancel | None = None) -> Future[Decoded]:
        """A pass of these images; returns when it is in the batcher."""
        work = Pass.blank(len(seeds), self.manifest)
        work.noise[:, 0] = seeds
        before = len(self.gate.started), len(self.batcher.line)
        asked = self.threads.submit(self.batcher.decode, work, outputs, cancel or Cancel())
        until(lambda: (len(self.gate.started), len(self.batcher.line)) != before)
        return asked

    def let_go(self, runs: int = 1) -> None:
        for _ in range(runs):
            self.gate.go.release()

    @property
    def batches(self) -> list[list[float]]:
        return [seeds for seeds, _ in self.gate.started]


@pytest.fixture
def scene(manifest: Manifest) -> Scene:
    return Scene(manifest)


def until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("waited for 30 seconds in vain")


def result(asked: Future[Decoded]) -> tuple[list[float], tuple[int, ...]]:
    decoded = asked.result(30)
    return decoded["likelihood"].reshape(-1).tolist(), decoded.levels_computed


def test_the_first_runs_at_once_and_what_comes_meanwhile_runs_together(scene: Scene) -> None:
    asked = [scene.ask(1), scene.ask(2, 3), scene.ask(4)]
    scene.let_go(2)
    assert [result(each) for each in asked] == [([1], (1,)), ([2, 3], (2, 3)), ([4], (4,))]
    assert scene.batches == [[1], [2, 3, 4]]


def test_a_batch_takes_along_what_fits_and_leaves_the_rest_in_line(scene: Scene) -> None:
    asked = [scene.ask(0), scene.ask(1, 2), scene.ask(3, 4, 5), scene.ask(6, 7), scene.ask(8)]
    scene.let_go(4)
    assert [result(each)[0] for each in asked] == [[0], [1, 2], [3, 4, 5], [6, 7], [8]]
    assert scene.batches == [[0], [1, 2, 6, 7], [3, 4, 5, 8]]


def test_a_pass_larger_than_a_batch_goes_alone(scene: Scene) -> None:
    asked = [scene.ask(0), scene.ask(*range(1, 7)), scene.ask(7)]
    scene.let_go(3)
    assert [result(each)[0] for each in asked] == [[0], [1, 2, 3, 4, 5, 6], [7]]
    assert scene.batches == [[0], [1, 2, 3, 4, 5, 6], [7]]


def test_passes_that_want_other_outputs_do_not_go_together(scene: Scene) -> None:
    asked = [scene.ask(0), scene.ask(1), scene.ask(2, outputs=("latents",)), scene.ask(3)]
    scene.let_go(3)
    assert [result(each)[0] for each in asked] == [[0], [1], [2], [3]]
    assert scene.batches == [[0], [1, 3], [2]]


def test_two_lanes_run_two_batches(manifest: Manifest) -> None:
    scene = Scene(manifest, lanes=2)
    asked = [scene.ask(1), scene.ask(2)]
    assert scene.batches == [[1], [2]]
    asked.append(scene.ask(3))
    assert len(scene.batches) == 2
    scene.let_go(3)
    assert [result(each)[0] for each in asked] == [[1], [2], [3]]


def test_a_lane_is_free_again_after_everybody_has_gone(scene: Scene) -> None:
    for seed in range(3):
        asked = scene.ask(seed)
        scene.let_go()
        assert result(asked)[0] == [seed]


def test_an_error_reaches_everybody_in_the_batch_and_nobody_else(scene: Scene) -> None:
    asked = [scene.ask(0), scene.ask(1), scene.ask(2)]
    scene.let_go()
    result(asked[0])
    scene.gate.error = RuntimeError("out of memory")
    scene.let_go()
    for each in asked[1:]:
        with pytest.raises(RuntimeError, match="out of memory"):
            result(each)
    scene.gate.error = None
    last = scene.ask(3)
    scene.let_go()
    assert result(last)[0] == [3]


def test_who_leaves_the_line_is_not_computed(scene: Scene) -> None:
    leaves = Cancel()
    asked = [scene.ask(0), scene.ask(1, cancel=leaves), scene.ask(2)]
    leaves.cancel()
    with pytest.raises(Cancelled):
        result(asked[1])
    scene.let_go(2)
    assert [result(asked[0])[0], result(asked[2])[0]] == [[0], [2]]
    assert scene.batches == [[0], [2]]


def test_who_leaves_a_running_batch_takes_nobody_along(scene: Scene) -> None:
    leaves = Cancel()
    asked = [scene.ask(0), scene.ask(1), scene.ask(2, cancel=leaves)]
    scene.let_go()
    until(lambda: len(scene.batches) == 2)
    leaves.cancel()
    with pytest.raises(Cancelled):
        result(asked[2])
    assert not scene.gate.started[1][1].cancelled
    scene.let_go()
    assert result(asked[1])[0] == [1]


def test_a_batch_that_everybody_left_is_told(scene: Scene) -> None:
    cancels = [Cancel(), Cancel()]
    asked = [scene.ask(0), *(scene.ask(seed, cancel=cancel) for seed, cancel in enumerate(cancels, 1))]
    scene.let_go()
    until(lambda: len(scene.batches) == 2)
    for cancel in cancels:
        cancel.cancel()
    assert scene.gate.started[1][1].cancelled
    scene.let_go()
    for each in asked[1:]:
        with pytest.raises(Cancelled):
            result(each)


def test_nothing_is_begun_for_who_has_left_before(scene: Scene) -> None:
    gone = Cancel()
    gone.cancel()
    with pytest.raises(Cancelled):
        scene.batcher.decode(Pass.blank(1, scene.manifest), IMAGE, gone)
    assert scene.batches == []


def test_many_threads_each_get_their_own(manifest: Manifest) -> None:
    class Plain:
        def decode(self, work: Pass, outputs: Outputs, cancel: Cancel) -> Decoded:
            return Decoded({"likelihood": work.noise[:, :1].copy()}, [0] * len(work))

    batcher = Batcher(Plain(), max_batch=5, lanes=2)

    def ask(seed: int) -> bool:
        work = Pass.blank(1 + seed % 3, manifest)
        work.noise[:, 0] = np.arange(len(work)) + 10 * seed
        return bool((batcher.decode(work, IMAGE, Cancel())["likelihood"] == work.noise[:, :1]).all())

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(500)))
