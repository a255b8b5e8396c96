"""`make run`: start the server and the explorer, print one address, and stop both together.

The two stay separate processes that speak REST, as when deployed. This module knows the server by its command
line only. What the two print is kept back, and its end shown when one of them fails.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import NoReturn

import httpx

HOST = "127.0.0.1"
PORTS_TRIED = 20
LINES_SHOWN = 15


@dataclass(frozen=True)
class Service:
    """Something to start, and the address that answers 200 once it is ready."""

    name: str
    command: tuple[str, ...]
    ready_url: str


class LaunchError(Exception):
    """A service did not start, or stopped by itself."""


class Running:
    """A started service and the last lines that it printed."""

    def __init__(self, service: Service) -> None:
        self.service = service
        # A session of its own: Ctrl-C reaches this launcher alone, which then stops each service once.
        self.process = subprocess.Popen(
            service.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._lines: deque[str] = deque(maxlen=LINES_SHOWN)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Raises LaunchError with the last lines printed, if the service has stopped."""
        if self.process.poll() is not None:
            self._reader.join(timeout=1)
            said = "".join(f"  {line}" for line in self._lines) or "  (it printed nothing)\n"
            raise LaunchError(
                f"The {self.service.name} stopped (exit code {self.process.returncode}):\n{said}".rstrip()
            )

    def stop(self, patience: float = 5.0) -> None:
        """Ask the service to stop; insist after `patience` seconds, or at once when interrupted while waiting."""
        self.process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        finally:
            self.process.kill()  # does nothing to one that has stopped
            self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with suppress(ValueError):  # closed under our feet while stopping
            self._lines.extend(self.process.stdout)


def free_port(first: int, taken: Sequence[int] = ()) -> int:
    """The first port from `first` on that nothing on this machine listens on. Raises LaunchError after a few."""
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                if port not in taken:
                    return port
    raise LaunchError(f"No port from {first} to {first + PORTS_TRIED - 1} is free; choose others: --port, --api-port")


def run(services: Sequence[Service], announce: Callable[[], None], patience: float = 180.0) -> NoReturn:
    """Start all services, call `announce` once each is ready, and watch them until an exception ends it.

    Whatever the exception, all services are stopped first: LaunchError when one of them did not become ready within
    `patience` seconds or stopped by itself, KeyboardInterrupt when a person has seen enough.
    """
    with ExitStack() as stops:
        started: list[Running] = []
        for service in services:
            started.append(Running(service))
            stops.callback(started[-1].stop)
        deadline = time.monotonic() + patience
        for service in services:
            wait_until_ready(service, started, deadline)
        announce()
        while True:
            for running in started:
                running.check()
            time.sleep(0.2)


def wait_until_ready(service: Service, started: Sequence[Running], deadline: float) -> None:
    """Return once `service` answers 200. Raises LaunchError after `deadline`, or when any of those started stopped.

    `deadline` is a time of `time.monotonic`.
    """
    reason = "it does not answer"
    while True:
        for running in started:
            running.check()
        with suppress(httpx.TransportError):
            answer = httpx.get(service.ready_url, timeout=10.0, trust_env=False)
            if answer.is_success:
                return
            if (said := _detail(answer)) != reason:
                reason = said
                print(f"Waiting for the {service.name}: {reason}", file=sys.stderr)
        if time.monotonic() > deadline:
            raise LaunchError(f"The {service.name} is not ready: {reason}")
        time.sleep(0.2)


def _detail(answer: httpx.Response) -> str:
    """Why a service is not ready, from its problem+json where it sent one."""
    with suppress(ValueError, KeyError, TypeError):
        return str(answer.json()["detail"])
    return f"it answers {answer.status_code}"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    for stop in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(stop) is not signal.SIG_IGN:  # nohup means it
            signal.signal(stop, signal.default_int_handler)
    try:
        api_port = free_port(options.api_port, taken=[options.port])
        port = free_port(options.port, taken=[api_port])
        api, address = f"http://{HOST}:{api_port}", f"http://{HOST}:{port}"
        server = (sys.executable, "-m", "server", "--host", HOST, "--port", str(api_port))
        explorer = (sys.executable, "-m", "app", "--api", api, "--host", HOST, "--port", str(port))
        if port != options.port:
            print(f"Port {options.port} is busy; the explorer takes {port}.")
        print("Starting the server and the explorer; Ctrl-C stops both.", flush=True)
        run(
            [Service("server", server, f"{api}/readyz"), Service("explorer", explorer, address)],
            announce=lambda: print(f"\n  {address}\n", flush=True),
        )
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0
    except LaunchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.run", description="Start the server and the explorer.")
    parser.add_argument("--port", type=_port, default=7860, help="the explorer's port; the next free one if busy")
    parser.add_argument("--api-port", type=_port, default=8000, help="the server's port; the next free one if busy")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{port} is no port; choose one from 1 to 65535")
    return port


if __name__ == "__main__":
    sys.exit(main())
