"""The process around the app: uvicorn with limits of its own, and an end that lets running work finish.

uvicorn gives a connection as long as it likes to send the head of a request, answers too many connections with plain
text, and stops listening at the first signal. Here a slow head is cut off, the answer is a problem document, and on a
signal `/readyz` and new work get 503 while what runs goes on.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import time
from types import FrameType

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.logs import with_fields
from server.problems import KINDS, MEDIA_TYPE
from server.service import Service
from server.settings import Settings
from server.shed import Shed

MAX_HEAD_BYTES = 64 << 10  # a permalink may have an image in it
SWITCH_SECONDS = 0.0005  # a worker gives the interpreter back to whoever answers after this; Python's own 5 ms are many
LAST_WORDS_SECONDS = 5  # for answers to be sent once all work is done

log = logging.getLogger("strata.server")


def serve(app: FastAPI, service: Service) -> None:
    """Serve until a signal comes, then finish what runs."""
    settings = service.settings
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # models stay: looking through them again and again for garbage would hold up answers
    log.info("settings", extra=with_fields(**settings.model_dump(mode="json")))
    DrainingServer(configuration(app, settings), service).run()


def configuration(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the app: quietly, with limits."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol(settings, Shed(app.state.service)),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=LAST_WORDS_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


class DrainingServer(uvicorn.Server):
    """Stops when its service has nothing left to do, or after `drain_seconds`; at once on a second signal."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._last_moment = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.draining:
            self.should_exit = self.force_exit = True
        self._service.draining = True
        self._last_moment = min(self._last_moment, time.monotonic() + self._service.settings.drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        if self._service.draining and (self._service.idle or time.monotonic() >= self._last_moment):
            self._service.stop_all()
            return True
        return await super().on_tick(counter)


def protocol(settings: Settings, shed: Shed) -> type[H11Protocol]:
    """HTTP/1.1 as uvicorn speaks it, with limits of connections and of the time that the head of a request takes."""

    class Protocol(H11Protocol):
        _too_slow: asyncio.TimerHandle | None = None
        _unread = 0  # bytes of the body of a request that was refused already

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > settings.max_connections:
                transport.write(_too_many_connections())
                transport.close()
                return
            self._expect_head()

        def data_received(self, data: bytes) -> None:
            if self._unread:
                data = self._pass_over(data)
            if not data or (self._between_requests and self._refuse(data)):
                return
            if self._too_slow is None and (self.cycle is None or self.cycle.response_complete):
                self._expect_head()
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._forget()

        @property
        def _between_requests(self) -> bool:
            answered = self.cycle is None or self.cycle.response_complete
            unseen = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
            return answered and unseen and not self.flow.write_paused and not self.transport.is_closing()

        def _refuse(self, data: bytes) -> bool:
            refusal = shed.refuse(data)
            if refusal is None:
                return False
            self._unset_keepalive_if_required()
            self._forget()
            self.transport.write(refusal.answer)
            self._unread = refusal.unread
            if self._unread:
                self._expect_head()  # the rest of the body has as long as a head
            else:
                self._stay_open()
            return True

        def _pass_over(self, data: bytes) -> bytes:
            """What follows the body that nobody reads."""
            passed = min(self._unread, len(data))
            self._unread -= passed
            if not self._unread:
                self._forget()
                self._stay_open()
            return data[passed:]

        def _stay_open(self) -> None:
            """As long as uvicorn keeps a connection between requests."""
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _expect_head(self) -> None:
            self._too_slow = self.loop.call_later(settings.read_seconds, self.transport.abort)

        def _forget(self) -> None:
            if self._too_slow is not None:
                self._too_slow.cancel()
                self._too_slow = None

    return Protocol


def _too_many_connections() -> bytes:
    status, _ = KINDS["unavailable"]
    document = {"type": "about:blank", "title": "Too many connections", "status": status}
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status} Service Unavailable\r\ncontent-type: {MEDIA_TYPE}\r\nretry-after: 1\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
