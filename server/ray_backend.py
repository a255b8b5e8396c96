"""Work on replicas that Ray Serve keeps, on this machine or on many (the extra `ray`).

Only calls of functions go through Ray: HTTP, admission and everything else stay as they are. A replica opens the same
zoo, finds the model by its digest, and so makes the same bytes. Work changes nothing outside itself, so that a call
whose replica died is made again on another.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from model_zoo.manifest import MANIFEST_NAME
from model_zoo.zoo import bundle_folders
from server.backend import LocalBackend, bound
from server.call import Call
from server.cancel import Cancel, Cancelled
from server.models import Model, open_model
from server.problems import Problem
from server.recipe import RecipeError
from server.settings import Settings

Result = TypeVar("Result")

PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)  # seconds before a call is made again, which is longer than a replica is missed
KEPT = 2  # models of one version that a replica keeps: requests may still hold the one that was replaced


@dataclass(frozen=True)
class Outcome:
    """What came of a call: a result, an error that is an answer too, or neither where the replica lacks the model."""

    result: Any = None
    error: Exception | None = None
    lacking: bool = False


class Replica:
    """One process that works on calls. The models of the zoo are opened here, each when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models: dict[str, Model] = {}  # by digest, the newest last
        self._opening = threading.Lock()

    async def run(self, digest: str, work: Callable[..., Any], arguments: Sequence[Any]) -> Outcome:
        """The work in a thread. Where the call is given up, its place is free once the work has noticed."""
        cancel = Cancel()
        working = asyncio.ensure_future(asyncio.to_thread(self._run, cancel, digest, work, arguments))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            cancel.cancel()
            await asyncio.wait([working])
            raise

    def _run(self, cancel: Cancel, digest: str, work: Callable[..., Any], arguments: Sequence[Any]) -> Outcome:
        model = self._model(digest)
        if model is None:
            return Outcome(lacking=True)
        try:
            cancel.check()
            return Outcome(work(bound(model, cancel), *arguments))
        except (Problem, RecipeError, Cancelled) as error:
            return Outcome(error=error)

    def _model(self, digest: str) -> Model | None:
        with self._opening:
            if digest not in self._models:
                self._open(digest)
            return self._models.get(digest)

    def _open(self, digest: str) -> None:
        for folder in bundle_folders(self._settings.zoo):
            manifest = folder / MANIFEST_NAME
            if manifest.is_file() and hashlib.sha256(manifest.read_bytes()).hexdigest() == digest:
                model = open_model(folder, self._settings)
                if isinstance(model, Model) and model.bundle.digest == digest:
                    self._models[digest] = model
                    same = [kept for kept, other in self._models.items() if _place(other) == _place(model)]
                    for old in same[:-KEPT]:
                        del self._models[old]


class RayBackend:
    """A `Backend` whose workers are replicas. Making one starts a cluster on this machine, or joins one."""

    local = False

    def __init__(self, settings: Settings) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if settings.ray_address is None:  # a cluster of this machine alone listens on its loopback interface alone
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        try:
            import ray
            from ray import serve
        except ImportError:
            raise RuntimeError("STRATA_BACKEND=ray needs the extra `ray`: pip install 'strata[ray]'") from None
        if not ray.is_initialized():
            start = {"include_dashboard": False} if settings.ray_address is None else {"address": settings.ray_address}
            ray.init(namespace="strata", log_to_driver=False, **start)
        serve.start(proxy_location="Disabled")
        fewest, most = settings.ray_min_replicas, max(settings.ray_min_replicas, settings.ray_max_replicas)
        deployment = serve.deployment(Replica).options(
            name="models",
            **_replicas(fewest, most, settings.workers),
            max_ongoing_requests=settings.workers,
            max_queued_requests=settings.ray_queue,
            ray_actor_options={"num_cpus": settings.ray_cpus, "num_gpus": settings.ray_gpus},
            health_check_period_s=2,
        )
        own = settings.model_copy(update={"threads": max(1, int(settings.ray_cpus))})
        handle = serve.run(deployment.bind(own), name="strata", route_prefix=None)
        self.workers = most * settings.workers
        self._replicas = handle.run
        self._local = LocalBackend(1)

    async def run(self, work: Callable[..., Result], model: Model, arguments: Sequence[Any], call: Call) -> Result:
        """`work(model, *arguments)` on a replica, or here if none has this model (any more).

        Raises Problem: busy where Ray's queue is full, unavailable where every replica that was tried died.
        """
        from ray.exceptions import RayActorError, TaskCancelledError, WorkerCrashedError
        from ray.serve.exceptions import BackPressureError, ReplicaUnavailableError, RequestCancelledError

        for pause in (*PAUSES, None):
            call.cancel.check()
            response = self._replicas.remote(model.bundle.digest, work, tuple(arguments))
            take_back = call.cancel.tell(response.cancel)
            try:
                outcome: Outcome = await response
            except BackPressureError as full:
                seconds = str(math.ceil(full.retry_after_s or 1))
                raise Problem("busy", f"Try again in {seconds} s", headers={"Retry-After": seconds}) from None
            except (RayActorError, WorkerCrashedError, ReplicaUnavailableError):
                if pause is None:
                    raise Problem("unavailable", "The replicas do not answer", headers={"Retry-After": "5"}) from None
                await asyncio.sleep(pause)
                continue
            except (RequestCancelledError, TaskCancelledError, asyncio.CancelledError):
                call.cancel.check()  # raises Cancelled where it was asked for
                raise
            finally:
                take_back()
            if outcome.lacking:
                return await self._local.run(work, model, arguments, call)
            if outcome.error is not None:
                raise outcome.error
            result: Result = outcome.result
            return result
        raise AssertionError("the last try returns or raises")


def _replicas(fewest: int, most: int, ongoing: int) -> dict[str, Any]:
    """A fixed number, or one that follows the calls that are under way."""
    if fewest == most:
        return {"num_replicas": fewest}
    scaling = {"min_replicas": fewest, "max_replicas": most, "target_ongoing_requests": ongoing}
    return {"num_replicas": None, "autoscaling_config": scaling}


def _place(model: Model) -> tuple[str, int]:
    return model.id, model.version
