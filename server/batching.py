"""Passes of several requests decoded together: at once while there is nothing else to do, in batches when there is.

Nobody waits for a batch to fill. A pass that finds a free lane takes it; what arrives meanwhile waits in a line, and
whoever is first in it when the lane is free takes along those behind that fit. The threads of the requests do all
this themselves, so a pass that runs alone changes no thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol

from server.cancel import Cancel, Joint
from server.chain import Decoded, Outputs
from server.plan import Pass


class Decodes(Protocol):
    """What runs a pass: the chain, or in tests anything."""

    def decode(self, work: Pass, outputs: Outputs, cancel: Cancel) -> Decoded: ...


@dataclass(eq=False)
class _Job:
    """One pass, and what becomes of it. `settled` is set when there is something for its thread to do."""

    work: Pass
    outputs: Outputs
    cancel: Cancel
    settled: threading.Event = field(default_factory=threading.Event)
    batch: list[_Job] = field(default_factory=list)  # not empty: it is for this one's thread to run these
    decoded: Decoded | None = None
    error: BaseException | None = None


class Batcher:
    """Decodes as `decodes` does, at most `lanes` batches at a time of at most `max_batch` images each.

    Images do not depend on the batch they are in, so nobody can tell. May be used from several threads.
    """

    def __init__(self, decodes: Decodes, max_batch: int, lanes: int) -> None:
        self.decodes, self._max_batch = decodes, max_batch
        self.lanes, self._free = lanes, lanes
        self.line: list[_Job] = []
        self._lock = threading.Lock()

    def decode(self, work: Pass, outputs: Outputs, cancel: Cancel) -> Decoded:
        """Run one top-down pass. Raises Cancelled soon after `cancel` is switched on, whoever else is in the batch."""
        cancel.check()
        with self._lock:
            alone = self._free > 0
            if alone:
                self._free -= 1
            else:
                job = _Job(work, outputs, cancel)
                self.line.append(job)
        if alone:
            try:
                return self.decodes.decode(work, outputs, cancel)
            finally:
                self._next()
        return self._wait(job)

    def _wait(self, job: _Job) -> Decoded:
        take_back = job.cancel.tell(lambda: self._leave(job))
        try:
            job.settled.wait()
        finally:
            take_back()
        if job.batch:
            try:
                self._run(job.batch)
            finally:
                self._next()
        if job.error is not None:
            raise job.error
        job.cancel.check()
        assert job.decoded is not None, "a job is settled by a result, an error or its cancel"
        return job.decoded

    def _leave(self, job: _Job) -> None:
        """A job whose request has gone: out of the line, or out of a batch that others run."""
        with self._lock:
            if job in self.line:
                self.line.remove(job)
        job.settled.set()

    def _next(self) -> None:
        """Give a lane to the first in the line and whoever fits behind it, or nobody."""
        with self._lock:
            if not self.line:
                self._free += 1
                return
            first, images = self.line[0], 0
            batch: list[_Job] = []
            for job in self.line:
                if job.outputs == first.outputs and (not batch or images + len(job.work) <= self._max_batch):
                    batch.append(job)
                    images += len(job.work)
            self.line = [job for job in self.line if job not in batch]
            first.batch = batch
        first.settled.set()

    def _run(self, batch: list[_Job]) -> None:
        """Decode a batch and hand everybody their part; it is stopped only when all of them have left."""
        try:
            with Joint(job.cancel for job in batch) as cancel:
                decoded = self.decodes.decode(Pass.join([job.work for job in batch]), batch[0].outputs, cancel)
        except BaseException as error:
            for job in batch:
                job.error = error
        else:
            start = 0
            for job in batch:
                rows = slice(start, start + len(job.work))
                arrays = {name: array[rows] for name, array in decoded.items()}
                job.decoded = Decoded(arrays, decoded.levels_computed[rows])
                start = rows.stop
        for job in batch:
            job.settled.set()
