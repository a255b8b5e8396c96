"""Brings a bundle from a place to a folder: the manifest first, then each file by its size and SHA-256.

Everything is written to a hidden folder beside the target, which takes the target's name in one step once all of it
is right. What an interrupted pull left there is continued, and what the target has already is not fetched again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_zoo.bundle import Bundle, BundleError, open_bundle, parse_manifest, publish
from model_zoo.fetch import difference
from model_zoo.manifest import MANIFEST_NAME, File, Manifest
from model_zoo.place import Place, PlaceError, Watch

MAX_MANIFEST = 16 << 20  # bytes; that of the largest published model has a hundredth of it


def pull(place: Place, target: Path, watch: Watch, digest: str | None = None) -> Bundle:
    """Bring the bundle at `place` to `target`, replacing what is there. With `digest`, no other manifest is taken.

    Raises PlaceError, FetchError, BundleError or OSError, with `target` as it was; a second call continues.
    """
    content = place.read_manifest(MAX_MANIFEST + 1)
    if len(content) > MAX_MANIFEST:
        raise PlaceError(f"its {MANIFEST_NAME} is longer than {MAX_MANIFEST} bytes, so it is none")
    if digest not in (None, actual := hashlib.sha256(content).hexdigest()):
        raise PlaceError(f"its {MANIFEST_NAME} has SHA-256 {actual}; expected {digest}")
    manifest = parse_manifest(target, content)
    if (there := _opened(target)) and there.digest == actual:
        return there
    staging = target.with_name(f".{target.name}.pull")
    staging.mkdir(parents=True, exist_ok=True)
    with _locked(staging):
        for name, file in _lacking(manifest, staging, target):
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            place.fetch(name, file, staging / name, watch(name, file))
            if problem := difference(staging / name, file.size, file.sha256):
                (staging / name).unlink()
                raise BundleError(target, [f"{name} came with {problem}"])
        (staging / MANIFEST_NAME).write_bytes(content)
        _tidy(staging, manifest)
        return publish(staging, target)


def _lacking(manifest: Manifest, staging: Path, target: Path) -> Iterator[tuple[str, File]]:
    """The files that neither an earlier try nor the bundle there has. Those of the latter are taken over.

    Raises PlaceError if they cannot fit on the disk.
    """
    lacking = {}
    for name, file in manifest.files.items():
        if _right(staging / name, file):
            continue
        (staging / name).unlink(missing_ok=True)
        if _right(target / name, file):
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target / name, staging / name)
        else:
            lacking[name] = file
    needed, free = sum(file.size for file in lacking.values()), shutil.disk_usage(staging).free
    if needed > free:
        raise PlaceError(f"its files need {needed:,} bytes, and {staging.parent} has {free:,} left")
    yield from lacking.items()


def _right(path: Path, file: File) -> bool:
    return path.is_file() and not path.is_symlink() and difference(path, file.size, file.sha256) is None


def _opened(target: Path) -> Bundle | None:
    try:
        return open_bundle(target)
    except BundleError:
        return None


def _tidy(staging: Path, manifest: Manifest) -> None:
    """Remove what an earlier pull of another version left, and the notes of whoever fetched."""
    for path in sorted(staging.rglob("*"), reverse=True):
        name = path.relative_to(staging).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in manifest.files and name != MANIFEST_NAME:
            path.unlink()


@contextmanager
def _locked(staging: Path) -> Iterator[None]:
    """Hold the folder, so that two pulls of one bundle do not write into each other. Raises PlaceError."""
    handle = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise PlaceError(f"{staging} is in use by another pull of this bundle") from None
    finally:
        os.close(handle)
