"""The client's other calls, async and blocking alike: what they send, and how long they wait for a busy server."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.client import ApiError, BlockingClient, Client, Job
from app.client.events import EventReader

Answering = Callable[[httpx.Request], httpx.Response]

JOB: dict[str, Any] = {
    "id": "j",
    "kind": "sample",
    "model": "toy",
    "state": "queued",
    "done": 0,
    "total": 8,
    "url": "/v1/jobs/j",
    "events_url": "/v1/jobs/j/events",
    "result": None,
    "problem": None,
    "created": "2026-01-01T00:00:00Z",
}
DONE = {**JOB, "state": "completed", "done": 8}


class Both:
    """Either client, each of whose methods returns what it gives in the end; and the seconds that it slept."""

    def __init__(self, kind: str, answer: Answering, patience_s: float = 10.0) -> None:
        self.slept: list[float] = []
        self._loop = asyncio.new_event_loop() if kind == "async" else None
        transport = httpx.MockTransport(answer)
        if kind == "async":
            http = httpx.AsyncClient(base_url="http://api.test", transport=transport)
            self._client: Any = Client(http, "http://api.test", patience_s, self._sleep)
        else:
            plain = httpx.Client(base_url="http://api.test", transport=transport)
            self._client = BlockingClient(plain, "http://api.test", patience_s, self.slept.append)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            made = getattr(self._client, name)(*arguments, **options)
            if self._loop is None:
                return [*made] if inspect.isgenerator(made) else made
            if inspect.isasyncgen(made):

                async def collect() -> list[Any]:
                    return [item async for item in made]

                return self._loop.run_until_complete(collect())
            return self._loop.run_until_complete(made)

        return call


@pytest.fixture(params=["async", "blocking"])
def both(request: pytest.FixtureRequest) -> Iterator[Callable[..., Both]]:
    made: list[Both] = []

    def make(answer: Answering, **options: Any) -> Both:
        made.append(Both(request.param, answer, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_every_call_of_one_is_a_call_of_the_other() -> None:
    def calls(client: type) -> dict[str, list[str]]:
        found = inspect.getmembers(client, inspect.isfunction)
        return {name: [*inspect.signature(call).parameters] for name, call in found if not name.startswith("_")}

    only_async = {"forget": ["self"]}  # the blocking one remembers nothing
    assert calls(Client) == calls(BlockingClient) | only_async


def test_a_busy_server_is_asked_again_when_it_says(both: Callable[..., Both]) -> None:
    answers = [httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(429, headers={"Retry-After": "4"})]
    client = both(lambda request: answers.pop(0) if answers else httpx.Response(200, json=JOB))
    assert client.job("j").id == "j"
    assert client.slept == [3, 4]


def test_patience_has_an_end(both: Callable[..., Both]) -> None:
    client = both(lambda request: httpx.Response(429, headers={"Retry-After": "4"}), patience_s=9.0)
    with pytest.raises(ApiError) as caught:
        client.job("j")
    assert (caught.value.kind, caught.value.retry_after) == ("busy", 4)
    assert client.slept == [4, 4]


@pytest.mark.parametrize("status", [404, 422, 500, 503])
def test_nothing_else_is_asked_twice(both: Callable[..., Both], status: int) -> None:
    asked = []
    problem = {"type": "/problems/x", "detail": "Why", "errors": [{"pointer": "#/n", "code": "c", "detail": "d"}]}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, json=problem, headers={"X-Request-Id": "r1"})

    with pytest.raises(ApiError) as caught:
        both(answer).sample("toy", {})
    error = caught.value
    assert (error.status, error.problem, error.request_id, error.sentence) == (status, "/problems/x", "r1", "Why")
    assert error.fields[0].pointer == "#/n"
    assert len(asked) == 1


def test_questions_are_sent_as_the_server_has_them(both: Callable[..., Both]) -> None:
    sent: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        content = request.content if request.headers.get("Content-Type") == "image/png" else json.loads(request.content)
        sent.append((request.method, request.url.path, content))
        return httpx.Response(422, json={"detail": "seen"})

    client = both(answer)
    recipe = {"source": {"seed": 1}}
    for call, arguments, options in (
        ("ladder", ("toy", recipe), {"draws": 3, "below": "mean"}),
        ("rate_maps", ("toy", {"example": 1}), {}),
        ("progressive", ("toy", {"latents": "ab"}), {"others": "sample"}),
        ("sensitivity", ("toy", recipe), {"step": 0.1}),
        ("gallery", ("toy", [recipe]), {}),
        ("encode", ("toy", 2), {}),
        ("encode", ("toy", b"png"), {}),
        ("submit", ({"kind": "morph"},), {}),
    ):
        with pytest.raises(ApiError, match="seen"):
            getattr(client, call)(*arguments, **options)
    inspect_path, encode_path = "/v1/models/toy/inspect", "/v1/models/toy/encode"
    assert sent == [
        ("POST", inspect_path, {"kind": "ladder_grid", "recipe": recipe, "draws": 3, "below": "mean"}),
        ("POST", inspect_path, {"kind": "kl", "subject": {"example": 1}}),
        ("POST", inspect_path, {"kind": "progressive", "subject": {"latents": "ab"}, "others": "sample"}),
        ("POST", inspect_path, {"kind": "sensitivity", "recipe": recipe, "step": 0.1}),
        ("POST", inspect_path, {"kind": "gallery", "recipes": [recipe]}),
        ("POST", encode_path, {"example": 2}),
        ("POST", encode_path, b"png"),
        ("POST", "/v1/jobs", {"kind": "morph"}),
    ]


def test_arrays_come_as_arrays(both: Callable[..., Both]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, pixels=np.arange(4, dtype=np.uint8))
    client = both(lambda request: httpx.Response(200, content=buffer.getvalue()))
    for arrays in (client.sample_arrays("toy", {}), client.inspect_arrays("toy", {"kind": "kl"})):
        assert arrays["pixels"].tolist() == [0, 1, 2, 3]


# --- jobs -------------------------------------------------------------------------------------------------------------


def event(kind: str, id: int, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\nid: {id}\n\n"


def progress(done: int) -> dict[str, Any]:
    return {"id": "j", "done": done, "total": 8}


def test_a_job_is_followed_to_its_end_over_a_connection_that_breaks(both: Callable[..., Both]) -> None:
    parts = {
        "0": ": ping\n\n" + event("progress", 1, progress(0)) + event("progress", 2, progress(4)),
        "2": event("progress", 3, progress(6)),
        "3": event("completed", 4, DONE),
    }
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["Last-Event-ID"])
        return httpx.Response(200, text=parts[asked[-1]], headers={"Content-Type": "text/event-stream"})

    client = both(answer)
    events = client.events(Job.model_validate(JOB))
    assert asked == ["0", "2", "3"]
    assert [item.done for item in events] == [0, 4, 6, 8]
    assert [item.job is None for item in events] == [True, True, True, False]
    asked.clear()
    assert client.wait(Job.model_validate(JOB)) == Job.model_validate(DONE)
    assert client.slept == []


def test_a_server_that_says_no_more_counts_as_gone(both: Callable[..., Both]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("gone")

    client = both(answer)
    with pytest.raises(ApiError) as caught:
        client.wait(Job.model_validate(JOB))
    assert caught.value.kind == "unreachable"
    assert client.slept == [1, 2, 3]


def test_a_job_is_sent_waited_for_and_fetched_in_one_call(both: Callable[..., Both]) -> None:
    answers = {
        ("POST", "/v1/jobs"): httpx.Response(202, json=JOB),
        ("GET", "/v1/jobs/j/events"): httpx.Response(200, text=event("completed", 1, DONE)),
        ("GET", "/v1/jobs/j/result"): httpx.Response(200, content=b"film"),
        ("DELETE", "/v1/jobs/j"): httpx.Response(204),
    }
    client = both(lambda request: answers[request.method, request.url.path])
    assert client.make({"kind": "morph"}) == b"film"
    assert client.cancel("j") is None


def test_a_job_that_is_forgotten_is_an_error(both: Callable[..., Both]) -> None:
    client = both(lambda request: httpx.Response(410, json={"type": "/problems/gone", "detail": "Forgotten"}))
    with pytest.raises(ApiError, match="Forgotten") as caught:
        client.wait(Job.model_validate(JOB))
    assert (caught.value.kind, caught.value.status) == ("refused", 410)


def test_events_are_read_line_by_line() -> None:
    reader = EventReader()
    lines = [": ping", "", "id: 7", 'data:{"done": 1, "total": 2}', "event: progress", ""]
    read = [reader.take(line) for line in lines]
    assert [item and item.done for item in read] == [None, None, None, None, None, 1]
    assert reader.last_id == "7"
