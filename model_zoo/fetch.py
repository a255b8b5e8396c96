"""One file over HTTP: streamed to NAME.part, continued there after an interruption, and named only once it is right.

What is right is told by whoever asks: the size always, the SHA-256 where there is one. A server is never believed.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 20
TIMEOUT = 60  # seconds without a byte

Progress = Callable[[int], None]  # told how many bytes of the file are there
Open = Callable[[urllib.request.Request], http.client.HTTPResponse]


class FetchError(Exception):
    """A file that could not be had, with every address that was tried and what it answered."""


def open_url(request: urllib.request.Request) -> http.client.HTTPResponse:
    """The answer to a request, redirects followed. Raises OSError."""
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    return response


def fetch(
    target: Path, size: int, sha256: str | None, urls: Sequence[str], progress: Progress, open_url: Open = open_url
) -> Path:
    """Fetch the file of `size` bytes to `target`, trying its addresses in turn; what is there is only checked.

    Raises FetchError if none gives it; a second call goes on where the first one stopped.
    """
    if target.exists():
        if problem := difference(target, size, sha256):
            raise FetchError(f"{target} is not the published file: {problem}. Move it away to fetch that one.")
        progress(size)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    failures = []
    for url in urls:
        try:
            _stream(url, part, size, progress, open_url)
        except (OSError, http.client.HTTPException) as error:  # URLError, timeouts and refused connections among them
            failures.append(f"{url}: {error}")
            continue
        if problem := difference(part, size, sha256):
            part.unlink()
            failures.append(f"{url} gave another file: {problem}")
            continue
        os.replace(part, target)
        return target
    kept = f" {part} is kept and will be continued." if part.exists() else ""
    raise FetchError(f"Could not fetch {target.name}. {' '.join(failure + '.' for failure in failures)}{kept}")


def difference(path: Path, size: int, sha256: str | None) -> str | None:
    """How `path` differs from the file of that size and digest, or None."""
    if (actual := path.stat().st_size) != size:
        return f"{actual:,} bytes instead of {size:,}"
    if sha256 is None:
        return None
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return None if digest == sha256 else f"SHA-256 {digest} instead of {sha256}"


def _stream(url: str, part: Path, size: int, progress: Progress, open_url: Open) -> None:
    """Append to `part` what it lacks of the `size` bytes at `url`. Raises OSError if they do not all come."""
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    if have == size and part.exists():
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with open_url(request) as response:
        continued = response.status == http.client.PARTIAL_CONTENT
        start = have if continued else 0  # a server that knows no ranges sends all of it again
        if response.length is not None and start + response.length != size:
            raise OSError(f"it offers {start + response.length:,} bytes, and the published file has {size:,}")
        with part.open("ab" if continued else "wb") as out:
            _copy(response, out, start, size, progress)
    if (got := part.stat().st_size) < size:
        raise OSError(f"the connection ended after {got:,} of {size:,} bytes")


def _copy(response: http.client.HTTPResponse, out: BinaryIO, done: int, size: int, progress: Progress) -> None:
    """Write the body, and no more than makes `size` bytes: one without a length need have no end."""
    progress(done)
    while block := response.read(min(BLOCK, size - done)):
        out.write(block)
        done += len(block)
        progress(done)
