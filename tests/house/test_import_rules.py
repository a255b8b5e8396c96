"""Who may import whom: whoever serves installs no torch, whoever trains installs no web framework.

    training   model_zoo        torch; no web framework
    model_zoo  nothing of ours  pydantic and the standard library
    server     model_zoo        FastAPI and ONNX Runtime; no torch, no Gradio
    app        nothing of ours  Gradio and Plotly; talks to the server over REST only

The source is read for what a part imports itself, also inside functions; each part is then imported in a fresh
interpreter for what it brings along, and to see that importing does nothing but define things.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

MAY_IMPORT_OF_OURS = {"training": {"model_zoo"}, "model_zoo": set(), "server": {"model_zoo"}, "app": set()}
MAY_NOT_IMPORT = {
    "training": {"fastapi", "starlette", "uvicorn", "gradio", "httpx"},
    "model_zoo": {"torch", "onnxruntime", "fastapi", "starlette", "uvicorn", "gradio", "plotly", "httpx"},
    "server": {"torch", "gradio", "plotly"},
    "app": {"torch", "onnxruntime", "fastapi", "starlette", "uvicorn"},
}
MAY_NOT_BRING_ALONG = {
    **MAY_NOT_IMPORT,
    "training": {*MAY_NOT_IMPORT["training"], "plotly"},  # for reports alone, imported when one is made
    "app": {"torch", "onnxruntime"},  # Gradio itself is built on FastAPI
}
EXTRAS = {
    "training": ["training", "report", "cpu"],
    "model_zoo": ["hub"],
    "server": ["server", "video", "cpu", "otel", "ray"],
    "app": ["app"],
}
MODULES_OF = {  # where a distribution and its modules have different names
    "fastapi": {"fastapi", "starlette"},
    "opentelemetry-api": {"opentelemetry"},
    "pillow": {"PIL"},
    "pydantic": {"pydantic", "pydantic_core"},
    "pyyaml": {"yaml"},
}
OURS = {*MAY_IMPORT_OF_OURS, "tests", "benchmarks"}
PARTS = sorted(MAY_IMPORT_OF_OURS)


def imports(source: str, package: str) -> Iterator[str]:
    """Top-level names of everything that a module imports, wherever in the module it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield package if node.level else str(node.module).partition(".")[0]


def imports_of_part(root: Path, part: str) -> dict[str, set[str]]:
    """Imported top-level name -> the files of the part that import it."""
    found: dict[str, set[str]] = {}
    for path in sorted((root / part).rglob("*.py")):
        for name in imports(path.read_text(encoding="utf-8"), part):
            found.setdefault(name, set()).add(path.relative_to(root).as_posix())
    return found


def declared_modules(root: Path, part: str) -> set[str]:
    """The modules of the distributions that pyproject.toml declares for a part."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"]]
    for extra in EXTRAS[part]:
        requirements += project["optional-dependencies"][extra]
    names = [re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in requirements]
    return set().union(*(MODULES_OF.get(name, {name.replace("-", "_")}) for name in names))


def test_the_reader_sees_imports_inside_functions_and_relative_ones() -> None:
    source = "import os.path as p\nfrom .x import y\ndef f():\n    from torch.nn import Module\n"
    assert set(imports(source, "server")) == {"os", "server", "torch"}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_the_parts_it_may(root: Path, part: str) -> None:
    forbidden = OURS - MAY_IMPORT_OF_OURS[part] - {part}
    assert {name: files for name, files in imports_of_part(root, part).items() if name in forbidden} == {}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_does_not_import_the_libraries_of_another(root: Path, part: str) -> None:
    found = imports_of_part(root, part)
    assert {name: files for name, files in found.items() if name in MAY_NOT_IMPORT[part]} == {}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_what_its_extra_installs(root: Path, part: str) -> None:
    known = declared_modules(root, part) | OURS | sys.stdlib_module_names
    assert {name: files for name, files in imports_of_part(root, part).items() if name not in known} == {}


IMPORT_EVERYTHING = """
import importlib, json, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError(f"importing uses the network: {event} {arguments}")

sys.addaudithook(refuse)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("part", PARTS)
def test_importing_a_part_needs_no_network_and_brings_along_nothing_forbidden(root: Path, part: str) -> None:
    paths = [path.relative_to(root).with_suffix("") for path in sorted((root / part).rglob("*.py"))]
    modules = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    command = [sys.executable, "-c", IMPORT_EVERYTHING, *modules]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert MAY_NOT_BRING_ALONG[part].isdisjoint(json.loads(done.stdout))
