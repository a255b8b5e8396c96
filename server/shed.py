"""The cheapest possible answer to work that has no place in the queue: 429 before anything looks at the request.

Under ten times the load that a server can carry, nine of ten requests are refused, and what a refusal costs is taken
from the work that was accepted. So it is not logged, only counted, and passes none of the layers of the app. Whoever
finds the queue full only after its request was read gets the same answer from `dispatch`.
"""

from __future__ import annotations

import json
import re
import time
import uuid

from starlette.types import ASGIApp, Receive, Scope, Send

from server.middleware import request_id_of
from server.problems import KINDS, MEDIA_TYPE
from server.service import Service

_WORK = re.compile(r"/v1/models/[^/]+/([a-z]+)")
_STATUS, _TITLE = KINDS["busy"]


class Shed:
    """Around the whole app. What a browser asks from another origin passes, since it needs the headers of CORS."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self._service = app, service
        self._rejected = service.metrics.rejected.labels("busy")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (self._service.full() and _is_work(scope)):
            await self.app(scope, receive, send)
            return
        self._rejected.inc()
        wait, request_id = (
            self._service.admission.retry_after(time.monotonic()),
            request_id_of(scope) or uuid.uuid4().hex,
        )
        document = {
            "type": "/problems/busy",
            "title": _TITLE,
            "status": _STATUS,
            "detail": f"Try again in {wait} s",
            "instance": scope["path"],
            "request_id": request_id,
            "errors": [],
        }
        body = json.dumps(document).encode()
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "retry-after": str(wait),
            "x-request-id": request_id,
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": _STATUS, "headers": raw})
        await send({"type": "http.response.body", "body": body})


def _is_work(scope: Scope) -> bool:
    if scope["method"] != "POST" or not _WORK.fullmatch(scope["path"]):
        return False
    return all(name != b"origin" for name, _ in scope["headers"])
