"""The zoo: a directory of bundles. Listing it never fails because of one broken bundle.

A bundle's id is the name of its directory. A bundle that does not verify is listed with the reason instead of
its manifest, so that a person sees what is wrong and the server keeps serving the others.
"""

from __future__ import annotations

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


def list_bundles(zoo: Path = BUNDLES, verify: bool = True) -> list[Entry]:
    """All bundles under `zoo`, sorted by id; an empty list when the directory does not exist.

    `verify` is that of `open_bundle`: False compares sizes, True digests too.
    """
    if not zoo.is_dir():
        return []
    return [
        open_entry(path, verify) for path in sorted(zoo.iterdir()) if path.is_dir() and not path.name.startswith(".")
    ]


def open_entry(directory: Path, verify: bool = True) -> Entry:
    """One directory as an entry of the listing."""
    try:
        return Entry(directory.name, open_bundle(directory, verify))
    except BundleError as error:
        return Entry(directory.name, None, "; ".join(error.problems))
