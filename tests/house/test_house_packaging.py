"""What the packaging promises: extras that fit who does what, pinned versions, and commands that exist."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

# Extra -> distributions that must never come with it.
NEVER = {
    "training": {"fastapi", "uvicorn", "gradio", "plotly"},
    "tensorboard": {"torch", "fastapi", "gradio", "plotly"},
    "server": {"torch", "onnxscript", "gradio", "plotly", "onnxruntime", "onnxruntime-gpu"},
    "app": {"torch", "fastapi", "onnxruntime", "onnxruntime-gpu"},
    "video": {"torch", "gradio", "onnxruntime", "onnxruntime-gpu"},
    "cpu": {"onnxruntime-gpu"},
    "gpu": {"onnxruntime"},
    "ray": {"torch", "fastapi", "gradio", "onnxruntime", "onnxruntime-gpu"},
    "hub": {"torch", "fastapi", "gradio", "onnxruntime", "onnxruntime-gpu"},
}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


@pytest.fixture(scope="module")
def pyproject(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def constraints(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in pins}


def test_reading_a_manifest_needs_pydantic_alone(pyproject: dict[str, Any]) -> None:
    assert names(pyproject["project"]["dependencies"]) == {"pydantic"}


@pytest.mark.parametrize("extra", sorted(NEVER))
def test_an_extra_installs_nothing_that_belongs_to_another(pyproject: dict[str, Any], extra: str) -> None:
    assert names(pyproject["project"]["optional-dependencies"][extra]).isdisjoint(NEVER[extra])


def test_cpu_and_gpu_are_declared_to_exclude_each_other(pyproject: dict[str, Any]) -> None:
    assert pyproject["tool"]["uv"]["conflicts"] == [[{"extra": "cpu"}, {"extra": "gpu"}]]


def test_every_requirement_is_pinned_and_torch_to_the_version_of_the_bundles(
    pyproject: dict[str, Any], constraints: dict[str, str]
) -> None:
    project = pyproject["project"]
    required = names(project["dependencies"]).union(*map(names, project["optional-dependencies"].values()))
    assert required - constraints.keys() == set()
    assert constraints["torch"] == "2.13.0"


def test_ci_runs_what_people_run(root: Path) -> None:
    script = root / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "exec make test ray" in script.read_text(encoding="utf-8")


@pytest.mark.parametrize("target", ["install", "run", "test", "ray", "bench", "gpu"])
def test_make_has_the_target_and_help_says_what_it_does(root: Path, target: str) -> None:
    done = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True)
    assert re.search(rf"^make {target} +\w", done.stdout, re.MULTILINE)
