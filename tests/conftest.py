"""What tests may need from the machine, and what is said when the machine has not got it.

A test asks by naming a fixture: `shared` for the published data and reference tensors that live beside the
checkout, `chromium` for a browser. Where the thing is absent the test is skipped with the reason; where CI says that
it must be there, the test fails instead, so that a green run never means "the browser was not looked at".
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
MARKED_BY_FIXTURE = {"shared": pytest.mark.shared, "chromium": pytest.mark.browser}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not browser"` and `-m "not shared"` follow from the fixtures that a test names."""
    for item in items:
        for fixture, mark in MARKED_BY_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout: where pyproject.toml is."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """`../shared`: data/ (MNIST, CIFAR-10) and reference/ (tensors of the published code)."""
    if not SHARED.is_dir():
        pytest.skip("needs the data and reference tensors in ../shared, which is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium, for playwright's `executable_path` (with `--no-sandbox` when root)."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        reason = "needs Chromium; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
