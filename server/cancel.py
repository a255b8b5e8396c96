"""How work that nobody waits for any more is told to stop.

A `Cancel` belongs to one request. Whoever notices that the client has left, or that a deadline has passed, calls
`cancel` from any thread; whoever works calls `check` between the parts of the work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack


class Cancelled(Exception):  # noqa: N818 - nothing is wrong
    """The work was no longer wanted."""


class Cancel:
    """A switch that goes from off to on once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._callbacks: dict[object, Callable[[], None]] = {}

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Switch on, and call whoever asked to be told."""
        with self._lock:
            self._cancelled = True
            callbacks, self._callbacks = list(self._callbacks.values()), {}
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raises Cancelled if it is on."""
        if self._cancelled:
            raise Cancelled

    def tell(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when it is switched on (at once if it is); returns a function that takes that back."""
        mark = object()
        with self._lock:
            late = self._cancelled
            if not late:
                self._callbacks[mark] = callback
        if late:
            callback()

        def take_back() -> None:
            with self._lock:
                self._callbacks.pop(mark, None)

        return take_back


class Joint(Cancel):
    """The switch of work that several wait for: on when all of theirs are. The `with` statement ends with the work."""

    def __init__(self, members: Iterable[Cancel]) -> None:
        super().__init__()
        everybody = list(members)
        self._waiting = len(everybody)
        self._asked = ExitStack()
        for member in everybody:
            self._asked.callback(member.tell(self._leave))

    def __enter__(self) -> Joint:
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.close()

    def _leave(self) -> None:
        with self._lock:
            self._waiting -= 1
            nobody = self._waiting == 0
        if nobody:
            self.cancel()
