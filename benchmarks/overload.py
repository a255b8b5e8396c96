"""Ten times what the server can serve, small and large mixed: `python -m benchmarks.overload [--seconds 60]`.

First some clients ask without a pause, as many as keep the server busy: full load without overload. Then requests
arrive at ten times the rate that was answered. All of it comes from this machine to its own loopback, and takes part
of its cores; the two phases meet the same neighbours, so their ratio counts, not the milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.clients import Answer, again_and_again, at_rate, percentile, post
from benchmarks.process import stop
from benchmarks.report import Circumstances, circumstances, table, write
from benchmarks.timing import Record

RESULTS = Path(__file__).parent / "results"
MODEL = "vdvae-mnist"
SMALL, LARGE, LARGE_PART = 1, 32, 0.1  # images of a request, and how many of ten are large
CLIENTS = 6  # that keep the server busy, and are never refused
TIMES = 10
CONNECTIONS = 128  # of those who arrive
MODULE = [sys.executable, "-m"]

P95_TIMES, MEMORY_PART, HEALTH_SECONDS = 3.0, 0.10, 0.050  # the targets
MAX_RETRY_AFTER = 60


class Phase(Record):
    """Requests of one phase: how many a second were asked and accepted, by status, and seconds of the accepted."""

    seconds: float
    asked_per_second: float
    accepted_per_second: float
    statuses: dict[int, int]
    median: float
    p95: float


class Overload(Record):
    circumstances: Circumstances
    full_load: Phase
    overload: Phase
    retry_after: tuple[int, int]  # the least and the most that was said
    health: list[float]  # seconds of each answer
    empty: list[float]  # of a server that does nothing, asked at the same times
    memory_before: int  # bytes
    memory_after: int

    def targets(self) -> dict[str, tuple[str, bool]]:
        """Target -> what was measured, and whether it was met."""
        ratio = self.overload.p95 / self.full_load.p95
        grown = self.memory_after / self.memory_before - 1
        return {
            "only 200 and 429": (str(self.overload.statuses), set(self.overload.statuses) <= {200, 429}),
            f"Retry-After from 1 to {MAX_RETRY_AFTER} s": (
                f"{self.retry_after[0]} to {self.retry_after[1]} s",
                self.retry_after[0] >= 1 and self.retry_after[1] <= MAX_RETRY_AFTER,
            ),
            f"p95 of the accepted at most {P95_TIMES:g} times full load's": (f"{ratio:.2f} times", ratio <= P95_TIMES),
            f"memory back within {MEMORY_PART:.0%}": (f"{grown:+.1%}", grown <= MEMORY_PART),
            f"health answers under {1e3 * HEALTH_SECONDS:g} ms throughout": (
                f"{_figures(self.health)} (a server that does nothing, at the same times: {_figures(self.empty)})",
                max(self.health) < HEALTH_SECONDS,
            ),
        }  # fmt: skip


@contextmanager
def server() -> Iterator[tuple[int, int]]:
    """A server of its own process with the shipped bundles: its port, and the number of the process."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*MODULE, "server", "--port", str(port), "--provider", "cpu"],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            wait_until_ready(port, process)
            yield port, process.pid
        finally:
            stop(process, 30)


class Probes:
    """Asks a server's /healthz, and beside it a server that does nothing, from processes of their own."""

    def __init__(self, port: int) -> None:
        self._ports = [str(port), str(free_port())]

    def __enter__(self) -> Probes:
        self._empty = subprocess.Popen([*MODULE, "benchmarks.probe", "--serve", self._ports[1]], start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._empty, 5)

    def start(self) -> None:
        command = [*MODULE, "benchmarks.probe", *self._ports]
        self._probe = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self) -> tuple[list[float], list[float]]:
        """The seconds of each answer: of the server, and of the one that does nothing."""
        output, _ = self._probe.communicate(b"\n", timeout=120)
        health, empty = json.loads(output)
        return health, empty


def measure(seconds: float, model: str = MODEL, times: float = TIMES) -> Overload:
    """Run both phases, `seconds` each at most (full load a quarter of it)."""
    with server() as (port, pid):
        return asyncio.run(_measure(port, pid, seconds, model, times))


