"""What every file of the repository keeps to: small, free of anybody's machine, and introduced in a sentence."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

MIB = 2**20
LARGEST_FILE = 15 * MIB
ALL_BUNDLES = 30 * MIB
SOMEBODYS_MACHINE = re.compile(rb"(?<![\w.])/(?:work|farm|root|home|Users)/\w")


@pytest.fixture(scope="module")
def files(root: Path) -> list[Path]:
    """Everything in the repository, and everything new that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs a git checkout: {done.stderr.strip()}")
    return [path for name in done.stdout.split("\0") if name and (path := root / name).is_file()]


def test_no_file_is_too_large_to_clone(files: list[Path]) -> None:
    assert [path.name for path in files if path.stat().st_size > LARGEST_FILE] == []


def test_all_bundles_together_stay_small(root: Path, files: list[Path]) -> None:
    zoo = root / "model_zoo"
    assert sum(path.stat().st_size for path in files if path.is_relative_to(zoo)) <= ALL_BUNDLES


def test_no_file_holds_a_path_of_the_machine_that_made_it(root: Path, files: list[Path]) -> None:
    found = {}
    for path in files:
        content = path.read_bytes()
        if match := SOMEBODYS_MACHINE.search(content):
            found[path.relative_to(root).as_posix()] = content[match.start() : match.end() + 40]
    assert found == {}


def test_every_module_says_what_it_is(root: Path, files: list[Path]) -> None:
    silent = []
    for path in files:
        if path.suffix == ".py" and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))):
            silent.append(path.relative_to(root).as_posix())
    assert silent == []
