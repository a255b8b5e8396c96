"""The pictures of the docs: the script makes them, at the sizes it names, and small."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Site
from PIL import Image

from app.screens import NAMES
from benchmarks.pictures import pictures, smaller

ALL_IMAGES = 4_000_000  # bytes


@pytest.mark.browser
def test_the_script_makes_the_pictures_of_a_screen(site: Site, chromium: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.pictures", "mix", "--url", site.app, "--out", str(tmp_path)]
    subprocess.run(command, check=True, timeout=300)
    found = {path.name: Image.open(path).size for path in tmp_path.iterdir()}
    assert found == {"mix.png": (1280, 800), "mix-narrow.png": (390, 844)}
    with Image.open(tmp_path / "mix.png") as image:
        assert len(set(image.convert("RGB").resize((64, 40)).getdata())) > 20, "there is something to see"


def test_the_pictures_of_the_docs_are_small(root: Path) -> None:
    assert sum(path.stat().st_size for path in (root / "docs" / "images").iterdir()) < ALL_IMAGES


def test_every_screen_is_pictured_wide_and_narrow_and_explore_in_the_dark() -> None:
    assert {one.file for one in pictures(NAMES)} == {
        "explore-dark.png",
        *(f"{n}{s}.png" for n in NAMES for s in ("", "-narrow")),
    }


def test_a_smaller_picture_is_the_same() -> None:
    image = Image.effect_noise((64, 64), 20).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=0)
    found = smaller(buffer.getvalue())
    assert len(found) < len(buffer.getvalue())
    with Image.open(io.BytesIO(found)) as same:
        assert same.tobytes() == image.tobytes()
