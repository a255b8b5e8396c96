"""Many clients at once: images a second and latencies under load, ours, LitServe's, and a loop without any HTTP."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import onnxruntime

from benchmarks.clients import Answer, Requests, again_and_again, median, percentile, post
from benchmarks.servers import Server, litserve_python, module, running, strata
from benchmarks.service_latency import MODEL, raw_feed, raw_session, sample_request, zoo_of_one
from benchmarks.timing import Record
from model_zoo.bundle import Bundle, open_bundle
from model_zoo.zoo import BUNDLES
from server.likelihood import mean_image
from server.png import contact_sheet, encode
from server.states import Arrays

SECONDS = 3.0  # of a case in one round
IMAGES = (1, 4, 16)  # of one request
BATCH = 16


class Rate(Record):
    """Medians over the rounds. Seconds of a request, 0 where there are none."""

    what: str
    images: float  # a second
    median: float
    p95: float
    failures: int


class Load(NamedTuple):
    """What was seen of one case in one round: seconds of each answered request, and how many failed."""

    seconds: float
    latencies: list[float]
    failures: int


def measure_throughput(rounds: int, threads: int, clients: int, build: Path, stack: ExitStack) -> list[Rate]:
    bundle = open_bundle(BUNDLES / MODEL)
    # Its queue holds what takes half a second, and refuses the rest; here it holds a request of each client.
    ours = stack.enter_context(running(strata(zoo_of_one(stack)), {"STRATA_MAX_QUEUE_SECONDS": "60"}))
    cases: dict[str, tuple[int, Callable[[], Load]]] = {}
    numbers = itertools.count(1)
    for n in IMAGES:
        what = f"Strata, {n} image{'s' * (n > 1)} a request"
        cases[what] = n, partial(served, ours, partial(sample_request, n=n), numbers, clients)
    python = litserve_python(build / "litserve")
    for workers, each in sorted({(1, threads), (threads, 1)}):
        options = {"bundle": bundle.root, "threads": each, "workers": workers, "max_batch": BATCH}
        rival = stack.enter_context(running(module(python, "benchmarks.litserve_app", **options)))
        name = f"LitServe, 1 image a request, {workers} worker{'s' * (workers > 1)} of {each}"
        cases[name] = 1, partial(served, rival, litserve_request, numbers, clients)
    feed = raw_feed(bundle, BATCH)
    for loops, each in sorted({(1, threads), (threads, 1)}):
        sessions = [raw_session(bundle, each) for _ in range(loops)]
        name = f"raw loop, batches of {BATCH}, {loops} of {each} thread{'s' * (each > 1)}"
        cases[name] = BATCH, partial(raw_loops, bundle, sessions, feed)
    found: dict[str, list[Load]] = {name: [] for name in cases}
    for turn in range(rounds):
        for name in [*cases][:: -1 if turn % 2 else 1]:
            found[name].append(cases[name][1]())
    return [rate(name, cases[name][0], loads) for name, loads in found.items()]


def rate(what: str, images: int, loads: list[Load]) -> Rate:
    asked = [one for one in loads if one.latencies]
    return Rate(
        what=what,
        images=median([images * len(one.latencies) / one.seconds for one in loads]),
        median=median([median(one.latencies) for one in asked]) if asked else 0.0,
        p95=median([percentile(one.latencies, 0.95) for one in asked]) if asked else 0.0,
        failures=sum(one.failures for one in loads),
    )


def litserve_request(number: int) -> bytes:
    return post("/predict", {"seed": 1000 * number}, "image/png")


def served(server: Server, request: Callable[[int], bytes], numbers: Iterator[int], clients: int) -> Load:
    """A short load to warm up, then one that counts; no two requests have the same number."""
    with server.awake() as port:

        def load(seconds: float) -> Load:
            start = time.perf_counter()
            requests: Requests = lambda: request(next(numbers))  # noqa: E731
            answers: list[Answer] = asyncio.run(again_and_again(port, requests, clients, seconds))
            good = [answer.seconds for answer in answers if answer.status == 200]
            return Load(time.perf_counter() - start, good, len(answers) - len(good))

        load(0.3)
        return load(SECONDS)


def raw_loops(bundle: Bundle, sessions: list[onnxruntime.InferenceSession], feed: Arrays) -> Load:
    """Decode the same full batch again and again and make a PNG of it, one thread a session."""
    start = time.perf_counter()
    with ThreadPoolExecutor(len(sessions)) as pool:
        loops = [*pool.map(lambda session: raw_loop(bundle, session, feed, start + SECONDS), sessions)]
    return Load(time.perf_counter() - start, [each for loop in loops for each in loop], 0)


def raw_loop(bundle: Bundle, session: onnxruntime.InferenceSession, feed: Arrays, end: float) -> list[float]:
    manifest, latencies = bundle.manifest, []
    while (start := time.perf_counter()) < end:
        (likelihood,) = session.run(["likelihood"], feed)
        encode(contact_sheet(mean_image(likelihood, manifest.likelihood, manifest.image.channels)), {})
        latencies.append(time.perf_counter() - start)
    return latencies
