"""Servers as processes of their own on loopback: started, paused while others are measured, ended.

LitServe lives in a virtual environment of its own, made once, with the versions of constraints.txt where both have a
package: it must not decide what Strata is tested with.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.process import stop

LITSERVE = "litserve==0.2.19"
PATIENCE_S = 120.0


class Server:
    """A running server and the processes that it started."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    @contextmanager
    def awake(self) -> Iterator[int]:
        """Its port, while it may run. At other times it stands still: one that polls would be felt by its rivals."""
        os.killpg(self.process.pid, signal.SIGCONT)
        try:
            yield self.port
        finally:
            os.killpg(self.process.pid, signal.SIGSTOP)


@contextmanager
def running(command: Callable[[int], Sequence[str]], environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """The server that `command(port)` starts, once it answers on that port, asleep. Raises SystemExit if it does not.

    A process of its own session, so that what it starts itself is paused and ended with it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        command(port), env=os.environ | (environment or {}), stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_for(process, port)
        server = Server(process, port)
        with server.awake():
            pass
        yield server
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        stop(process, seconds=10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that its end left behind


def litserve_python(folder: Path) -> Path:
    """The interpreter of LitServe's environment in `folder`, which is made if it is not there."""
    python = (folder / "bin" / "python").absolute()
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        packages = [LITSERVE, "onnxruntime", "numpy", "pillow", "pydantic"]
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", "-c", "constraints.txt"]
        subprocess.run([*pip, *packages], check=True)
        (folder / "complete").touch()
    return python


def strata(zoo: Path) -> Callable[[int], Sequence[str]]:
    """Our server with the bundles of `zoo`."""
    return lambda port: [sys.executable, "-m", "server", "--port", str(port), "--zoo", str(zoo)]


def module(python: Path | str, name: str, **options: object) -> Callable[[int], Sequence[str]]:
    """`python -m NAME --port PORT --OPTION VALUE ...`."""
    rest = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    return lambda port: [str(python), "-m", name, "--port", str(port), *rest]


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"a server did not start: {' '.join(map(str, process.args))}")  # type: ignore[arg-type]
