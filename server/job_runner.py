"""Jobs at work: one after the other, each in parts that let requests through in between."""

from __future__ import annotations

import asyncio
import logging

from server.call import Call
from server.cancel import Cancelled
from server.jobs import Content, Failure, Job, Jobs
from server.models import Model
from server.orders import Order
from server.problems import Problem
from server.recipe import RecipeError
from server.service import Service
from server.studio import Studio

log = logging.getLogger("strata.server")


class JobRunner:
    """Takes orders and works them off in the background of the event loop."""

    def __init__(self, service: Service, jobs: Jobs) -> None:
        self._service, self._jobs = service, jobs
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, job: Job, model: Model, order: Order, media_type: str) -> None:
        """Start on it when those before are done."""
        task = asyncio.create_task(self._work(job, model, order, media_type))
        self._tasks.add(task)  # the event loop holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    async def _work(self, job: Job, model: Model, order: Order, media_type: str) -> None:
        async with self._turn:
            if not job.open:
                return
            self._jobs.start(job)
            call = Call(cost=1, lane="bulk", cancel=job.cancel)
            studio = Studio(self._service, call, model, lambda done: self._jobs.progress(job, done), patient=True)
            try:
                content = await order.make(studio, media_type)
                self._jobs.complete(job, Content(content, media_type))
            except Cancelled:
                if job.open:  # it was not the job that was called off, but all work: the server stops
                    self._jobs.stop(job)
            except Problem as problem:
                self._jobs.fail(job, Failure(problem.kind, problem.detail))
            except RecipeError as error:
                self._jobs.fail(job, Failure("invalid-recipe", str(error)))
            except Exception:
                log.exception("job %s failed", job.id)
                self._jobs.fail(job, Failure("internal", f"The log tells more under job {job.id}"))
