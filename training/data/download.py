"""Fetches the public data sets: `python -m training.data.download NAME --root DIR`.

An interrupted download is continued, and a file gets its name only when its size and SHA-256 are the pinned ones
(`sources.py`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

import model_zoo.fetch
from model_zoo.fetch import FetchError, Progress
from training.data.images import DataError
from training.data.sources import SOURCES, File, Source


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
    try:
        return model_zoo.fetch.fetch(root / file.path, file.size, file.sha256, file.urls, progress)
    except FetchError as error:
        raise DataError(str(error)) from error


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
