"""Equal requests at the same time are worked on once: the first does the work, the others wait for its result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

Result = TypeVar("Result")


class SingleFlight:
    """Work in progress by what it is for. Belongs to one event loop.

    Only results are shared. If whoever does the work leaves, is refused or fails, that is no answer for the others:
    the first of them begins anew.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Future[Any]] = {}

    async def run(self, key: Hashable, begin: Callable[[], Awaitable[Result]], patience: float | None = None) -> Result:
        """The result of `begin()`, or of an equal one that is under way.

        Who has waited for another's result for `patience` seconds begins on their own.
        """
        loop = asyncio.get_running_loop()
        until = None if patience is None else loop.time() + patience
        while (other := self._flights.get(key)) is not None:
            done, _ = await asyncio.wait([other], timeout=None if until is None else max(0.0, until - loop.time()))
            if not done:
                return await begin()
            if not other.cancelled():
                return other.result()
        own = self._flights[key] = loop.create_future()
        try:
            result = await begin()
            own.set_result(result)
            return result
        finally:
            del self._flights[key]
            own.cancel()  # no result: those who wait see that there will be none
