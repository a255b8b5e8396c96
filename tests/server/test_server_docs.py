"""What docs/rest.md says works when pasted, and its tables name what the code has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel
from real_server import serve
from starlette.testclient import TestClient

from server.api import create_app
from server.inspect_request import Gallery, Ladder, Progressive, RateMaps, Sensitivity
from server.job_request import InspectJob, MorphJob, SampleJob
from server.openapi_examples import INSPECTIONS, JOBS
from server.problems import KINDS
from server.settings import Settings


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "rest.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def zoo(toy_zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy under the name that the page uses."""
    zoo = tmp_path_factory.mktemp("documented")
    shutil.copytree(toy_zoo / "vdvae-toy", zoo / "vdvae-mnist")
    return zoo


@pytest.fixture(scope="module")
def address(zoo: Path, settings: Settings) -> Iterator[str]:
    with serve(create_app(zoo, settings)) as address:
        yield address


def blocks(page: str, language: str, address: str) -> str:
    """All code of one language, for the address of the test's own server."""
    found = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return "\n".join(found).replace("http://127.0.0.1:8000", address)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_lines_write_what_they_say(page: str, address: str, tmp_path: Path) -> None:
    script = blocks(page, "sh", address).replace("curl -s", "curl -sf")
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, check=True, timeout=120)
    for name in ("sample.png", "sheet.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "level3.json").read_text() != (tmp_path / "swapped.json").read_text()
    assert (tmp_path / "events.txt").read_text().rstrip().rpartition("event: ")[2].startswith("completed")
    for name, frames in (("ladder.png", 1), ("morph.apng", 60)):
        with Image.open(tmp_path / name) as picture:
            assert picture.n_frames == frames  # type: ignore[attr-defined]


def test_the_python_lines_run(root: Path, page: str, address: str, tmp_path: Path) -> None:
    pytest.importorskip("httpx")
    script = blocks(page, "python", address)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=120, stdout=subprocess.PIPE
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "2.png", "3.png", "morph.apng"]
    assert b"422 #/temperature Input should be less than or equal to 1.5" in done.stdout


def test_the_error_table_is_the_table_of_the_code(page: str) -> None:
    documented = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", page, re.MULTILINE)
    assert {(kind, int(status)) for status, kind in documented} == {
        (kind, status) for kind, (status, _) in KINDS.items()
    }


def test_every_field_of_the_answers_is_described(page: str, zoo: Path, settings: Settings) -> None:
    with TestClient(create_app(zoo, settings)) as client:
        names = _names(client)
    assert [name for name in names if f'"{name}"' not in page and f"`{name}`" not in page] == []


def _names(client: TestClient) -> list[str]:
    """Every field of every answer."""
    card = client.get("/v1/models/vdvae-mnist").json()
    answer = client.post("/v1/models/vdvae-mnist/sample", json={}).json()
    names = [*card, *card["levels"][0], *card["groups"][0], *answer, *answer["images"][0], *answer["recipe"]]
    encoded = client.post("/v1/models/vdvae-mnist/encode", json={"example": 0}).json()
    names += [*encoded, *encoded["image"], *encoded["levels"][0]]
    names += [f"output.{name}" for name in answer["recipe"]["output"]]
    for question in INSPECTIONS.values():
        names += _fields(client.post("/v1/models/vdvae-mnist/inspect", json=question).json())
    job = client.post("/v1/jobs", json=next(iter(JOBS.values()))).json()
    client.get(job["events_url"])
    names += _fields(client.get(job["url"]).json())
    return [name for name in names if not name[0].isdigit()]


def _fields(document: Any) -> list[str]:
    """The names of all fields of an answer, without those inside recipes."""
    if isinstance(document, list):
        return [name for item in document for name in _fields(item)]
    if not isinstance(document, dict):
        return []
    inner = [name for key, value in document.items() if key != "recipe" for name in _fields(value)]
    return [*document, *inner]


@pytest.mark.parametrize(
    "model", [Ladder, RateMaps, Progressive, Sensitivity, Gallery, SampleJob, InspectJob, MorphJob]
)
def test_every_key_of_a_question_and_a_job_is_described(page: str, model: type[BaseModel]) -> None:
    missing = [name for name in model.model_fields if f'"{name}"' not in page and f"`{name}`" not in page]
    assert missing == []
