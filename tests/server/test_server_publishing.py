"""A bundle is published while people use the server: nobody notices but by the images."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from toy_bundle import write_toy

from model_zoo.bundle import publish
from server.api import create_app
from server.settings import Settings

RECIPE = {"source": {"seed": 3}, "n": 2}
PATIENCE = 60.0  # seconds; a busy machine is no failure


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    (tmp_path / "zoo").mkdir()
    write_toy(tmp_path / "zoo" / "toy")
    return tmp_path / "zoo"


@pytest.fixture
def client(zoo: Path) -> Iterator[TestClient]:
    settings = Settings(threads=1, provider="cpu", max_batch=4, poll_zoo_s=0.05)
    with TestClient(create_app(zoo, settings), raise_server_exceptions=False) as client:
        yield client


def put(zoo: Path, id: str, seed: int) -> str:
    write_toy(zoo / f".{id}.new", seed=seed)
    return publish(zoo / f".{id}.new", zoo / id).digest


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def card(client: TestClient, id: str = "toy") -> dict[str, Any]:
    document: dict[str, Any] = client.get(f"/v1/models/{id}").json()
    return document


def test_under_load_every_answer_is_of_one_version_and_none_fails(client: TestClient, zoo: Path) -> None:
    answers: list[tuple[int, str, tuple[str, ...]]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = client.post("/v1/models/toy/sample", json=RECIPE)
            document = answer.json()
            hashes = tuple(image["sha256"] for image in document.get("images", ()))
            answers.append((answer.status_code, document.get("digest", answer.text), hashes))

    def asked_again(times: int, before: int) -> bool:
        return len(answers) >= before + times

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        digests = [card(client)["digest"]]
        for seed in (1, 2, 3):
            digests.append(put(zoo, "toy", seed))
            until(lambda: card(client).get("digest") == digests[-1])
            until(partial(asked_again, 6, len(answers)))
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert {status for status, _, _ in answers} == {200}
    assert {digest for _, digest, _ in answers} == set(digests)
    assert len(set(answers)) == len(digests), "the same digest, the same images"


def test_versions_have_cards_and_images_of_their_own(client: TestClient, zoo: Path) -> None:
    first = card(client)
    assert (first["version"], first["versions"], first["warning"]) == (1, [1], None)
    second = put(zoo, "toy@2", 5)
    until(lambda: card(client)["version"] == 2)
    assert card(client)["digest"] == card(client, "toy@2")["digest"] == second
    assert card(client, "toy@1") == first | {
        "id": "toy@1",
        "versions": [1, 2],
        "examples": [{**one, "url": one["url"].replace("toy", "toy@1")} for one in first["examples"]],
    }
    assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["toy"]
    old, new = (client.post(f"/v1/models/toy{version}/sample", json=RECIPE).json() for version in ("@1", ""))
    assert (old["digest"], new["digest"]) == (first["digest"], second)
    assert old["images"][0]["sha256"] != new["images"][0]["sha256"]
    assert client.get(card(client, "toy@1")["examples"][0]["url"]).status_code == 200
    assert client.get("/v1/models/toy@3").status_code == 404


def test_a_permalinks_etag_follows_the_bundle(client: TestClient, zoo: Path) -> None:
    token = client.post("/v1/models/toy/sample", json=RECIPE).json()["token"]
    before = client.get(f"/v1/models/toy/sample?r={token}").headers["etag"]
    unchanged = client.get(f"/v1/models/toy/sample?r={token}", headers={"If-None-Match": before})
    assert unchanged.status_code == 304
    digest = put(zoo, "toy", 5)
    until(lambda: card(client)["digest"] == digest)
    changed = client.get(f"/v1/models/toy/sample?r={token}", headers={"If-None-Match": before})
    assert (changed.status_code, changed.headers["x-model-digest"]) == (200, digest)


def test_a_broken_replacement_is_told_on_the_card(client: TestClient, zoo: Path) -> None:
    (zoo / "toy" / "stray.bin").write_bytes(b"who wrote this?")
    until(lambda: card(client)["warning"] is not None)
    assert "stray.bin is not listed" in card(client)["warning"]
    assert client.post("/v1/models/toy/sample", json=RECIPE).status_code == 200


def test_with_0_nobody_looks(zoo: Path) -> None:
    settings = Settings(threads=1, provider="cpu", poll_zoo_s=0)
    with TestClient(create_app(zoo, settings)) as client:
        put(zoo, "another", 1)
        time.sleep(0.3)
        assert client.get("/v1/models/another").status_code == 404
