"""HTTP requests over kept connections, with as little work on the client's side as possible: it shares the cores.

One client at a time gives latencies; many at a time give throughput, and latencies under load.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

PATIENCE_S = 30.0  # for the last answers of a load; a server that takes longer has failed

Request = Callable[[int], bytes]  # the bytes of a request from its number


def post(path: str, document: Any, accept: str) -> bytes:
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
        length = _length(head)
        while len(body) < length:
            body += self._more()
        return body

    def _more(self) -> bytes:
        if not (chunk := self._socket.recv(1 << 16)):
            raise ResponseError("the server closed the connection")
        return chunk


@dataclass
class Load:
    """What many clients saw together: seconds of each answered request, and how many were answered otherwise."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    failures: int = 0

    @property
    def rate(self) -> float:
        """Answered requests a second."""
        return len(self.latencies) / self.seconds


def load(port: int, request: Request, first: int, clients: int, seconds: float) -> Load:
    """Let `clients` ask for `seconds`, with numbers from `first` on that are never used twice."""
    return asyncio.run(_load(port, request, first, clients, seconds))


async def _load(port: int, request: Request, first: int, clients: int, seconds: float) -> Load:
    found, start = Load(seconds), time.perf_counter()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (asked := time.perf_counter()) < start + seconds:
            writer.write(request(number))
            number += clients
            head = await reader.readuntil(b"\r\n\r\n")
            try:
                await reader.readexactly(_length(head))
                found.latencies.append(time.perf_counter() - asked)
            except ResponseError:
                found.failures += 1
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    async with asyncio.timeout(seconds + PATIENCE_S):
        await asyncio.gather(*(client(first + index) for index in range(clients)))
    found.seconds = time.perf_counter() - start
    return found


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of all values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _length(head: bytes) -> int:
    """Bytes of the body, from the head of an answer. Raises ResponseError unless it is 200."""
    status, _, fields = head.partition(b"\r\n")
    if status.split()[1] != b"200":
        raise ResponseError(status.decode("latin-1"))
    for line in fields.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise ResponseError("an answer without a Content-Length")