async def _measure(port: int, pid: int, seconds: float, model: str, times: float) -> Overload:
    requests = mixed(random.Random(1), model)
    with Probes(port) as probes:
        await again_and_again(port, requests, CLIENTS, min(2.0, seconds / 4))  # warm
        full = phase(await again_and_again(port, requests, CLIENTS, seconds / 4), seconds / 4)
        before = resident(pid)
        probes.start()
        answers = await at_rate(port, requests, times * full.accepted_per_second, seconds, CONNECTIONS)
        health, empty = probes.stop()
    await asyncio.sleep(1)
    command = f"python -m benchmarks.overload --seconds {seconds:g}"
    waits = [int(answer.retry_after or 0) for answer in answers if answer.status == 429] or [0]
    return Overload(
        circumstances=circumstances(torch.device("cpu"), datetime.datetime.now(datetime.UTC), command),
        full_load=full,
        overload=phase(answers, seconds),
        retry_after=(min(waits), max(waits)),
        health=health,
        empty=empty,
        memory_before=before,
        memory_after=resident(pid),
    )  # fmt: skip


def mixed(rng: random.Random, model: str) -> Callable[[], bytes]:
    """Samples of new seeds each time, so that nothing that was computed before helps."""
    seeds = itertools.count(1000, LARGE)

    def next_request() -> bytes:
        n = LARGE if rng.random() < LARGE_PART else SMALL
        return post(f"/v1/models/{model}/sample", {"source": {"seed": next(seeds)}, "n": n})

    return next_request


def phase(answers: list[Answer], seconds: float) -> Phase:
    accepted = [answer.seconds for answer in answers if answer.status == 200]
    return Phase(
        seconds=seconds,
        asked_per_second=len(answers) / seconds,
        accepted_per_second=len(accepted) / seconds,
        statuses=dict(sorted(Counter(answer.status for answer in answers).items())),
        median=percentile(accepted, 0.50),
        p95=percentile(accepted, 0.95),
    )


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def lines(result: Overload) -> list[str]:
    """The report for people."""
    phases = (("full load", result.full_load), ("overload", result.overload))
    rows = [
        (
            name,
            f"{p.asked_per_second:.0f}",
            f"{p.accepted_per_second:.1f}",
            f"{1e3 * p.median:.0f}",
            f"{1e3 * p.p95:.0f}",
        )
        for name, p in phases
    ]
    met = [(target, found, "yes" if good else "no") for target, (found, good) in result.targets().items()]
    return [
        "# Overload",
        "",
        f"`{MODEL}`, {SMALL} image a request, {LARGE} in {LARGE_PART:.0%} of them; {CLIENTS} clients without a pause, "
        f"then {TIMES} times what they got, for {result.overload.seconds:g} s.",
        "",
        *result.circumstances.lines(),
        "",
        *table(("", "asked a second", "accepted a second", "median, ms", "p95, ms"), rows),
        "",
        *table(("target", "measured", "met"), met),
        "",
        f"Memory {result.memory_before / 2**20:.0f} MiB before, {result.memory_after / 2**20:.0f} MiB after.",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description="Ten times too much work.")
    parser.add_argument("--seconds", type=float, default=60.0, help="of overload (default: 60)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for overload.json and overload.md")
    arguments = parser.parse_args()
    result = measure(arguments.seconds)
    write(arguments.out, "overload", result, lines(result))
    print("\n".join(lines(result)))
    return 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _figures(seconds: list[float]) -> str:
    median, p99, worst = (1e3 * percentile(seconds, part) for part in (0.50, 0.99, 1.0))
    return f"median {median:.1f}, p99 {p99:.0f}, worst {worst:.0f} ms of {len(seconds)}"


def wait_until_ready(port: int, process: subprocess.Popen[bytes], path: str = "/readyz", pause: float = 0.1) -> None:
    """Until the server of a process answers 200 there. Raises RuntimeError where it ends, or never does."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                return
        except OSError:
            time.sleep(pause)
    raise RuntimeError("the server did not become ready")


if __name__ == "__main__":
    sys.exit(main())
