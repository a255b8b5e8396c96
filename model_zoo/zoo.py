"""The zoo: a directory of bundles. Listing it never fails because of one broken bundle.

A bundle's id is the name of its directory: `NAME`, or `NAME@VERSION` for the versions after the first. Asking for
`NAME` means the newest. A bundle that does not verify is listed with the reason instead of its manifest, so that a
person sees what is wrong and the server keeps serving the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from model_zoo.bundle import Bundle, BundleError, open_bundle

BUNDLES = Path(__file__).parent / "bundles"


@dataclass(frozen=True)
class Entry:
    """One line of the listing: either a bundle, or the reason why it is unavailable."""

    id: str
    bundle: Bundle | None
    reason: str | None = None


def split_id(id: str) -> tuple[str, int]:
    """Name and version of a bundle; without a version it is the first. Raises ValueError where `@` has no number."""
    name, separator, version = id.rpartition("@")
    if not separator:
        return id, 1
    if not re.fullmatch("[1-9][0-9]{0,8}", version):
        raise ValueError(f"{id!r} has no version that is a number from 1, as in {name or 'NAME'}@2")
    return name, int(version)


def bundle_folders(zoo: Path) -> list[Path]:
    """The directories of `zoo` that should be bundles, sorted by id; none when it does not exist."""
    if not zoo.is_dir():
        return []
    return sorted(path for path in zoo.iterdir() if path.is_dir() and not path.name.startswith("."))


def list_bundles(zoo: Path = BUNDLES, verify: bool = True) -> list[Entry]:
    """All bundles under `zoo`, sorted by id; an empty list when the directory does not exist.

    `verify` is that of `open_bundle`: False compares sizes, True digests too.
    """
    return [open_entry(path, verify) for path in bundle_folders(zoo)]


def find_bundle(zoo: Path, id: str) -> Path | None:
    """The directory that `id` means: this version, or the newest of this name. None where there is no such."""
    found: dict[int, Path] = {}
    for path in reversed(bundle_folders(zoo)):  # NAME comes last, and wins over NAME@1
        try:
            name, version = split_id(path.name)
        except ValueError:
            continue
        if id in (name, f"{name}@{version}"):
            found[version] = path
    return found[max(found)] if found else None


def open_entry(directory: Path, verify: bool = True) -> Entry:
    """One directory as an entry of the listing."""
    try:
        split_id(directory.name)
        return Entry(directory.name, open_bundle(directory, verify))
    except ValueError as error:
        return Entry(directory.name, None, str(error))
    except BundleError as error:
        return Entry(directory.name, None, "; ".join(error.problems))
