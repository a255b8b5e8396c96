"""From a request to a worker and back: waits for a turn, and stops what nobody waits for any more.

The rules are `admission`'s; this module brings the clock and the event loop. A request is answered at once when its
deadline passes, its client leaves or a newer one takes its place, but its worker counts as busy until the work itself
has noticed, which `Cancel` tells it.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from server.admission import Admission, Full, Ticket
from server.backend import Backend
from server.call import Call
from server.cancel import Cancelled
from server.metrics import Metrics
from server.models import Model
from server.problems import Problem
from server.tracing import Attributes, Tracing

Result = TypeVar("Result")


@dataclass(eq=False)
class _Job:
    call: Call
    ticket: Ticket
    begin: Callable[[], Any]  # the work, as a coroutine
    done: asyncio.Future[Any]
    context: contextvars.Context


class Dispatcher:
    """Runs calls on a backend as admission lets them. Belongs to one event loop."""

    def __init__(self, backend: Backend, admission: Admission, tracing: Tracing, metrics: Metrics) -> None:
        self._backend, self._admission, self._tracing, self._metrics = backend, admission, tracing, metrics
        self._jobs: dict[Ticket, _Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        return not self._jobs

    def refuse_when_full(self) -> None:
        """Raises Problem where there is no place in the queue: before any work is put into a request."""
        if self._admission.full:
            raise self._busy(self._admission.retry_after(time.monotonic()))

    async def run(self, call: Call, work: Callable[..., Result], model: Model, arguments: Sequence[Any]) -> Result:
        """`work(model, *arguments)` when its turn comes.

        Raises Problem (busy, deadline, superseded), Cancelled where the client has left or `call.cancel` is switched
        on, and whatever the work raises.
        """
        call.cancel.check()
        loop = asyncio.get_running_loop()
        ticket = Ticket((model.id, work.__name__), call.cost, call.lane, call.deadline, call.key, owner=call.cancel)
        job = _Job(
            call,
            ticket,
            lambda: self._backend.run(work, model, arguments, call),
            loop.create_future(),
            contextvars.copy_context(),
        )
        job.done.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may be given up unheard
        self._admit(job)

        def cancelled() -> None:  # from any thread
            loop.call_soon_threadsafe(self._stop, job, Cancelled(), None)

        take_back = call.cancel.tell(cancelled)
        timer = call.deadline and loop.call_later(call.deadline - time.monotonic(), self._late, job)
        watch = asyncio.ensure_future(self._watch(job)) if call.gone else None
        try:
            self._start_what_can()
            return await asyncio.shield(job.done)  # who leaves must not take it along
        finally:
            self._stop(job, Cancelled(), None)
            take_back()
            for pending in (timer, watch):
                if pending:
                    pending.cancel()

    def stop_all(self) -> None:
        """Tell all work that it is no longer wanted."""
        for job in list(self._jobs.values()):
            self._stop(job, Problem("draining", "The server stops"), "draining")

    def _admit(self, job: _Job) -> None:
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

    def _start_what_can(self) -> None:
        while ticket := self._admission.start(time.monotonic()):
            job = self._jobs[ticket]
            task = asyncio.create_task(self._work(job), context=job.context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, job: _Job) -> None:
        times, measured, model_id = job.call.times, False, job.ticket.kind[0]
        queued = job.ticket.started - job.ticket.arrived
        times.queued += queued
        self._metrics.queue_seconds.labels(model_id).observe(queued)
        about: Attributes = {"strata.model": model_id, "strata.cost": job.call.cost}
        self._tracing.past("strata.queue", queued, about)
        try:
            with self._tracing.span("strata.infer", about):
                result = await job.begin()
            measured = True
            self._metrics.images.labels(model_id).inc(job.call.cost)
            if not job.done.done():
                job.done.set_result(result)
        except BaseException as error:
            if not job.done.done():
                job.done.set_exception(error)
        finally:
            now = time.monotonic()
            times.worked += now - job.ticket.started
            self._metrics.infer_seconds.labels(model_id).observe(now - job.ticket.started)
            self._admission.finish(job.ticket, now, measured)
            del self._jobs[job.ticket]
            self._start_what_can()

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
