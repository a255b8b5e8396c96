"""How soon something answers while a machine is busy, from a process of its own: `python -m benchmarks.probe PORT ...`.

Asks each port for /healthz in turn, twenty times a second, until its standard input closes, and prints the seconds of
each answer as JSON, a list for each port. With `--serve PORT` it is instead an asyncio server that answers everything
with 200 and does nothing else: what the machine alone makes of such a question.
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import sys
import time

PAUSE_SECONDS = 0.05
QUESTION = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n" + b'{"status":"ok"}'


def ask(connection: socket.socket) -> float:
    """Seconds until a whole answer is there. Raises ConnectionError where it is not 200."""
    started = time.perf_counter()
    connection.sendall(QUESTION)
    content = b""
    while not content.endswith(b"}"):
        part = connection.recv(4096)
        content += part
        if not part or not content.startswith(b"HTTP/1.1 200"[: len(content)]):
            raise ConnectionError(f"no 200: {content[:100]!r}")
    return time.perf_counter() - started


def probe(ports: list[int]) -> list[list[float]]:
    """Ask until standard input closes."""
    connections = [socket.create_connection(("127.0.0.1", port), timeout=60) for port in ports]
    seconds: list[list[float]] = [[] for _ in ports]
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        for connection, answers in zip(connections, seconds, strict=True):
            answers.append(ask(connection))
    return seconds


async def serve(port: int) -> None:
    """Answer whatever is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(ANSWER)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        print(json.dumps(probe([int(port) for port in sys.argv[1:]])))
