"""Jobs: what was sent to be done later, how far it is, and what became of it. No web, no threads, no clock of its own.

A job goes from queued to running to completed, failed or cancelled, and never back. Results are kept within a number
and a bound in bytes: the oldest finished jobs are forgotten first, and it is remembered for a while that they were.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import anyio

from server.cancel import Cancel

State = Literal["queued", "running", "completed", "failed", "cancelled"]
EventKind = Literal["progress", "completed", "failed", "cancelled"]

FORGOTTEN_KEPT = 10_000  # ids of jobs that were forgotten


class UnknownJobError(LookupError):
    """There never was such a job, or it is long ago."""


class ForgottenJobError(LookupError):
    """There was such a job, but it is not remembered any more."""


class TooManyJobsError(Exception):
    """As many jobs wait or run as may."""


@dataclass(frozen=True)
class Content:
    """A finished file."""

    body: bytes
    media_type: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True)
class Failure:
    """Why a job failed: a kind of `problems.KINDS`, and a sentence."""

    kind: str
    detail: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a job; ids count from 1."""

    id: int
    kind: EventKind
    done: int


@dataclass
class Job:
    """One job, as it is now. `total` and `done` are images; only `Jobs` changes it."""

    id: str
    kind: str
    model: str
    total: int
    created: datetime
    state: State = "queued"
    done: int = 0
    started: datetime | None = None
    finished: datetime | None = None
    result: Content | None = None
    failure: Failure | None = None
    cancel: Cancel = field(default_factory=Cancel)
    events: list[Event] = field(default_factory=list)
    changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def open(self) -> bool:
        """Whether it still waits or runs."""
        return self.state in ("queued", "running")


class Jobs:
    """All jobs of one server. Used from one thread: that of the event loop."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        fresh_id: Callable[[], str],
        *,
        max_open: int,
        max_finished: int,
        max_bytes: int,
    ) -> None:
        self._clock, self._fresh_id = clock, fresh_id
        self._max_open, self._max_finished, self._max_bytes = max_open, max_finished, max_bytes
        self._jobs: OrderedDict[str, Job] = OrderedDict()  # finished ones in the order in which they finished
        self._forgotten: OrderedDict[str, None] = OrderedDict()

    def add(self, kind: str, model: str, total: int) -> Job:
        """A new job, queued. Raises TooManyJobsError."""
        if sum(job.open for job in self._jobs.values()) >= self._max_open:
            raise TooManyJobsError
        job = Job(self._fresh_id(), kind, model, total, created=self._clock())
        self._jobs[job.id] = job
        return job

    def get(self, id: str) -> Job:
        """Raises UnknownJobError, ForgottenJobError."""
        if id in self._jobs:
            return self._jobs[id]
        raise ForgottenJobError(id) if id in self._forgotten else UnknownJobError(id)

    def start(self, job: Job) -> None:
        job.state, job.started = "running", self._clock()
        self._tell(job, "progress")

    def progress(self, job: Job, done: int) -> None:
        if job.state == "running" and done > job.done:
            job.done = min(done, job.total)
            self._tell(job, "progress")

    def complete(self, job: Job, result: Content) -> None:
        if job.open:
            job.result, job.done = result, job.total
            self._finish(job, "completed")

    def fail(self, job: Job, failure: Failure) -> None:
        if job.open:
            job.failure = failure
            self._finish(job, "failed")

    def stop(self, job: Job) -> None:
        """Forget a job; one that waits or runs is cancelled first, and whoever follows it is told."""
        if job.open:
            self._finish(job, "cancelled")
            job.cancel.cancel()
        self._forget(job)

    def _finish(self, job: Job, kind: Literal["completed", "failed", "cancelled"]) -> None:
        job.state, job.finished = kind, self._clock()
        self._jobs.move_to_end(job.id)
        self._tell(job, kind)
        finished = [other for other in self._jobs.values() if not other.open]
        size = sum(len(other.result.body) for other in finished if other.result)
        for oldest in finished[:-1]:  # the newest is kept whatever its size, so that it can be had at least once
            if len(finished) <= self._max_finished and size <= self._max_bytes:
                break
            finished.remove(oldest)
            size -= len(oldest.result.body) if oldest.result else 0
            self._forget(oldest)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._forgotten[job.id] = None
        if len(self._forgotten) > FORGOTTEN_KEPT:
            self._forgotten.popitem(last=False)

    def _tell(self, job: Job, kind: EventKind) -> None:
        job.events.append(Event(len(job.events) + 1, kind, job.done))
        waiting, job.changed = job.changed, anyio.Event()
        waiting.set()
