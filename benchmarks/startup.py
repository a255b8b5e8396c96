"""What it costs to have the server there: `python -m benchmarks.startup`.

From nothing to ready, model load aside, against the bare import of what the server is built on; and what it takes of a
core when nobody asks. The cases take turns, each in a process of its own.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.overload import RESULTS, free_port, wait_until_ready
from benchmarks.process import stop
from benchmarks.report import Circumstances, circumstances, table, write
from benchmarks.timing import Record

LIBRARIES = "fastapi, numpy, onnxruntime, PIL.Image, prometheus_client, pydantic_settings, uvicorn"
IDLE_SECONDS = 20.0
START_TIMES, IDLE_PART = 2.0, 0.01  # the targets


class Startup(Record):
    """Seconds of each round; `idle` is the part of one core that a server with the shipped bundles takes."""

    circumstances: Circumstances
    libraries: list[float]
    ready: list[float]  # of a server whose zoo is empty: it answers, and there is no model to load
    idle: float

    def targets(self) -> dict[str, tuple[str, bool]]:
        ratio = statistics.median(self.ready) / statistics.median(self.libraries)
        return {
            f"ready after at most {START_TIMES:g} times the import": (f"{ratio:.2f} times", ratio <= START_TIMES),
            f"idle under {IDLE_PART:.0%} of a core": (f"{self.idle:.2%}", self.idle < IDLE_PART),
        }


def measure(rounds: int) -> Startup:
    libraries, ready = [], []
    with tempfile.TemporaryDirectory() as empty:
        for number in range(rounds):
            turns = [lambda: libraries.append(import_seconds()), lambda: ready.append(ready_seconds(Path(empty)))]
            for turn in turns[::-1] if number % 2 else turns:
                turn()
    return Startup(
        circumstances=circumstances(
            torch.device("cpu"), datetime.datetime.now(datetime.UTC), "python -m benchmarks.startup"
        ),
        libraries=libraries,
        ready=ready,
        idle=idle_part(),
    )


def import_seconds() -> float:
    """From the start of an interpreter to its end, with the server's libraries imported in between."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {LIBRARIES}"], check=True)
    return time.perf_counter() - started


def ready_seconds(zoo: Path) -> float:
    """From the start of a server without models until it answers."""
    port, started = free_port(), time.perf_counter()
    process = _start(port, "--zoo", str(zoo))
    try:
        wait_until_ready(port, process, "/healthz", pause=0.005)
        return time.perf_counter() - started
    finally:
        stop(process, 30)


def idle_part() -> float:
    """Of one core, by a server with the shipped bundles that nobody asks, over some seconds."""
    port = free_port()
    process = _start(port)
    try:
        wait_until_ready(port, process)
        time.sleep(2)
        before = _cpu_seconds(process.pid)
        time.sleep(IDLE_SECONDS)
        return (_cpu_seconds(process.pid) - before) / IDLE_SECONDS
    finally:
        stop(process, 30)


def lines(result: Startup) -> list[str]:
    """The report for people."""
    rows = [
        (name, f"{statistics.median(seconds):.2f}", f"{min(seconds):.2f}", f"{max(seconds):.2f}", str(len(seconds)))
        for name, seconds in (("import of the libraries", result.libraries), ("server ready", result.ready))
    ]
    met = [(target, found, "yes" if good else "no") for target, (found, good) in result.targets().items()]
    return [
        "# Startup",
        "",
        *result.circumstances.lines(),
        "",
        *table(("", "seconds", "fastest", "slowest", "rounds"), rows),
        "",
        *table(("target", "measured", "met"), met),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description="From nothing to ready.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for startup.json and startup.md")
    arguments = parser.parse_args()
    result = measure(arguments.rounds)
    write(arguments.out, "startup", result, lines(result))
    print("\n".join(lines(result)))
    return 0


def _start(port: int, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "server", "--port", str(port), "--provider", "cpu", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _cpu_seconds(pid: int) -> float:
    """That a process has had, in itself and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
