"""A bundle in a folder of this machine, or of a disk that it mounts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from model_zoo.bundle import Bundle
from model_zoo.fetch import Progress
from model_zoo.manifest import MANIFEST_NAME, File
from model_zoo.place import PlaceError, Watch
from model_zoo.pull import pull


@dataclass(frozen=True)
class Folder:
    root: Path

    @property
    def name(self) -> str:
        return self.root.resolve().name

    def read_manifest(self, limit: int) -> bytes:
        try:
            with (self.root / MANIFEST_NAME).open("rb") as stream:
                return stream.read(limit)
        except (FileNotFoundError, NotADirectoryError):
            raise PlaceError(f"{self.root} has no {MANIFEST_NAME}, so it is no bundle") from None

    def fetch(self, name: str, file: File, target: Path, progress: Progress) -> None:
        shutil.copyfile(self.root / name, target)
        progress(file.size)

    def push(self, bundle: Bundle, watch: Watch) -> None:
        """In one step, as a pull from here to there."""
        pull(Folder(bundle.root), self.root, watch)
