"""Load on a server of this machine: HTTP/1.1 over plain sockets, so that whoever asks costs little of what is measured.

Two kinds: some clients that each ask again as soon as they are answered, and arrivals at a rate, whether or not those
before them were answered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What came back, after how many seconds; status 0 where the connection broke."""

    status: int
    seconds: float
    retry_after: str | None = None


class Connections:
    """Open connections to one server, used again; at most `limit`."""

    def __init__(self, port: int, limit: int) -> None:
        self._port = port
        self._free = asyncio.Semaphore(limit)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> Answer:
        """Send a request and read its answer to the end."""
        async with self._free:
            started = time.perf_counter()
            try:
                reader, writer = self._idle.pop() if self._idle else await self._open()
                writer.write(request)
                status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(int(headers.get("content-length", 0)))
            except (OSError, asyncio.IncompleteReadError):
                return Answer(0, time.perf_counter() - started)
            if headers.get("connection") == "close":
                writer.close()
            else:
                self._idle.append((reader, writer))
            return Answer(status, time.perf_counter() - started, headers.get("retry-after"))

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)


@contextmanager
def connections(port: int, limit: int) -> Iterator[Connections]:
    pool = Connections(port, limit)
    try:
        yield pool
    finally:
        pool.close()


def post(path: str, document: dict[str, Any]) -> bytes:
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def again_and_again(
    pool: Connections, requests: Callable[[], bytes], clients: int, seconds: float
) -> list[Answer]:
    """`clients` that each ask as soon as they are answered, for `seconds`."""
    answers: list[Answer] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            answers.append(await pool.ask(requests()))

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


async def at_rate(pool: Connections, requests: Callable[[], bytes], rate: float, seconds: float) -> list[Answer]:
    """`rate` requests a second for `seconds`, however long the answers take."""
    started, tasks = time.perf_counter(), []
    for number in range(round(rate * seconds)):
        if (ahead := started + number / rate - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        tasks.append(asyncio.create_task(pool.ask(requests())))
    return list(await asyncio.gather(*tasks))


def percentile(seconds: list[float], percent: float) -> float:
    """The least of the values that `percent` of them do not exceed; 0 where there are none."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def _head(content: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = content.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}
