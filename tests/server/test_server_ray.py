"""Ray Serve on a real cluster of this machine, two replicas: the same bytes, 429 when full, and nobody notices a death.

Slow, and it needs the extra `ray`, which is large: `make ray` installs it apart from everything else and runs this.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from toy_bundle import write_toy

from model_zoo.bundle import publish
from server.api import create_app
from server.call import Call
from server.cancel import Cancelled
from server.models import Model, open_models
from server.problems import Problem
from server.ray_backend import RayBackend
from server.recipe import Fault, RecipeError
from server.settings import Settings

SAMPLE = "/v1/models/vdvae-toy/sample"
REPLICAS = 2
WAITING = 16  # calls that Ray lets wait
RECIPES: list[dict[str, Any]] = [
    {"source": {"seed": 1}},
    {"source": {"seed": 2}, "n": 6, "temperature": 0.7, "output": {"layout": "grid"}},
    {"source": {"example": 1, "seed": 5}, "edits": [{"op": "keep", "levels": [0, 1]}], "output": {"image": "sample"}},
]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    zoo = tmp_path_factory.mktemp("zoo")
    write_toy(zoo / "vdvae-toy")
    return zoo


@pytest.fixture(scope="module")
def settings(zoo: Path) -> Settings:
    return Settings(
        zoo=zoo,
        provider="cpu",
        threads=1,
        workers=1,
        max_waiting=64,
        max_queue_seconds=60,  # while a replica is missed, calls take longer, and that is not what is refused here
        poll_zoo_s=0.1,
        backend="ray",
        ray_min_replicas=REPLICAS,
        ray_max_replicas=REPLICAS,
        ray_cpus=0.5,
        ray_queue=WAITING,
    )


@pytest.fixture(scope="module")
def local(zoo: Path, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(zoo, settings.model_copy(update={"backend": "local"}))) as client:
        yield client


@pytest.fixture(scope="module")
def backend(settings: Settings) -> Iterator[RayBackend]:
    if find_spec("ray") is None:
        pytest.skip("needs Ray, which `make ray` installs")
    yield RayBackend(settings)
    import ray  # only now: the backend chooses the network interface before Ray is first imported

    ray.shutdown()


@pytest.fixture(scope="module")
def remote(zoo: Path, settings: Settings, backend: RayBackend) -> Iterator[TestClient]:
    """A server whose images are made on the replicas."""
    with TestClient(create_app(zoo, settings, backend=backend), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def model(zoo: Path, settings: Settings) -> Model:
    model = open_models(zoo, settings).show("vdvae-toy").model
    assert isinstance(model, Model)
    return model


def hashes(client: TestClient, recipe: dict[str, Any]) -> list[str]:
    answer = client.post(SAMPLE, json=recipe)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    return [image["sha256"] for image in document["images"]] + [document["sheet"] and document["sheet"]["sha256"]]


async def pids(backend: RayBackend, model: Model) -> set[int]:
    """The processes of all replicas that answer."""

    def wait_a_little(model: Model) -> int:
        time.sleep(0.2)
        return os.getpid()

    return {*await asyncio.gather(*(backend.run(wait_a_little, model, (), Call(1)) for _ in range(2 * REPLICAS)))}


@pytest.mark.slow
def test_a_cluster_of_this_machine_is_on_its_loopback_interface(backend: RayBackend) -> None:
    import ray

    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_replica_makes_the_same_bytes(local: TestClient, remote: TestClient, recipe: dict[str, Any]) -> None:
    assert hashes(remote, recipe) == hashes(local, recipe)
    arrays = {"output": recipe.get("output", {}) | {"include": ["latents", "prior_mean"], "layout": "images"}}
    for accept in ("image/png", "application/x-npz"):
        ours, theirs = (
            client.post(SAMPLE, json=recipe | arrays, headers={"Accept": accept}).content for client in (local, remote)
        )
        assert theirs == ours


@pytest.mark.slow
def test_encodings_and_their_latents_are_the_same(local: TestClient, remote: TestClient) -> None:
    answers = [client.post("/v1/models/vdvae-toy/encode", json={"example": 2}) for client in (local, remote)]
    assert [answer.status_code for answer in answers] == [200, 200]
    ours, theirs = (answer.json() for answer in answers)
    assert theirs == ours
    recipe = {"source": {"latents": theirs["latents"]}}
    assert hashes(remote, recipe) == hashes(local, recipe)


@pytest.mark.slow
def test_what_is_wrong_is_told_the_same_from_a_replica(local: TestClient, remote: TestClient) -> None:
    unreadable = {"image": "AAAA"}
    for path, body in (("encode", unreadable), ("encode", {"example": 9}), ("sample", {"source": unreadable})):
        ours, theirs = (client.post(f"/v1/models/vdvae-toy/{path}", json=body) for client in (local, remote))
        assert theirs.status_code == ours.status_code == 422
        assert theirs.json()["errors"] == ours.json()["errors"] != []


@pytest.mark.slow
def test_when_rays_queue_is_full_more_calls_are_429_with_retry_after(backend: RayBackend, model: Model) -> None:
    async def burst() -> list[Any]:
        calls = [backend.run(lambda model: time.sleep(0.2), model, (), Call(1)) for _ in range(5 * WAITING)]
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(burst())
    refused = [answer for answer in answers if answer is not None]
    assert answers.count(None) >= REPLICAS
    assert len(refused) >= WAITING
    assert all(isinstance(problem, Problem) and problem.kind == "busy" for problem in refused), refused
    assert all(int((problem.headers or {})["Retry-After"]) >= 1 for problem in refused)


@pytest.mark.slow
def test_what_nobody_waits_for_any_more_is_given_up(backend: RayBackend, model: Model) -> None:
    call, started = Call(1), time.monotonic()
    threading.Timer(0.3, call.cancel.cancel).start()
    with pytest.raises(Cancelled):
        asyncio.run(backend.run(lambda model: time.sleep(3), model, (), call))
    assert time.monotonic() - started < 3, "it waited for the end of the work"


@pytest.mark.slow
def test_a_replica_killed_under_load_costs_no_request(remote: TestClient, backend: RayBackend, model: Model) -> None:
    expected = hashes(remote, RECIPES[1])
    before = asyncio.run(pids(backend, model))
    assert len(before) == REPLICAS
    stop = threading.Event()

    def ask() -> list[list[str]]:
        answers = []
        while not stop.is_set():
            answers.append(hashes(remote, RECIPES[1]))
        return answers

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            time.sleep(0.5)
            os.kill(min(before), signal.SIGKILL)  # a process of the cluster that this test started
            deadline = time.monotonic() + 60
            while len(asyncio.run(pids(backend, model)) - {min(before)}) < REPLICAS:
                assert time.monotonic() < deadline, "the dead replica was not replaced"
        finally:
            stop.set()
        answers = [answer for one in asking for answer in one.result()]
    assert len(answers) > 4
    assert all(answer == expected for answer in answers)


@pytest.mark.slow
def test_a_bundle_that_is_published_reaches_the_replicas(remote: TestClient, local: TestClient, zoo: Path) -> None:
    write_toy(zoo / ".new", seed=9)
    digest = publish(zoo / ".new", zoo / "vdvae-toy").digest
    deadline = time.monotonic() + 60
    for client in (remote, local):
        while client.get("/v1/models/vdvae-toy").json()["digest"] != digest:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert hashes(remote, RECIPES[1]) == hashes(local, RECIPES[1])


@pytest.mark.slow
def test_a_model_that_no_replica_can_open_any_more_is_run_here(backend: RayBackend, model: Model, zoo: Path) -> None:
    write_toy(zoo / ".newer", seed=10)
    publish(zoo / ".newer", zoo / "vdvae-toy")
    write_toy(zoo / ".newest", seed=11)
    held = open_models(zoo, Settings(provider="cpu", threads=1)).show("vdvae-toy").model
    assert isinstance(held, Model)
    publish(zoo / ".newest", zoo / "vdvae-toy")  # nobody asked a replica for the one before
    assert asyncio.run(backend.run(lambda model: (model.bundle.digest, os.getpid()), held, (), Call(1))) == (
        held.bundle.digest,
        os.getpid(),
    )


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(RuntimeError, match=r"pip install 'strata\[ray\]'"):
        RayBackend(Settings(backend="ray"))


@pytest.mark.parametrize(
    "error",
    [
        Problem("busy", "Later", [Fault("#/n", "wrong", "No")], {"Retry-After": "3"}),
        RecipeError([Fault("#/n", "wrong", "No"), Fault("#/m", "wrong", "Neither")]),
        Cancelled(),
    ],
)
def test_an_answer_that_is_an_error_travels_whole(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))
