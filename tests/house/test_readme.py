"""What the README and the pages under docs/ say works when it is pasted, and what they point to is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.run import HOST, Running, Service, free_port, wait_until_ready
from training.__main__ import parser
from training.recipe import load_recipe

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PNG = b"\x89PNG\r\n\x1a\n"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(prefix: str) -> list[str]:
    """Every command line of the README that starts with `prefix`."""
    joined = "\n".join(blocks(ROOT / "README.md", "bash")).replace("\\\n", "")
    return [line for line in joined.splitlines() if line.startswith(prefix)]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server with the shipped bundles."""
    port = free_port(8100)
    command = (sys.executable, "-m", "server", "--host", HOST, "--port", str(port), "--threads", "1")
    service = Service("server", command, f"http://{HOST}:{port}/readyz")
    running = Running(service)
    try:
        wait_until_ready(service, [running], deadline=time.monotonic() + 180)
        yield f"http://{HOST}:{port}"
    finally:
        running.stop()


def test_the_curl_line_writes_an_image(server: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    [line] = commands("curl ")
    subprocess.run(["bash", "-ec", line.replace(ADDRESS, server)], cwd=tmp_path, check=True)
    assert (tmp_path / "digit.png").read_bytes().startswith(PNG)


def test_the_python_lines_write_four_different_images(server: str, tmp_path: Path) -> None:
    [program] = blocks(ROOT / "README.md", "python")
    subprocess.run([sys.executable, "-c", program.replace(ADDRESS, server)], cwd=tmp_path, check=True)
    images = [(tmp_path / f"digit-{draw}.png").read_bytes() for draw in range(4)]
    assert all(image.startswith(PNG) for image in images)
    assert len(set(images)) == 4


def test_the_training_commands_are_understood_and_name_a_recipe_that_is_shipped() -> None:
    lines = commands("python -m training ")
    assert len(lines) >= 4
    for line in lines:
        parser().parse_args(line.split()[3:])
    [train] = commands("python -m training train ")
    load_recipe(train.split()[4], [])


def test_the_make_commands_name_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    mentioned = {name for page in PAGES for name in re.findall(r"`?\bmake ([a-z]+)\b`", page.read_text("utf-8"))}
    mentioned |= {line.split()[1] for line in commands("make ")}
    assert mentioned >= {"run", "test", "install"}
    assert mentioned <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
