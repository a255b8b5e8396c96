"""Jobs over REST: sent, followed, fetched, called off; and nobody else waits for them."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from server.api import create_app
from server.gallery import render
from server.jobs import Job
from server.jobs_api import follow as events_of
from server.models import Model
from server.openapi_examples import INSPECTIONS, JOBS
from server.settings import Settings

NPZ = {"Accept": "application/x-npz"}
SAMPLE = {"kind": "sample", "model": "vdvae-toy", "recipe": {"source": {"seed": 1}, "n": 20}}
MORPH = {
    "kind": "morph",
    "model": "vdvae-toy",
    "keyframes": [{"source": {"seed": 1}}, {"source": {"seed": 2}}],
    "fps": 5,
    "transition_s": 1.0,
    "scale": 1,
}


@pytest.fixture
def client(toy_zoo: Path, settings: Settings) -> Iterator[TestClient]:
    few = settings.model_copy(update={"max_jobs": 2, "max_results": 3, "max_job_images": 500})
    with TestClient(create_app(toy_zoo, few), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Each part of a job needs one permit to be made; all are given in the end."""
    permits = threading.Semaphore(0)

    def gated(*arguments: Any) -> Any:
        permits.acquire(timeout=60)
        return render(*arguments)

    monkeypatch.setattr("server.studio.render", gated)
    yield permits
    permits.release(1000)


def send(client: TestClient, body: dict[str, Any]) -> Any:
    response = client.post("/v1/jobs", json=body)
    assert response.status_code == 202, response.text
    job = response.json()
    assert response.headers["location"] == job["url"] == f"/v1/jobs/{job['id']}"
    assert response.headers["retry-after"] == "1"
    assert (job["object"], job["kind"], job["model"]) == ("job", body["kind"], body["model"])
    return job


