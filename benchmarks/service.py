"""`make bench`, service part: what HTTP costs beside the decode, how much a full server makes, and what a change costs.

    latency      one image over HTTP, against raw decode + PNG + twice the round trip of an empty FastAPI endpoint
    throughput   32 clients, against a raw loop of full batches, and against LitServe with the same decoder
    prefix       a change at one level of the full CIFAR-10 configuration, against its share of the arithmetic

All in one run in which the cases take turns; a server that is not asked stands still meanwhile. It writes
benchmarks/results/service-cpu.json and .md, and the same tables into docs/performance.md.
`python -m benchmarks.service --parts latency prefix` does some parts and writes nothing into the page.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from benchmarks.decode import use_threads
from benchmarks.report import Circumstances, circumstances, fill, table, write
from benchmarks.service_latency import Latency, measure_latency
from benchmarks.service_prefix import Change, measure_prefix
from benchmarks.service_throughput import Rate, measure_throughput
from benchmarks.timing import Record
from server.settings import Settings

PARTS = ("latency", "throughput", "prefix")
CLIENTS = 32


class Target(Record):
    """What was to be shown, and what was measured: a ratio that may be at most, or must be at least, this."""

    what: str
    wanted: float
    measured: float
    at_most: bool = True

    @property
    def met(self) -> bool:
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


class Report(Record):
    """The whole of service-cpu.json."""

    circumstances: Circumstances
    rounds: int
    latencies: list[Latency] = []
    rates: list[Rate] = []
    changes: list[Change] = []
    targets: list[Target] = []


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the results, print the tables."""
    options = parser().parse_args(arguments)
    use_threads(options.threads)
    command = f"python -m benchmarks.service --rounds {options.rounds}"
    about = circumstances(torch.device("cpu"), datetime.datetime.now(datetime.UTC), command)
    report = measure(about, options)
    lines = markdown(report)
    if set(options.parts) == set(PARTS):
        write(options.results, "service-cpu", report, ["# Serving on the CPU", "", *lines])
        fill(options.page, "service-cpu", lines)
    print("\n".join(lines))
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__.partition("\n")[0])
    top.add_argument("--threads", type=int, default=Settings().threads, help="default: as many as the server takes")
    top.add_argument("--rounds", type=int, default=7, help="how often every case has its turn (default: 7)")
    top.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all of them")
    top.add_argument("--build", type=Path, default=Path("build/benchmarks"), help="folder of models and environments")
    top.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    page = Path("docs/performance.md")
    top.add_argument("--page", type=Path, default=page, help=f"page that shows the results too (default: {page})")
    return top


def measure(about: Circumstances, options: argparse.Namespace) -> Report:
    latencies, rates, changes = [], [], []
    with ExitStack() as stack:
        if "latency" in options.parts:
            print("latency of one image")
            latencies = measure_latency(options.rounds, options.threads, stack)
    with ExitStack() as stack:
        if "throughput" in options.parts:
            print(f"images a second with {CLIENTS} clients")
            rates = measure_throughput(options.rounds, options.threads, CLIENTS, options.build, stack)
    if "prefix" in options.parts:
        print("a change at one level")
        changes = measure_prefix(options.rounds, options.threads, options.build)
    return Report(
        circumstances=about,
        rounds=options.rounds,
        latencies=latencies,
        rates=rates,
        changes=changes,
        targets=[*latency_targets(latencies), *rate_targets(rates), *change_targets(changes)],
    )


def latency_targets(latencies: Sequence[Latency]) -> list[Target]:
    if not latencies:
        return []
    seconds = {latency.what: latency.seconds for latency in latencies}
    decode = min(value for what, value in seconds.items() if what.startswith("raw decode"))
    budget = decode + seconds["PNG"] + 2 * seconds["empty FastAPI endpoint"]
    what = "one image over HTTP, in times of raw decode + PNG + two empty round trips"
    return [Target(what=what, wanted=1.0, measured=seconds["one image over HTTP"] / budget)]


def rate_targets(rates: Sequence[Rate]) -> list[Target]:
    found = {rate.what: rate for rate in rates}
    if not found:
        return []
    raw = max(rate.images for rate in rates if rate.what.startswith("raw loop"))
    full = found["Strata, 16 images a request"]
    what = "full batches over HTTP, share of a raw loop"
    targets = [Target(what=what, wanted=0.85, measured=full.images / raw, at_most=False)]
    ours, theirs = found["Strata, 1 image a request"], [rate for rate in rates if rate.what.startswith("LitServe")]
    if theirs:
        best = max(theirs, key=lambda rate: rate.images)
        times = ours.images / best.images
        targets.append(Target(what="throughput in times of LitServe's", wanted=1.5, measured=times, at_most=False))
        slower = ours.p95 / best.p95
        targets.append(Target(what="p95 of a request in times of LitServe's", wanted=1.0, measured=slower))
    return targets


def change_targets(changes: Sequence[Change]) -> list[Target]:
    targets = []
    for change in changes:
        what = f"a change at level {change.level}: part of a full decode"
        if change is changes[-1]:
            targets.append(Target(what=f"{what} (the last level)", wanted=1 / 8, measured=change.part))
        else:
            what = f"{what}, in times of its share of the FLOPs"
            targets.append(Target(what=what, wanted=1.3, measured=change.part / change.share))
    if changes:
        what, equal = "changes equal to a full decode, bit by bit", sum(change.equal for change in changes)
        targets.append(Target(what=what, wanted=1, measured=equal / len(changes), at_most=False))
    return targets


def markdown(report: Report) -> list[str]:
    """The report for people, as lines."""
    lines = [*report.circumstances.lines(), f"- medians over {report.rounds} rounds in which all cases take turns", ""]
    if report.latencies:
        rows = [[one.what, _ms(one.seconds), _ms(one.p95)] for one in report.latencies]
        lines += [*table(("one image of vdvae-mnist", "ms", "95th percentile, ms"), rows), ""]
    if report.rates:
        rows = [[r.what, f"{r.images:.0f}", _ms(r.median), _ms(r.p95), str(r.failures)] for r in report.rates]
        of = f"vdvae-mnist, {CLIENTS} clients"
        lines += [*table((of, "images a second", "median of a request, ms", "p95, ms", "failed"), rows), ""]
    if report.changes:
        rows = [
            [
                f"level {c.level}", str(c.levels_computed), f"{c.share:.1%}", f"{c.part:.1%}", _ms(c.seconds),
                "yes" if c.equal else "**no**",
            ] for c in report.changes
        ]  # fmt: skip
        of = "vdvae-cifar10, a change at"
        lines += [*table((of, "levels computed", "share of the FLOPs", "of a full decode", "ms", "equal"), rows), ""]
    rows = [
        [
            t.what, f"{'at most' if t.at_most else 'at least'} {t.wanted:g}", f"{t.measured:.2f}",
            "yes" if t.met else "**no**",
        ] for t in report.targets
    ]  # fmt: skip
    return [*lines, *table(("target", "wanted", "measured", "met"), rows)]


def _ms(seconds: float) -> str:
    return "-" if seconds == 0 else f"{seconds * 1e3:.2f}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


if __name__ == "__main__":
    sys.exit(main())
