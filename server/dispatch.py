"""From a request to a worker and back: waits for a turn, and stops what nobody waits for any more.

The rules are `admission`'s; this module brings the clock and the event loop. A request is answered at once when its
deadline passes, its client leaves or a newer one takes its place, but its worker counts as busy until the work itself
has noticed, which `Cancel` tells it.

Small work that is alone is done on the event loop itself: waking a thread for it would take as long again. What waits
at the same time goes to a worker together, in one call.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from server.admission import Admission, Full, Ticket
from server.backend import Backend
from server.call import Call
from server.cancel import Cancelled, Joint
from server.metrics import Metrics
from server.models import Model
from server.problems import Problem
from server.tracing import Attributes, Tracing

QUICK_FLOPS = 300_000_000  # what the event loop may do itself: a few milliseconds of one core

Result = TypeVar("Result")
Arguments = Sequence[Any]
# `together(model, arguments of each)` is `work(model, *arguments)` of each, as a list.
Together = Callable[[Model, Sequence[Any]], list[Any]]


@dataclass(eq=False)
class _Job:
    call: Call
    ticket: Ticket
    work: Callable[..., Any]
    together: Together | None
    model: Model
    arguments: Arguments
    done: asyncio.Future[Any]
    context: contextvars.Context

    @property
    def quick(self) -> bool:
        return self.together is not None and self.call.cost * self.model.engine.flops <= QUICK_FLOPS


class Dispatcher:
    """Runs calls on a backend as admission lets them. Belongs to one event loop."""

    def __init__(self, backend: Backend, admission: Admission, tracing: Tracing, metrics: Metrics) -> None:
        self._backend, self._admission, self._tracing, self._metrics = backend, admission, tracing, metrics
        self._jobs: dict[Ticket, _Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        return not self._jobs

    def full(self) -> bool:
        """Whether there is no place in the queue, once everybody who came in this moment has started who can."""
        if self._admission.full:
            self._start_what_can()
        return self._admission.full

    def refuse_when_full(self) -> None:
        """Raises Problem where there is no place in the queue: before any work is put into a request."""
        if self.full():
            raise self._busy(self._admission.retry_after(time.monotonic()))

    async def run(
        self,
        call: Call,
        work: Callable[..., Result],
        model: Model,
        arguments: Arguments,
        together: Together | None = None,
    ) -> Result:
        """`work(model, *arguments)` when its turn comes, or its part of what `together` does for several.

        Raises Problem (busy, deadline, superseded), Cancelled where the client has left or `call.cancel` is switched
        on, and whatever the work raises.
        """
        call.cancel.check()
        room = model.engine.max_batch if together else 0
        kind = model.id, work.__name__
        ticket = Ticket(kind, call.cost, call.lane, call.deadline, call.key, owner=call.cancel, room=room)
        done = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may be given up unheard
        job = _Job(call, ticket, work, together, model, arguments, done, contextvars.copy_context())
        self._admit(job)
        try:
            if together:
                await asyncio.sleep(0)  # who asks in the same moment is admitted first, to go along
            self._start_what_can()
            if not done.done():
                await self._wait(job)
            result: Result = done.result()
            return result
        finally:
            self._stop(job, Cancelled(), None)

    def stop_all(self) -> None:
        """Tell all work that it is no longer wanted."""
        for job in list(self._jobs.values()):
            self._stop(job, Problem("draining", "The server stops"), "draining")

    def _admit(self, job: _Job) -> None:
        self.full()
        try:
            older = self._admission.offer(job.ticket, time.monotonic())
        except Full as full:
            raise self._busy(full.retry_after) from None
        self._jobs[job.ticket] = job
        if older is not None:
            newer = Problem("superseded", "A newer request with the same X-Supersede-Key took its place")
            self._stop(self._jobs[older], newer, "superseded")

    def _busy(self, retry_after: int) -> Problem:
        self._metrics.rejected.labels("busy").inc()
        return Problem("busy", f"Try again in {retry_after} s", headers={"Retry-After": str(retry_after)})

    async def _wait(self, job: _Job) -> None:
        """Until a job is done, or nobody waits for it any more."""
        loop, call = asyncio.get_running_loop(), job.call

        def cancelled() -> None:  # from any thread
            loop.call_soon_threadsafe(self._stop, job, Cancelled(), None)

        take_back = call.cancel.tell(cancelled)
        timer = call.deadline and loop.call_later(call.deadline - time.monotonic(), self._late, job)
        watch = asyncio.ensure_future(self._watch(job)) if call.gone else None
        try:
            await asyncio.wait([job.done])
        finally:
            take_back()
            for pending in (timer, watch):
                if pending:
                    pending.cancel()

    def _start_what_can(self) -> None:
        while ticket := self._admission.start(time.monotonic()):
            jobs = [self._jobs[each] for each in (ticket, *ticket.along)]
            alone = self._admission.running == 1 and self._admission.waiting == 0
            if alone and len(jobs) == 1 and jobs[0].quick and self._backend.local:
                self._work_here(jobs[0])
                continue
            task = asyncio.create_task(self._work(jobs), context=jobs[0].context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _work_here(self, job: _Job) -> None:
        about = self._begin([job])
        try:
            with self._tracing.span("strata.infer", about):
                outcome = job.work(job.model, *job.arguments)
        except Exception as error:
            outcome = error
        self._settle([job], [outcome])

    async def _work(self, jobs: Sequence[_Job]) -> None:
        with self._tracing.span("strata.infer", self._begin(jobs)):
            outcomes = await self._together(jobs) if len(jobs) > 1 else None
            # An error belongs to whom it happened, so who met it together tries again alone.
            self._settle(jobs, outcomes or [await self._alone(job) for job in jobs])
        self._start_what_can()

    async def _alone(self, job: _Job) -> Any:
        try:
            return await self._backend.run(job.work, job.model, job.arguments, job.call)
        except BaseException as error:
            return error

    async def _together(self, jobs: Sequence[_Job]) -> list[Any] | None:
        first, arguments = jobs[0], [job.arguments for job in jobs]
        assert first.together is not None
        try:
            with Joint(job.call.cancel for job in jobs) as cancel:
                call = replace(first.call, cancel=cancel)
                return await self._backend.run(first.together, first.model, (arguments,), call)
        except Exception:
            return None

    def _begin(self, jobs: Sequence[_Job]) -> Attributes:
        model_id, cost = jobs[0].model.id, sum(job.call.cost for job in jobs)
        about: Attributes = {"strata.model": model_id, "strata.cost": cost}
        for job in jobs:
            queued = job.ticket.started - job.ticket.arrived
            job.call.times.queued += queued
            self._metrics.queue_seconds.labels(model_id).observe(queued)
            self._tracing.past("strata.queue", queued, about)
        return about

    def _settle(self, jobs: Sequence[_Job], outcomes: Sequence[Any]) -> None:
        """Hand everybody their result or error; the worker is free again."""
        now, model_id, ticket = time.monotonic(), jobs[0].model.id, jobs[0].ticket
        self._metrics.infer_seconds.labels(model_id).observe(now - ticket.started)
        self._admission.finish(ticket, now, not any(isinstance(outcome, BaseException) for outcome in outcomes))
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.call.times.worked += now - ticket.started
            del self._jobs[job.ticket]
            failed = isinstance(outcome, BaseException)
            if not failed:
                self._metrics.images.labels(model_id).inc(job.call.cost)
            if not job.done.done():
                (job.done.set_exception if failed else job.done.set_result)(outcome)

    def _stop(self, job: _Job, why: Exception, reason: str | None) -> None:
        """Answer a job that is not done yet with `why`; a waiting one gives up its place, a running one is told."""
        if job.done.done():
            return
        job.done.set_exception(why)
        if reason:
            self._metrics.rejected.labels(reason).inc()
        if job.ticket.state == "waiting":
            self._admission.withdraw(job.ticket)
        if job.ticket.state == "done":
            self._jobs.pop(job.ticket, None)
        job.call.cancel.cancel()

    def _late(self, job: _Job) -> None:
        self._stop(job, Problem("deadline", "There was no answer in the time that the request gave"), "deadline")

    async def _watch(self, job: _Job) -> None:
        assert job.call.gone is not None
        await job.call.gone()
        self._stop(job, Cancelled(), "left")
