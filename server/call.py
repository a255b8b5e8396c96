"""What a request asks of the server besides its images: how much work it is, how urgent, and until when it is wanted.

X-Deadline-Ms: 500      answer within half a second, or 504
Prefer: wait=5          the same in seconds (RFC 7240)
Priority: u=7           7 is background work, below everything that somebody waits for (RFC 9218)
X-Supersede-Key: rail   a newer request of the same client with the same key makes this one needless: 409
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from fastapi import Request

from server.cancel import Cancel
from server.problems import Problem

Lane = Literal["interactive", "bulk"]

BULK_URGENCY = 5  # of RFC 9218, whose 3 is the default and 7 the least urgent
DEADLINE = "[1-9][0-9]{0,7}"  # milliseconds: a day and a little more
MAX_KEY = 128
_KEY = re.compile(rf"[!-~]{{1,{MAX_KEY}}}")
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})(?![\w.])")
_URGENCY = re.compile(r"(?:^|[,\s])u=([0-7])(?![\w.])")


@dataclass
class Times:
    """Seconds that the work of one request has waited and been worked on; filled in as it goes on."""

    queued: float = 0.0
    worked: float = 0.0


@dataclass(frozen=True)
class Call:
    """One piece of work as the server's queue sees it.

    `cost` is in decoded images. `deadline` is on the clock of `time.monotonic`. `gone` returns when whoever asked has
    left. A job makes its own; that of a request comes from `make_call`.
    """

    cost: float
    lane: Lane = "interactive"
    deadline: float | None = None
    key: str | None = None
    cancel: Cancel = field(default_factory=Cancel)
    gone: Callable[[], Awaitable[None]] | None = None
    times: Times = field(default_factory=Times)


def make_call(request: Request, cost: float = 1) -> Call:
    """The call of a request whose body has been read. Raises Problem: a deadline or a key that is none.

    A key counts together with who asks, so that nobody can supersede another's requests.
    """
    key = request.headers.get("x-supersede-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Problem("malformed", f"X-Supersede-Key is 1 to {MAX_KEY} visible ASCII characters")
    seconds = _seconds(request)
    urgency = _URGENCY.search(request.headers.get("priority", ""))
    return Call(
        cost=cost,
        lane="bulk" if urgency and int(urgency[1]) >= BULK_URGENCY else "interactive",
        deadline=None if seconds is None else time.monotonic() + seconds,
        key=None if key is None else f"{request.state.client} {key}",
        gone=lambda: _gone(request),
        times=request.state.times,
    )


def _seconds(request: Request) -> float | None:
    """How long the client will wait: X-Deadline-Ms, else Prefer: wait (a preference that is none is ignored)."""
    given = request.headers.get("x-deadline-ms")
    if given is not None:
        if not re.fullmatch(DEADLINE, given):
            raise Problem("malformed", "X-Deadline-Ms is a whole number from 1 to 99999999")
        return int(given) / 1e3
    wait = _WAIT.search(",".join(request.headers.getlist("prefer")).lower())
    return float(wait[1]) if wait else None


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
