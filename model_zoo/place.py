"""A place where one bundle is kept besides the zoo: what `pull` and `push` ask of it.

A place is not trusted: whoever asks it checks what came (`pull.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from model_zoo.bundle import Bundle
from model_zoo.fetch import Progress
from model_zoo.manifest import File

Watch = Callable[[str, File], Progress]  # asked for the progress of each file, by name, before it moves


class PlaceError(Exception):
    """An address that is none, or a place that does not give or take a bundle, with the reason."""


class Place(Protocol):
    """Every method may raise PlaceError, FetchError or OSError."""

    @property
    def name(self) -> str:
        """What the bundle is called there."""

    def read_manifest(self, limit: int) -> bytes:
        """The first `limit` bytes of manifest.json."""

    def fetch(self, name: str, file: File, target: Path, progress: Progress) -> None:
        """Write the file called `name` to `target`, whose folder exists; what an earlier try left may be used."""

    def push(self, bundle: Bundle, watch: Watch) -> None:
        """Take a whole, verified bundle."""
