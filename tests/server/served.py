"""A real server on a real socket: as a process of its own, or in a thread where a test must reach into it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from server.serve import DrainingServer, configuration


@contextmanager
def process(zoo: Path, environment: Mapping[str, str], log: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`python -m server` for the bundles under `zoo`, ready to answer: its address, and the process.

    What it prints goes to the file `log`.
    """
    port = _free_port()
    own = {"STRATA_ZOO": str(zoo), "STRATA_PORT": str(port), "STRATA_PROVIDER": "cpu", "STRATA_THREADS": "1"}
    with log.open("w") as output:
        command, env = [sys.executable, "-m", "server"], {**os.environ, **own, **environment}
        server = subprocess.Popen(command, env=env, stdout=output, stderr=output, text=True)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_until_ready(address)
            yield address, server
        finally:
            server.kill()
            server.wait()


@contextmanager
def thread(app: FastAPI) -> Iterator[str]:
    """The app behind the server's own uvicorn, in a thread of this process: its address."""
    port = _free_port()
    service = app.state.service
    server = DrainingServer(configuration(app, service.settings.model_copy(update={"port": port})), service)
    app.state.server = server
    runner = threading.Thread(target=server.run, daemon=True)
    runner.start()
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(address)
        yield address
    finally:
        server.should_exit = server.force_exit = True
        runner.join(timeout=30)


def stop(app: FastAPI) -> None:
    """What a signal does to the server in a thread, where signals do not arrive."""
    app.state.server.handle_exit(signal.SIGTERM, None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{address} did not become ready")
        time.sleep(0.05)
