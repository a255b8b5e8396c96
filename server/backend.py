"""Where work is done: in threads of this process, or wherever else a `Backend` takes it.

Work is a function of a module, `work(model, *arguments)`, whose arguments and result can be pickled: a backend in
another process calls it with its own copy of the model (the same id and digest).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from server.call import Call
from server.cancel import Cancel
from server.models import Model
from server.settings import Settings

Result = TypeVar("Result")


class Backend(Protocol):
    """Runs what admission lets through: never more than `workers` calls at once."""

    @property
    def workers(self) -> int: ...

    @property
    def local(self) -> bool:
        """Whether work may as well be done by whoever calls, in this process."""
        ...

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
    """Worker threads. A few at once, so that one decodes while another makes files of what it decoded."""

    local = True

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._threads = ThreadPoolExecutor(workers, "strata-worker")

    async def run(self, work: Callable[..., Result], model: Model, arguments: Sequence[Any], call: Call) -> Result:
        own = bound(model, call.cancel)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, own, *arguments)


def bound(model: Model, cancel: Cancel) -> Model:
    """The model as one call sees it: its engine stops between two runs once `cancel` is switched on."""
    return replace(model, engine=model.engine.bound_to(cancel))