def follow(client: TestClient, job: Any, last: int | None = None) -> list[dict[str, Any]]:
    """All events to the end of the job, as dictionaries of their fields."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    response = client.get(job["events_url"], headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
    events = [dict(line.split(": ", 1) for line in block) for block in blocks]
    return [{**event, "data": json.loads(event["data"])} for event in events]


def finish(client: TestClient, body: dict[str, Any]) -> tuple[Any, bytes]:
    """The finished job, and its result."""
    job = send(client, body)
    follow(client, job)
    job = client.get(job["url"]).json()
    assert job["state"] == "completed", job
    result = client.get(job["result"]["url"])
    assert hashlib.sha256(result.content).hexdigest() == job["result"]["sha256"]
    assert len(result.content) == job["result"]["bytes"]
    assert result.headers["content-type"] == job["result"]["media_type"]
    return job, result.content


@pytest.mark.parametrize("name", JOBS)
def test_every_documented_example_runs(client: TestClient, name: str) -> None:
    job, _ = finish(client, {**JOBS[name], "model": "vdvae-toy-colour"})
    assert job["done"] == job["total"] > 0


def test_events_tell_of_every_part_and_end_with_the_job(client: TestClient) -> None:
    job = send(client, SAMPLE)
    events = follow(client, job)
    assert [event["id"] for event in events] == [str(index + 1) for index in range(len(events))]
    assert [(event["event"], event["data"]["done"]) for event in events] == [
        ("progress", 0),
        ("progress", 8),
        ("progress", 16),
        ("progress", 20),
        ("completed", 20),
    ]
    assert events[-1]["data"] == client.get(job["url"]).json()
    assert follow(client, job, last=3) == events[3:], "after a lost connection, what was missed"


@pytest.mark.parametrize("media_type", ["image/png", "application/x-npz"])
def test_a_sample_is_what_sample_answers(client: TestClient, media_type: str) -> None:
    _, content = finish(client, {**SAMPLE, "media_type": media_type})
    answer = client.post("/v1/models/vdvae-toy/sample", json=SAMPLE["recipe"], headers={"Accept": media_type})
    assert content == answer.content


def test_a_sample_may_be_larger_than_a_request(client: TestClient) -> None:
    recipe = {"source": {"seed": 1}, "n": 100}
    assert client.post("/v1/models/vdvae-toy/sample", json=recipe).status_code == 422
    _, content = finish(client, {**SAMPLE, "recipe": recipe})
    answer = json.loads(content)
    assert [image["seed"] for image in answer["images"]] == list(range(1, 101))
    last = client.post("/v1/models/vdvae-toy/sample", json={"source": {"seed": 100}}).json()["images"][0]
    assert answer["images"][99]["sha256"] == last["sha256"]


@pytest.mark.parametrize("name", INSPECTIONS)
def test_an_inspection_is_what_inspect_answers(client: TestClient, name: str) -> None:
    body = {"kind": "inspect", "model": "vdvae-toy", "inspect": INSPECTIONS[name]}
    _, content = finish(client, body)
    assert json.loads(content) == client.post("/v1/models/vdvae-toy/inspect", json=INSPECTIONS[name]).json()
    _, content = finish(client, {**body, "media_type": "application/x-npz"})
    assert content == client.post("/v1/models/vdvae-toy/inspect", json=INSPECTIONS[name], headers=NPZ).content


def test_a_morph_begins_and_ends_with_its_keyframes(client: TestClient) -> None:
    edited = {"source": {"seed": 3}, "levels": {"1": {"draw": 2}}, "temperature": 0.8}
    keyframes = [*MORPH["keyframes"], edited, {"source": {"example": 1}}]  # type: ignore[misc]
    _, content = finish(client, {**MORPH, "keyframes": keyframes, "loop": False, "hold_s": 1.0})
    with Image.open(io.BytesIO(content)) as film:
        frames = []
        for index in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(index)
            frames.append(np.asarray(film.convert("L")))
        assert json.loads(film.info["strata.keyframes"])[2]["levels"] == {"1": {"draw": 2, "mode": "sample"}}
    assert len(frames) == 16
    for index, recipe in enumerate(keyframes):
        answer = client.post("/v1/models/vdvae-toy/sample", json=recipe, headers={"Accept": "image/png"})
        with Image.open(io.BytesIO(answer.content)) as image:
            np.testing.assert_array_equal(frames[5 * index], np.asarray(image))


def test_a_job_that_waits_can_be_looked_at_and_called_off(client: TestClient, gate: threading.Semaphore) -> None:
    running, waiting = send(client, SAMPLE), send(client, MORPH)
    full = client.post("/v1/jobs", json=MORPH)
    assert (full.status_code, full.headers["retry-after"]) == (429, "10")
    assert client.get(waiting["url"]).json()["state"] == "queued"
    early = client.get(f"{running['url']}/result")
    assert (early.status_code, early.json()["type"], early.headers["retry-after"]) == (
        409,
        "/problems/not-finished",
        "1",
    )
    assert client.delete(waiting["url"]).status_code == 204
    for path in ("", "/result", "/events"):
        assert client.get(waiting["url"] + path).status_code == 410
    gate.release(3)
    assert follow(client, running)[-1]["event"] == "completed"


def test_a_running_job_stops_after_the_part_that_it_is_in(
    client: TestClient, gate: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = threading.Event()

    def announced(job: Job, last: int) -> AsyncIterator[bytes]:
        there.set()
        return events_of(job, last)

    monkeypatch.setattr("server.jobs_api.follow", announced)
    job = send(client, SAMPLE)
    gate.release(1)
    told: list[list[dict[str, Any]]] = []
    follower = threading.Thread(target=lambda: told.append(follow(client, job)))
    follower.start()
    assert there.wait(60), "afterwards nobody is let in"
    while client.get(job["url"]).json()["done"] < 8:
        pass
    assert client.delete(job["url"]).status_code == 204
    follower.join(60)
    assert [event["event"] for event in told[0]] == ["progress", "progress", "cancelled"]
    assert told[0][-1]["data"]["state"] == "cancelled"
    gate.release(1)  # the part that was under way
    after = send(client, MORPH)
    gate.release(10)
    assert follow(client, after)[-1]["event"] == "completed"


def test_requests_get_their_turn_between_the_parts_of_a_job(client: TestClient, gate: threading.Semaphore) -> None:
    job = send(client, {**SAMPLE, "recipe": {"source": {"seed": 1}, "n": 500}})
    answers: list[int] = []
    request = threading.Thread(
        target=lambda: answers.append(client.post("/v1/models/vdvae-toy/sample", json={}).status_code)
    )
    request.start()
    while request.is_alive():
        gate.release(1)
        request.join(0.1)
    assert answers == [200]
    assert client.get(job["url"]).json()["state"] == "running"
    client.delete(job["url"])


def test_what_breaks_fails_its_job_and_no_other(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: Model, recipes: Any, stored: Any) -> Any:
        raise RuntimeError("a secret of the machine")

    with monkeypatch.context() as patch:
        patch.setattr("server.studio.render", broken)
        job = send(client, SAMPLE)
        last = follow(client, job)[-1]
    assert last["event"] == "failed"
    assert last["data"]["problem"]["type"] == "/problems/internal"
    assert "secret" not in json.dumps(last)
    assert client.get(f"{job['url']}/result").json()["detail"] == last["data"]["problem"]["detail"]
    finish(client, SAMPLE)


def test_finished_jobs_are_forgotten_the_oldest_first_or_at_will(client: TestClient) -> None:
    jobs = [finish(client, MORPH)[0] for _ in range(4)]
    assert client.get(jobs[0]["url"]).status_code == 410
    for path in ("", "/result", "/events"):
        assert client.get(f"{jobs[0]['url']}{path}").json()["type"] == "/problems/gone"
    assert client.delete(jobs[3]["url"]).status_code == 204
    assert client.delete(jobs[3]["url"]).status_code == 410
    assert client.get("/v1/jobs/unheard-of").status_code == 404


def test_a_result_is_fetched_once(client: TestClient) -> None:
    job, _ = finish(client, MORPH)
    etag = client.get(job["result"]["url"]).headers["etag"]
    assert client.get(job["result"]["url"], headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("body", "where", "why"),
    [
        ({"kind": "dance", "model": "vdvae-toy"}, "#", "sample"),
        ({**SAMPLE, "recipe": {"n": 501}}, "#/recipe/n", "500"),
        ({**SAMPLE, "recipe": {"output": {"include": ["latents"]}}}, "#/recipe/output/include", "sample"),
        ({**SAMPLE, "media_type": "image/gif"}, "#/media_type", "image/png"),
        ({"kind": "inspect", "model": "vdvae-toy", "inspect": {"kind": "kl"}}, "#/inspect/subject", "required"),
        (
            {"kind": "inspect", "model": "vdvae-toy", "inspect": {"kind": "ladder_grid", "draws": 200}},
            "#/inspect/draws",
            "99 draws",
        ),
        (
            {"kind": "inspect", "model": "vdvae-toy", "inspect": {"kind": "sensitivity"}, "media_type": "image/png"},
            "#/media_type",
            "application/json",
        ),
        ({**MORPH, "keyframes": [{}]}, "#/keyframes", "2"),
        ({**MORPH, "keyframes": [{}, {"n": 2}]}, "#/keyframes/1/n", "one image"),
        ({**MORPH, "keyframes": [{}, {"temperature": 9}, {}]}, "#/keyframes/1/temperature", "1.5"),
        ({**MORPH, "fps": 60, "transition_s": 20.0}, "#/fps", "500"),
        ({**MORPH, "stagger": 1.0}, "#/stagger", "0.9"),
    ],
)
def test_what_is_wrong_is_said_at_once(client: TestClient, body: dict[str, Any], where: str, why: str) -> None:
    response = client.post("/v1/jobs", json=body)
    assert response.status_code == 422, response.text
    problem = response.json()
    assert [fault["pointer"] for fault in problem["errors"]] == [where]
    assert why in problem["detail"]
    assert client.post("/v1/jobs", json={**SAMPLE, "model": "none"}).status_code == 404


def test_a_server_without_the_library_for_films_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.job_orders.has_video", lambda: False)
    response = client.post("/v1/jobs", json={**MORPH, "format": "mp4"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "#/format"
    assert "apng" in response.json()["detail"]


def test_a_busy_server_makes_a_job_wait_and_not_fail(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from server.problems import Problem
    from server.service import Service

    run, refused = Service.run, [1, 1]

    async def busy_at_first(service: Service, *arguments: Any) -> Any:
        if refused:
            refused.pop()
            raise Problem("busy", "later", headers={"Retry-After": "0.01"})
        return await run(service, *arguments)

    monkeypatch.setattr(Service, "run", busy_at_first)
    finish(client, SAMPLE)
    assert refused == []
