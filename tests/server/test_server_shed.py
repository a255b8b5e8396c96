"""A full queue refuses on sight: which requests, with what answer, and the connection stays good for the next."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import served

from server.api import create_app
from server.service import Service
from server.settings import Settings
from server.shed import Shed

PATH = "/v1/models/vdvae-toy/sample"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def request(*fields: str, length: int | None = 2, body: bytes = b"{}", head: str = HEAD) -> bytes:
    lines = [*fields, *([] if length is None else [f"Content-Length: {length}"])]
    return (head + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode() + body


@pytest.fixture
def full(tmp_path: Path) -> Service:
    """A queue that is always full: its limit is below the nobody that waits."""
    return Service(tmp_path, Settings().model_copy(update={"max_waiting": 0}), lambda: 0)


def test_a_refusal_is_a_whole_answer_with_the_clients_own_id(full: Service) -> None:
    refusal = Shed(full).refuse(request("X-Request-Id: r-1"))
    assert refusal is not None
    head, _, body = refusal.answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    assert status == "HTTP/1.1 429 Too Many Requests"
    assert int(headers["content-length"]) == len(body)
    assert int(headers["retry-after"]) >= 1
    document = json.loads(body)
    assert (document["status"], document["instance"]) == (429, PATH)
    assert headers["x-request-id"] == document["request_id"] == "r-1"
    assert refusal.unread == 0


@pytest.mark.parametrize(("body", "unread"), [(b"", 9), (b"{", 8), (b"{} {} {} ", 0)])
def test_it_is_told_how_much_of_the_body_is_to_come(full: Service, body: bytes, unread: int) -> None:
    refusal = Shed(full).refuse(request(length=9, body=body))
    assert refusal is not None
    assert refusal.unread == unread


@pytest.mark.parametrize(
    "received",
    [
        request()[:40],
        request(body=b"{} "),
        request(length=None),
        request("Content-Length: 2"),
        request("Origin: https://example.org"),
        request("Expect: 100-continue"),
        request("Transfer-Encoding: chunked"),
        request("Connection: keep-alive, close"),
        request(length=1 << 30),
        request(head="GET /healthz HTTP/1.1\r\nHost: x\r\n"),
        request(head=HEAD.replace("1.1", "1.0")),
        request(head=HEAD.replace(PATH, "/v1/jobs")),
        request(head=HEAD.replace(PATH, PATH + "?r=1")),
        b"\x00\xff",
    ],
)
def test_what_is_not_plain_work_is_read(full: Service, received: bytes) -> None:
    assert Shed(full).refuse(received) is None


def test_nothing_is_refused_while_there_is_room_or_by_a_server_that_stops(full: Service, tmp_path: Path) -> None:
    assert Shed(Service(tmp_path, Settings(), lambda: 0)).refuse(request()) is None
    full.draining = True
    assert Shed(full).refuse(request()) is None


@pytest.fixture
def connection(toy_zoo: Path, settings: Settings) -> Iterator[socket.socket]:
    app = create_app(toy_zoo, settings.model_copy(update={"max_waiting": 0, "read_seconds": 0.5}))
    with served.thread(app) as address:
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as opened:
            yield opened


def answer(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        received += connection.recv(4096)
    return received


def test_a_connection_goes_on_after_a_refusal(connection: socket.socket) -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(2):
        connection.sendall(request(length=9, body=b"{} "))
        assert answer(connection).startswith(b"HTTP/1.1 429 ")
        connection.sendall(b"{} {} " + health)
        assert answer(connection).startswith(b"HTTP/1.1 200 ")
        connection.sendall(request())
        assert answer(connection).startswith(b"HTTP/1.1 429 ")


def test_a_body_that_never_comes_ends_the_connection(connection: socket.socket) -> None:
    connection.sendall(request(length=9, body=b"{} "))
    answer(connection)
    with suppress(ConnectionResetError):
        assert connection.recv(100) == b""
