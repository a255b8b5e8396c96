"""How often one client may ask: a bucket of tokens each, which fills at a steady rate."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.auth import ALWAYS_OPEN
from server.problems import Problem, answer_problem

MAX_CLIENTS = 10_000  # remembered; whoever was not seen for longest is forgotten, and starts with a full bucket


@dataclass(frozen=True)
class Allowance:
    """Whether a request may pass, how many more may at once, and seconds until one more may, or as many as ever."""

    allowed: bool
    remaining: int
    retry_after: int
    full_after: int


class RateLimit:
    """`rate` requests a second, and up to `burst` at once, for each client."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> what is in it, and when

    def take(self, client: str, now: float) -> Allowance:
        """Count a request of `client` at `now`, in seconds of a clock that never goes back."""
        filled, then = self._buckets.pop(client, (float(self.burst), now))
        filled = min(float(self.burst), filled + (now - then) * self.rate)
        allowed = filled >= 1
        filled -= allowed
        self._buckets[client] = filled, now
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        wait = 0 if filled >= 1 else math.ceil((1 - filled) / self.rate)
        return Allowance(allowed, int(filled), max(1, wait), math.ceil((self.burst - filled) / self.rate))


class RateLimited:
    """429 where a client asks too often. Every answer says what is left (`RateLimit`, of the IETF's draft)."""

    def __init__(self, app: ASGIApp, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self.app, self.limit, self.clock = app, limit, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS_OPEN:
            await self.app(scope, receive, send)
            return
        left = self.limit.take(scope["state"]["client"], self.clock())
        window = math.ceil(self.limit.burst / self.limit.rate)

        async def send_with_limit(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = f'"client";q={self.limit.burst};w={window}'
                headers["RateLimit"] = f'"client";r={left.remaining};t={left.full_after}'
            await send(message)

        if left.allowed:
            await self.app(scope, receive, send_with_limit)
            return
        problem = Problem(
            "rate-limited", f"Try again in {left.retry_after} s", headers={"Retry-After": str(left.retry_after)}
        )
        await answer_problem(problem, scope, receive, send_with_limit)
