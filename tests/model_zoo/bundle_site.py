"""A web server of one folder on the loopback interface, with ranges and PUT, that can be told to misbehave."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote


@dataclass
class Site:
    """What it gives, how it misbehaves, and what it was asked for."""

    root: Path
    url: str = ""
    ranges: bool = True
    break_after: int | None = None  # bytes of a body, then the connection ends
    claims: int | None = None  # what Content-Length says, whatever is sent
    chunked: bool = False  # no Content-Length, and a body without end
    redirect: str | None = None
    takes: bool = False  # PUT
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        """The names that were asked for, without the folder."""
        return [path.split("/", 2)[2] for _, path, _ in self.requests]


@contextmanager
def serve(root: Path) -> Iterator[Site]:
    site = Site(root)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, asked = unquote(self.path), self.headers.get("Range")
            site.requests.append(("GET", path, asked))
            site.tokens.append(self.headers.get("Authorization"))
            file = site.root / path.lstrip("/")
            if site.redirect:
                self.send_response(302)
                self.send_header("Location", site.redirect)
                self.end_headers()
            elif not file.is_file():
                self.send_error(404)
            else:
                self.give(file.read_bytes(), asked if site.ranges else None)

        def give(self, body: bytes, asked: str | None) -> None:
            manifest = self.path.endswith("manifest.json")
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            self.send_response(206 if start else 200)
            if site.chunked and not manifest:
                self.end_headers()
                self.wfile.write(body[start:] + b"and more" * 100_000)
                return
            length = len(body) - start if site.claims is None or manifest else site.claims
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body[start:] if manifest else body[start:][: site.break_after])

        def do_PUT(self) -> None:
            site.requests.append(("PUT", unquote(self.path), None))
            site.tokens.append(self.headers.get("Authorization"))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not site.takes:
                self.send_error(405)
                return
            target = site.root / unquote(self.path).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        site.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield site
        server.shutdown()
