"""What surrounds all routes, as plain ASGI: an id for every request, no exception without an answer, no waiting
for a body that never comes, and no new work for a server that stops.

Starlette's BaseHTTPMiddleware is avoided: under it a request never learns that its client has gone.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.problems import Problem, answer_problem, stopping

REQUEST_ID = "X-Request-Id"
_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger("strata.server")


def request_id_of(scope: Scope) -> str | None:
    """The id that a client gave its request, where it is harmless."""
    given = dict(scope["headers"]).get(REQUEST_ID.lower().encode(), b"").decode("latin-1")
    return given if _GOOD_ID.fullmatch(given) else None


class RequestContext:
    """Gives each request an id: the client's own where it is harmless, else a new one. Every reply carries it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(scope) or uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            log.exception("request %s failed", request_id)
            if started:
                raise
            problem = Problem("internal", f"The log tells more under request {request_id}")
            await answer_problem(problem, scope, receive, send_with_id)


class Patience:
    """408 where the body of a request has not arrived `seconds` after its head."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        deadline, complete = asyncio.get_running_loop().time() + self.seconds, False

        async def receive_in_time() -> Message:
            nonlocal complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                problem = Problem("slow", f"A body has {self.seconds:g} s to arrive", headers={"Connection": "close"})
                raise problem from None
            complete = not message.get("more_body", False)
            return message

        await self.app(scope, receive_in_time, send)


class Draining:
    """503 for everything under /v1 once `draining()` says that the server stops."""

    def __init__(self, app: ASGIApp, draining: Callable[[], bool]) -> None:
        self.app, self.draining = app, draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1") and self.draining():
            await answer_problem(stopping(), scope, receive, send)
            return
        await self.app(scope, receive, send)
