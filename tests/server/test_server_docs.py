"""What docs/rest.md says works when pasted, and its tables name what the code has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

from server.api import create_app
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
    """A real server on a free port of this machine."""
    server = uvicorn.Server(uvicorn.Config(create_app(zoo, settings), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    (port,) = {socket.getsockname()[1] for opened in server.servers for socket in opened.sockets}
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=60)


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


def test_the_python_lines_run(page: str, address: str, tmp_path: Path) -> None:
    pytest.importorskip("httpx")
    script = blocks(page, "python", address)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "2.png", "3.png"]


def test_the_error_table_is_the_table_of_the_code(page: str) -> None:
    documented = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", page, re.MULTILINE)
    assert {(kind, int(status)) for status, kind in documented} == {
        (kind, status) for kind, (status, _) in KINDS.items()
    }


def test_every_field_of_the_answers_is_described(page: str, zoo: Path, settings: Settings) -> None:
    client = TestClient(create_app(zoo, settings))
    card = client.get("/v1/models/vdvae-mnist").json()
    answer = client.post("/v1/models/vdvae-mnist/sample", json={}).json()
    names = [*card, *card["levels"][0], *card["groups"][0], *answer, *answer["images"][0], *answer["recipe"]]
    encoded = client.post("/v1/models/vdvae-mnist/encode", json={"example": 0}).json()
    names += [*encoded, *encoded["image"], *encoded["levels"][0]]
    names += [f"output.{name}" for name in answer["recipe"]["output"]]
    assert [name for name in names if f'"{name}"' not in page and f"`{name}`" not in page] == []
