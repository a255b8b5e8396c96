"""Where work is done: in threads of this process, or wherever else a `Backend` takes it.

Work is a function of a module, `work(model, *arguments)`, whose arguments and result can be pickled: a backend in
another process calls it with its own copy of the model (the same id and digest).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread

from server.call import Call
from server.cancel import Cancel
from server.models import Model
from server.settings import Settings

Result = TypeVar("Result")


class Backend(Protocol):
    """Runs what admission lets through: never more than `workers` calls at once."""

    @property
    def workers(self) -> int: ...

    async def run(self, work: Callable[..., Result], model: Model, arguments: Sequence[Any], call: Call) -> Result:
        """`work(model, *arguments)`. Raises what it raises, and Cancelled soon after `call.cancel` is switched on."""
        ...


def open_backend(settings: Settings) -> Backend:
    """The backend that the settings choose; that of Ray is imported only here, because it is an extra."""
    if settings.backend == "ray":
        from server.ray_backend import RayBackend

        return RayBackend(settings)
    return LocalBackend(settings.workers)


class LocalBackend:
    """Worker threads. A few at once, so that the engine can put what they decode into one batch."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._limiter = anyio.CapacityLimiter(workers)

    async def run(self, work: Callable[..., Result], model: Model, arguments: Sequence[Any], call: Call) -> Result:
        own = bound(model, call.cancel)
        return await anyio.to_thread.run_sync(work, own, *arguments, limiter=self._limiter)


def bound(model: Model, cancel: Cancel) -> Model:
    """The model as one call sees it: its engine stops between two runs once `cancel` is switched on."""
    return replace(model, engine=model.engine.bound_to(cancel))
