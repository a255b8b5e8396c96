"""From a request to a worker and back: turns, deadlines, superseding, and stopping what nobody waits for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.call import Call
from server.cancel import Cancel, Cancelled
from server.models import Model
from server.problems import Problem
from server.service import Service
from server.settings import Settings

GATE = threading.Event()  # work in a worker thread cannot be handed one


def once_open(model: Model, answer: str) -> str:
    """Work that goes on until the gate opens, and looks for its cancel between its parts as every decode does."""
    while not GATE.is_set():
        model.engine.cancel.check()
        time.sleep(0.002)
    return answer


def fail(model: Model) -> None:
    raise ValueError(model.id)


def together(model: Model, arguments: Sequence[tuple[str]]) -> list[str]:
    """The same for several that wait at the same time, each of whose answers says so; "fails" spoils it for all."""
    answers = [once_open(model, answer) for (answer,) in arguments]
    if "fails" in answers:
        raise ValueError
    return [f"{answer} of {len(answers)}" for answer in answers]


@pytest.fixture
def model(toy: Model) -> Model:
    return toy


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    GATE.clear()
    yield Service(tmp_path, Settings(workers=1, max_waiting=2), lambda: 0)
    GATE.set()


def call(**fields: object) -> Call:
    return Call(**{"cost": 1.0, **fields})  # type: ignore[arg-type]


def rejected(service: Service) -> dict[str, float]:
    families = text_string_to_metric_families(service.metrics.text().decode())
    [family] = [family for family in families if family.name == "strata_rejected"]
    return {sample.labels["reason"]: sample.value for sample in family.samples if sample.name.endswith("_total")}


async def until_idle(service: Service) -> None:
    async with asyncio.timeout(30):
        while not service.idle:
            await asyncio.sleep(0.005)


def test_work_is_done_and_its_time_is_told(service: Service, model: Model) -> None:
    GATE.set()
    own = call()
    assert asyncio.run(service.run(own, once_open, model, "done")) == "done"
    assert own.times.worked > 0
    assert own.times.queued >= 0
    assert service.idle
    assert not own.cancel.cancelled


def test_what_work_raises_comes_back_and_the_worker_is_free_again(service: Service, model: Model) -> None:
    GATE.set()

    async def both() -> str:
        with pytest.raises(ValueError, match=model.id):
            await service.run(call(), fail, model)
        return await service.run(call(), once_open, model, "next")

    assert asyncio.run(both()) == "next"


def test_a_full_queue_refuses_and_loses_nothing_that_it_took(service: Service, model: Model) -> None:
    async def many() -> list[str | BaseException]:
        tasks = [asyncio.create_task(service.run(call(), once_open, model, str(i))) for i in range(5)]
        await asyncio.sleep(0.02)
        with pytest.raises(Problem, match="Try again"):
            service.refuse_when_full()
        GATE.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    *done, fourth, fifth = asyncio.run(many())
    assert done == ["0", "1", "2"]
    for refused in (fourth, fifth):
        assert isinstance(refused, Problem)
        assert refused.kind == "busy"
        assert int((refused.headers or {})["Retry-After"]) >= 1
    assert rejected(service) == {"busy": 3}


@pytest.mark.parametrize("runs", [True, False])
def test_a_deadline_ends_what_runs_and_what_waits(service: Service, model: Model, runs: bool) -> None:
    async def late() -> None:
        if not runs:
            asyncio.create_task(service.run(call(), once_open, model, "first"))  # noqa: RUF006 - ends with the loop
            await asyncio.sleep(0.01)
        with pytest.raises(Problem) as problem:
            await service.run(call(deadline=time.monotonic() + 0.03), once_open, model, "late")
        assert problem.value.kind == "deadline"
        GATE.set()
        await until_idle(service)

    asyncio.run(late())
    assert rejected(service) == {"deadline": 1}


@pytest.mark.parametrize("runs", [True, False])
def test_the_newest_of_a_key_wins(service: Service, model: Model, runs: bool) -> None:
    async def drag() -> list[str | BaseException]:
        first = [] if runs else [asyncio.create_task(service.run(call(), once_open, model, "other"))]
        await asyncio.sleep(0.01)
        tasks = []
        for i in range(4):
            tasks.append(asyncio.create_task(service.run(call(key="rail"), once_open, model, str(i))))
            await asyncio.sleep(0.01)
        GATE.set()
        await asyncio.gather(*first)
        return await asyncio.gather(*tasks, return_exceptions=True)

    *older, newest = asyncio.run(drag())
    assert newest == "3"
    assert [getattr(each, "kind", each) for each in older] == ["superseded"] * 3


@pytest.mark.parametrize("runs", [True, False])
def test_a_client_that_leaves_takes_its_work_along(service: Service, model: Model, runs: bool) -> None:
    async def leave() -> float:
        if not runs:
            asyncio.create_task(service.run(call(), once_open, model, "first"))  # noqa: RUF006 - ends with the loop
            await asyncio.sleep(0.01)
        left = asyncio.Event()

        async def gone() -> None:
            await left.wait()

        own = call(gone=gone)
        task = asyncio.create_task(service.run(own, once_open, model, "nobody hears"))
        await asyncio.sleep(0.02)
        left.set()
        with pytest.raises(Cancelled):
            await task
        assert own.cancel.cancelled
        if runs:
            await until_idle(service)
        GATE.set()
        await until_idle(service)
        return own.times.worked

    assert (asyncio.run(leave()) > 0) == runs
    assert rejected(service) == {"left": 1}


def test_a_task_that_is_cancelled_gives_up_its_place(service: Service, model: Model) -> None:
    async def cancel() -> None:
        task = asyncio.create_task(service.run(call(), once_open, model, ""))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until_idle(service)

    asyncio.run(cancel())


def test_a_switch_that_somebody_else_holds_stops_it_from_any_thread(service: Service, model: Model) -> None:
    cancel = Cancel()

    async def stop() -> None:
        threading.Timer(0.02, cancel.cancel).start()
        with pytest.raises(Cancelled):
            await service.run(call(cancel=cancel), once_open, model, "")
        with pytest.raises(Cancelled):
            await service.run(call(cancel=cancel), once_open, model, "")
        await until_idle(service)

    asyncio.run(stop())


def test_all_can_be_told_to_stop(service: Service, model: Model) -> None:
    async def stop() -> None:
        tasks = [asyncio.create_task(service.run(call(), once_open, model, "")) for _ in range(3)]
        await asyncio.sleep(0.01)
        service.stop_all()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(each, "kind", each) for each in ended] == ["draining"] * 3
        await until_idle(service)

    asyncio.run(stop())


def test_two_calls_of_one_request_share_its_key_without_harm(service: Service, model: Model) -> None:
    GATE.set()

    async def two() -> list[str]:
        own = call(key="rail")
        first = await service.run(own, once_open, model, "read")
        return [first, await service.run(replace(own, cost=4), once_open, model, "decode")]

    assert asyncio.run(two()) == ["read", "decode"]


async def several(
    service: Service, model: Model, answers: Sequence[str], cancels: Sequence[Cancel] = ()
) -> list[object]:
    """Ask for these answers while the only worker is busy, then let it go on."""
    first = asyncio.create_task(service.run(call(), once_open, model, "first"))
    await asyncio.sleep(0.01)
    calls = [call(cancel=cancel) for cancel in cancels] or [call() for _ in answers]
    tasks = [
        asyncio.create_task(service.run(own, once_open, model, answer, together=together))
        for own, answer in zip(calls, answers, strict=True)
    ]
    await asyncio.sleep(0.01)
    if cancels:
        cancels[0].cancel()
        await asyncio.sleep(0.01)
    GATE.set()
    await first
    return [*await asyncio.gather(*tasks, return_exceptions=True)]


def test_what_waits_at_the_same_time_is_done_together(service: Service, model: Model) -> None:
    assert asyncio.run(several(service, model, ["a", "b"])) == ["a of 2", "b of 2"]


def test_who_meets_an_error_together_tries_again_alone(service: Service, model: Model) -> None:
    assert asyncio.run(several(service, model, ["a", "fails"])) == ["a", "fails"]


def test_who_leaves_takes_nobody_along(service: Service, model: Model) -> None:
    left, *rest = asyncio.run(several(service, model, ["a", "b"], [Cancel(), Cancel()]))
    assert isinstance(left, Cancelled)
    assert rest == ["b"]


def test_small_work_that_is_alone_changes_no_thread(service: Service, model: Model) -> None:
    GATE.set()

    def where(model: Model) -> str:
        return threading.current_thread().name

    async def names() -> list[str]:
        small = await service.run(call(), where, model, together=together)
        return [small, await service.run(call(), where, model)]

    here, there = asyncio.run(names())
    assert here == threading.main_thread().name
    assert there.startswith("strata-worker")
