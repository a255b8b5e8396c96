"""Looks at the zoo while it is served, so that a bundle that is published there needs no restart."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from server.models import Models

log = logging.getLogger("strata.server")


@asynccontextmanager
async def kept_up_to_date(models: Models, seconds: float) -> AsyncIterator[None]:
    """Within it, `models` is refreshed every so many seconds, in a thread beside the requests; never with 0."""
    async with anyio.create_task_group() as tasks:
        if seconds:
            tasks.start_soon(_watch, models, seconds)
        yield
        tasks.cancel_scope.cancel()


async def _watch(models: Models, seconds: float) -> None:
    while True:
        await anyio.sleep(seconds)
        try:
            await anyio.to_thread.run_sync(models.refresh, abandon_on_cancel=True)
        except OSError:  # a disk that is away for a moment
            log.exception("the zoo cannot be looked at")
