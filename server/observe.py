"""Around everything else: what each request was, how long it took and where, for the log, Prometheus and its client.

Plain ASGI, like all that surrounds the routes: under Starlette's BaseHTTPMiddleware a request never learns that its
client has gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.call import Times
from server.logs import with_fields
from server.metrics import Metrics
from server.tracing import Tracing

UNMATCHED = "unmatched"  # the route of an address that does not exist
QUIET = {"/healthz", "/readyz", "/metrics"}  # asked for every few seconds, so not in the log unless they fail

log = logging.getLogger("strata.requests")


class Observe:
    """One line in the log, one count and one span for each request, and `Server-Timing` in its answer.

    `knows` says whether there is such a model now: an id that a client made up is no label.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing, knows: Callable[[str], bool]) -> None:
        self.app, self.metrics, self.tracing, self.knows = app, metrics, tracing, knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, times = perf_counter(), Times()
        state: dict[str, Any] = scope.setdefault("state", {})
        state["times"] = times
        status = bytes_in = bytes_out = 0

        async def counted_receive() -> Message:
            nonlocal bytes_in
            message = await receive()
            bytes_in += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            nonlocal status, bytes_out
            if message["type"] == "http.response.start":
                status = message["status"]
                timing = f"queue;dur={1e3 * times.queued:.1f}, infer;dur={1e3 * times.worked:.1f}"
                total = f"total;dur={1e3 * (perf_counter() - started):.1f}"
                MutableHeaders(scope=message)["Server-Timing"] = f"{timing}, {total}"
            bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            with self.tracing.span(f"{scope['method']} request", {}, scope):
                await self.app(scope, counted_receive, counted_send)
        finally:
            self._tell(scope, status or 500, perf_counter() - started, times, bytes_in, bytes_out)

    def _tell(self, scope: Scope, status: int, seconds: float, times: Times, bytes_in: int, bytes_out: int) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        asked = scope.get("path_params", {}).get("model_id", "")
        model = asked if self.knows(asked) else ""
        method = scope["method"] if route != UNMATCHED else ""
        self.metrics.requests.labels(route, method, status, model).inc()
        self.metrics.request_seconds.labels(route).observe(seconds)
        if route in QUIET and status < 500:
            return
        fields = with_fields(
            request_id=scope["state"].get("request_id"),
            client=scope["state"].get("client"),
            route=route,
            model=model or None,
            status=status,
            ms=round(1e3 * seconds, 1),
            queue_ms=round(1e3 * times.queued, 1),
            infer_ms=round(1e3 * times.worked, 1),
            bytes_in=bytes_in,
            bytes_out=bytes_out,
        )
        log.info("%s %s %d", scope["method"], route, status, extra=fields)
