"""The cheapest possible answer to work that has no place in the queue: 429 before anything looks at the request.

Under ten times the load that a server can carry, nine of ten requests are refused, and what a refusal costs is taken
from the work that was accepted. So it is not logged, only counted, and neither the parser of HTTP nor the app sees it:
the head of the request alone is looked at, as it came from the socket. Whatever is not plain there passes, and gets the
same answer from `dispatch` once it was read: what a browser asks from another origin, which needs the headers of CORS,
a connection that is to be closed, a body without a length.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import NamedTuple

from server.problems import KINDS, MEDIA_TYPE
from server.service import Service

_WORK = re.compile(rb"POST (/v1/models/[!-.0-~]+/[a-z]+) HTTP/1\.1\r\n")
_SPECIAL = re.compile(rb"\r\n(?:origin|expect|transfer-encoding|upgrade|connection:[^\r]*close)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,9}) *(?=\r\n)", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"\r\nx-request-id: *([A-Za-z0-9._-]{1,64}) *\r\n", re.IGNORECASE)
_STATUS, _TITLE = KINDS["busy"]


class Refusal(NamedTuple):
    """A whole answer, and how many bytes of the request's body are still to come, for nobody."""

    answer: bytes
    unread: int


class Shed:
    """Refuses for one server what arrives while its queue is full."""

    def __init__(self, service: Service) -> None:
        self._service, self._rejected = service, service.metrics.rejected.labels("busy")

    def refuse(self, received: bytes) -> Refusal | None:
        """The refusal of a request of which the whole head was `received`; None where it must be read."""
        if self._service.draining or not self._service.full():
            return None
        end, work = received.find(b"\r\n\r\n"), _WORK.match(received)
        head = received[: end + 2]
        lengths = _LENGTH.findall(head)
        if end < 0 or work is None or len(lengths) != 1 or _SPECIAL.search(head):
            return None
        unread = int(lengths[0]) - (len(received) - end - 4)
        if unread < 0 or int(lengths[0]) > self._service.settings.max_body_bytes:
            return None
        self._rejected.inc()
        given = _REQUEST_ID.search(head)
        return Refusal(self._answer(work[1].decode(), given[1].decode() if given else uuid.uuid4().hex), unread)

    def _answer(self, path: str, request_id: str) -> bytes:
        wait = self._service.admission.retry_after(time.monotonic())
        document = {
            "type": "/problems/busy",
            "title": _TITLE,
            "status": _STATUS,
            "detail": f"Try again in {wait} s",
            "instance": path,
            "request_id": request_id,
            "errors": [],
        }
        body = json.dumps(document)
        head = (
            f"HTTP/1.1 {_STATUS} Too Many Requests\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            f"cache-control: no-store\r\nretry-after: {wait}\r\nx-request-id: {request_id}\r\n"
            "x-content-type-options: nosniff\r\n\r\n"
        )
        return (head + body).encode()
