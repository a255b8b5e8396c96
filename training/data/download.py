"""Fetches the public data sets: `python -m training.data.download NAME --root DIR`.

A file is streamed to NAME.part, continued there after an interruption, and gets its name only when its size and
SHA-256 are the pinned ones (`sources.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from training.data.images import DataError
from training.data.sources import SOURCES, File, Source

BLOCK = 1 << 20
TIMEOUT = 60  # seconds without a byte

Progress = Callable[[int], None]  # told how many bytes of the file are there


def download(source: Source, root: Path, progress: Callable[[File], Progress]) -> None:
    """Fetches all files of `source` below `root` and unpacks them; files that are there already are only checked.

    Raises DataError saying what failed; running it again goes on where it stopped.
    """
    if not source.files:
        raise DataError(f"{source.name} cannot be fetched by a program. {source.note}")
    for file in source.files:
        fetch(file, root, progress(file))
    source.finish(root)


def fetch(file: File, root: Path, progress: Progress) -> Path:
    """Fetches one file to `root / file.path`, trying its addresses in turn. Raises DataError if none gives it."""
    target = root / file.path
    if target.exists():
        if problem := _difference(target, file):
            raise DataError(f"{target} is not the published file: {problem}. Move it away to fetch that one.")
        progress(file.size)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    failures = []
    for url in file.urls:
        try:
            _stream(url, part, file.size, progress)
        except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and refused connections among them
            failures.append(f"{url}: {error}")
            continue
        if problem := _difference(part, file):
            part.unlink()
            failures.append(f"{url} gave another file: {problem}")
            continue
        os.replace(part, target)
        return target
    kept = f" {part} is kept and will be continued." if part.exists() else ""
    raise DataError(f"Could not fetch {target.name}. {' '.join(failure + '.' for failure in failures)}{kept}")


def _stream(url: str, part: Path, size: int, progress: Progress) -> None:
    """Appends to `part` what it lacks of the `size` bytes at `url`. Raises OSError if they do not all come."""
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    if have == size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        continued = response.status == http.client.PARTIAL_CONTENT
        start = have if continued else 0  # a server that knows no ranges sends all of it again
        length = response.headers.get("Content-Length")
        if length is not None and start + int(length) != size:
            raise OSError(f"it offers {start + int(length):,} bytes, and the published file has {size:,}")
        with part.open("ab" if continued else "wb") as out:
            _copy(response, out, start, progress)
    if (got := part.stat().st_size) < size:
        raise OSError(f"the connection ended after {got:,} of {size:,} bytes")


def _copy(response: http.client.HTTPResponse, out: BinaryIO, done: int, progress: Progress) -> None:
    progress(done)
    while block := response.read(BLOCK):
        out.write(block)
        done += len(block)
        progress(done)


def _difference(path: Path, file: File) -> str | None:
    """How `path` differs from the published file, or None."""
    if (size := path.stat().st_size) != file.size:
        return f"{size:,} bytes instead of {file.size:,}"
    if file.sha256 is None:
        return None
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return None if digest == file.sha256 else f"SHA-256 {digest} instead of {file.sha256}"


def bar(file: File) -> Progress:
    """A progress bar on stderr."""
    shown = tqdm(total=file.size, unit="B", unit_scale=True, desc=Path(file.path).name)

    def show(done: int) -> None:
        shown.update(done - shown.n)
        if done == file.size:
            shown.close()

    return show


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.data.download", description="Fetch a public data set and check what was fetched."
    )
    parser.add_argument("name", choices=SOURCES, metavar="NAME", help=", ".join(SOURCES))
    parser.add_argument("--root", type=Path, default=Path("data"), help="the data root of the recipes (default: data)")
    options = parser.parse_args(arguments)
    source = SOURCES[options.name]
    try:
        download(source, options.root, bar)
    except (DataError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)  # below the progress bar
        return 1
    print(f"{source.name} is in {options.root}. {source.note}".strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
