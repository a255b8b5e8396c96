"""Server and explorer know no family: whatever they need of a model stands in its manifest."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from model_zoo.manifest import Manifest

ROOT = Path(__file__).parents[2]
FAMILIES = set(get_args(Manifest.model_fields["family"].annotation))


@pytest.mark.parametrize("part", ["server", "app"])
def test_no_code_asks_for_a_family(part: str) -> None:
    """No value in the code is the name of a family, and nothing is compared with a `family`."""
    assert "vdvae" in FAMILIES
    for path in sorted((ROOT / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Constant):
                assert node.value not in FAMILIES, place
            if isinstance(node, ast.Compare):
                assert "family" not in ast.unparse(node), place
