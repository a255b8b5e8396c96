"""A bundle below an https address; plain http is for the loopback interface only, where nobody listens in."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from model_zoo.bundle import Bundle
from model_zoo.fetch import BLOCK, TIMEOUT, Progress, fetch
from model_zoo.manifest import MANIFEST_NAME, File
from model_zoo.place import PlaceError, Watch

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Web:
    """`token`, if there is one, goes to this host as a bearer token and is left out where it redirects."""

    def __init__(self, address: str, token: str | None = None) -> None:
        parts = urlsplit(address)
        if not _safe(address):
            raise PlaceError(f"{address}: plain http is for {', '.join(LOOPBACK)} only; use https")
        if parts.query or parts.fragment or parts.username or not parts.hostname:
            raise PlaceError(f"{address}: the address of a bundle has a host and a path, and no name, ? or # with it")
        self._address = address.rstrip("/")
        self._token = token
        self._opener = urllib.request.build_opener(_SafeRedirects)

    @property
    def name(self) -> str:
        return unquote(urlsplit(self._address).path.rpartition("/")[2])

    def read_manifest(self, limit: int) -> bytes:
        url = self._url(MANIFEST_NAME)
        try:
            with self._open(urllib.request.Request(url)) as response:
                return response.read(limit)
        except (OSError, http.client.HTTPException) as error:
            raise PlaceError(f"could not fetch {url}: {error}") from error

    def fetch(self, name: str, file: File, target: Path, progress: Progress) -> None:
        fetch(target, file.size, file.sha256, [self._url(name)], progress, self._open)

    def push(self, bundle: Bundle, watch: Watch) -> None:
        """PUT every file, the manifest last. In between, whoever pulls refuses what the old manifest does not list."""
        for name, file in bundle.manifest.files.items():
            self._put(bundle.root / name, name, watch(name, file))
        self._put(bundle.root / MANIFEST_NAME, MANIFEST_NAME, lambda done: None)

    def _put(self, path: Path, name: str, progress: Progress) -> None:
        url = self._url(name)
        headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "application/octet-stream"}
        with path.open("rb") as stream:
            request = urllib.request.Request(url, _blocks(stream, progress), headers, method="PUT")
            try:
                self._open(request).close()
            except urllib.error.HTTPError as error:
                raise PlaceError(
                    f"{url} was not taken: {error}. A web server that takes bundles allows PUT, as WebDAV and object "
                    "stores do; otherwise push to a folder that it serves, or to hf://owner/repo"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                raise PlaceError(f"could not send {url}: {error}") from error

    def _url(self, name: str) -> str:
        return f"{self._address}/{quote(name)}"

    def _open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        response: http.client.HTTPResponse = self._opener.open(request, timeout=TIMEOUT)
        return response


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to where others could listen in."""

    def redirect_request(  # type: ignore[no-untyped-def]
        self, req, fp, code, msg, headers, newurl
    ) -> urllib.request.Request | None:
        if not _safe(newurl):
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _blocks(stream: BinaryIO, progress: Progress) -> Iterator[bytes]:
    done = 0
    while block := stream.read(BLOCK):
        yield block
        done += len(block)
        progress(done)
