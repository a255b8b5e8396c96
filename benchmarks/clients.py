"""HTTP requests over kept connections, with as little work on the client's side as possible: it shares the cores.

One client at a time gives latencies. Many at a time are either clients that each ask again as soon as they are
answered, or arrivals at a rate, whether or not those before them were answered.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

PATIENCE_S = 60.0  # for the last answers of a load; a server that takes longer has failed

Requests = Callable[[], bytes]  # the bytes of the next request


def post(path: str, document: Any, accept: str = "application/json") -> bytes:
    """An HTTP/1.1 request whose connection is kept."""
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class ResponseError(RuntimeError):
    """An answer that is not the one a benchmark waits for."""


class Connection:
    """One client that waits for each answer before it asks again."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """The body of the answer. Raises ResponseError unless it is 200."""
        self._socket.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        status, length, _ = _read(head)
        if status != 200:
            raise ResponseError(head.partition(b"\r\n")[0].decode("latin-1"))
        while len(body) < length:
            body += self._more()
        return body

    def _more(self) -> bytes:
        if not (chunk := self._socket.recv(1 << 16)):
            raise ResponseError("the server closed the connection")
        return chunk


class Answer(NamedTuple):
    """What came back, after how many seconds; status 0 where the connection broke."""

    status: int
    seconds: float
    retry_after: str | None = None


class _Line(asyncio.Protocol):
    """One connection, on which a request follows the answer before it."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._end = 0  # bytes of the whole answer, once its head is there
        self._answer: tuple[int, str | None] = (0, None)

    def ask(self, request: bytes, done: Callable[[Answer], None]) -> None:
        self._done, self._asked = done, time.perf_counter()
        self._transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._end and (head := self._received.find(b"\r\n\r\n")) >= 0:
            status, length, retry_after = _read(bytes(self._received[:head]))
            self._end, self._answer = head + 4 + length, (status, retry_after)
        if self._end and len(self._received) >= self._end:
            del self._received[: self._end]
            self._end = 0
            status, retry_after = self._answer
            self._done(Answer(status, time.perf_counter() - self._asked, retry_after))

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "_done"):
            self._done(Answer(0, time.perf_counter() - self._asked))

    def close(self) -> None:
        self._done = lambda answer: None
        self._transport.close()


@asynccontextmanager
async def lines(port: int, count: int) -> AsyncIterator[list[_Line]]:
    """So many open connections to a server of this machine."""
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(_Line, "127.0.0.1", port))[1] for _ in range(count)]
    try:
        yield opened
    finally:
        for line in opened:
            line.close()


async def again_and_again(port: int, requests: Requests, clients: int, seconds: float) -> list[Answer]:
    """`clients` that each ask as soon as they are answered, for `seconds`. Raises TimeoutError."""
    answers: list[Answer] = []
    end, waiting, all_answered = time.perf_counter() + seconds, clients, asyncio.Event()

    def answered(line: _Line, answer: Answer) -> None:
        nonlocal waiting
        answers.append(answer)
        if answer.status and time.perf_counter() < end:
            line.ask(requests(), lambda answer: answered(line, answer))
            return
        waiting -= 1
        if not waiting:
            all_answered.set()

    async with lines(port, clients) as opened, asyncio.timeout(seconds + PATIENCE_S):
        for line in opened:
            line.ask(requests(), lambda answer, line=line: answered(line, answer))  # type: ignore[misc]
        await all_answered.wait()
    return answers


async def at_rate(port: int, requests: Requests, rate: float, seconds: float, most: int) -> list[Answer]:
    """`rate` requests a second for `seconds`, however long the answers take, `most` of them under way at once."""
    answers: list[Answer] = []
    count, all_answered = round(rate * seconds), asyncio.Event()
    waiting: deque[bytes] = deque()

    def answered(line: _Line, answer: Answer) -> None:
        answers.append(answer)
        if len(answers) == count:
            all_answered.set()
        elif not answer.status:
            return  # a broken connection asks no more
        elif waiting:
            line.ask(waiting.popleft(), lambda answer: answered(line, answer))
        else:
            idle.append(line)

    async with lines(port, most) as opened, asyncio.timeout(seconds + PATIENCE_S):
        idle = opened.copy()
        started = time.perf_counter()
        for number in range(count):
            if (ahead := started + number / rate - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            elif number % most == 0:
                await asyncio.sleep(0)  # who is late reads answers all the same
            waiting.append(requests())
            if idle:
                line = idle.pop()
                line.ask(waiting.popleft(), lambda answer, line=line: answered(line, answer))  # type: ignore[misc]
        await all_answered.wait()
    return answers


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of all values does not exceed (nearest rank); 0 where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _read(head: bytes) -> tuple[int, int, str | None]:
    """From the head of an answer: its status, the bytes of its body, and Retry-After. Raises ResponseError."""
    status, *fields = head.split(b"\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)}
    if b"content-length" not in headers:
        raise ResponseError("an answer without a Content-Length")
    retry_after = headers[b"retry-after"].decode("latin-1") if b"retry-after" in headers else None
    return int(status.split()[1]), int(headers[b"content-length"]), retry_after
