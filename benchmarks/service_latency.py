"""One client, one image of vdvae-mnist at a time, each of another seed: what HTTP adds to decoding it."""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.clients import Connection, median, percentile, post
from benchmarks.servers import Server, module, running, strata
from benchmarks.timing import Record
from model_zoo.bundle import Bundle, open_bundle
from model_zoo.zoo import BUNDLES
from server.likelihood import mean_image
from server.png import Pixels, encode

MODEL = "vdvae-mnist"
REQUESTS = 60  # of a case in one round
WARM_UP = 5  # more before them, not timed


class Latency(Record):
    """Seconds of one thing: the median over the rounds of each round's median, and of each round's 95th percentile."""

    what: str
    seconds: float
    p95: float


def sample_request(number: int, n: int = 1) -> bytes:
    """n images of seeds that no other number has, as PNG."""
    recipe = {"source": {"seed": 1000 * number}, "n": n}
    return post(f"/v1/models/{MODEL}/sample", recipe, "image/png")


def zoo_of_one(stack: ExitStack) -> Path:
    """A zoo with this model alone, so that no other takes time or memory."""
    zoo = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    os.symlink(BUNDLES / MODEL, zoo / MODEL)
    return zoo


def raw_session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    """The decoder as it comes, in ONNX Runtime with threads that do not spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(bundle.decoder, options, providers=["CPUExecutionProvider"])


def raw_feed(bundle: Bundle, batch: int) -> dict[str, np.ndarray]:
    """Inputs that draw `batch` images, ready."""
    size = (batch, bundle.manifest.latents)
    return {
        "noise": np.random.default_rng(0).standard_normal(size, np.float32),
        "given": np.zeros(size, np.float32),
        "keep": np.zeros(size, np.bool_),
        "temperature": np.ones((batch, len(bundle.manifest.levels)), np.float32),
    }


def measure_latency(rounds: int, threads: int, stack: ExitStack) -> list[Latency]:
    bundle = open_bundle(BUNDLES / MODEL)
    ours = stack.enter_context(running(strata(zoo_of_one(stack))))
    with ours.awake() as port, Connection(port) as connection:
        size = len(connection.ask(sample_request(0)))
    empty = stack.enter_context(running(module(sys.executable, "benchmarks.empty_app", size=size)))
    numbers = itertools.count(1)
    cases: dict[str, Callable[[], list[float]]] = {
        "one image over HTTP": lambda: over_http(ours, lambda: sample_request(next(numbers))),
        "empty FastAPI endpoint": lambda: over_http(empty, lambda: post("/", {"source": {"seed": 1}}, "image/png")),
    }
    feed, manifest = raw_feed(bundle, 1), bundle.manifest
    for count in sorted({1, threads}):
        session = raw_session(bundle, count)
        cases[f"raw decode, {count} thread{'s' * (count > 1)}"] = lambda session=session: timed(  # type: ignore[misc]
            lambda: session.run(["likelihood"], feed)
        )
    (likelihood,) = raw_session(bundle, 1).run(["likelihood"], feed)
    texts = {"strata.recipe": json.dumps({"as long as": "a recipe " * 40})}
    cases["PNG"] = lambda: timed(lambda: png(mean_image(likelihood, manifest.likelihood, 1), texts))
    found: dict[str, list[list[float]]] = {name: [] for name in cases}
    for turn in range(rounds):
        for name in [*cases][:: -1 if turn % 2 else 1]:
            found[name].append(cases[name]())
    return [
        Latency(what=name, seconds=median([*map(median, turns)]), p95=median([percentile(one, 0.95) for one in turns]))
        for name, turns in found.items()
    ]


def png(images: Pixels, texts: dict[str, str]) -> bytes:
    return encode(images[0], texts)


def over_http(server: Server, request: Callable[[], bytes]) -> list[float]:
    with server.awake() as port, Connection(port) as connection:
        return timed(lambda: connection.ask(request()))


def timed(run: Callable[[], object], count: int = REQUESTS) -> list[float]:
    seconds = []
    for _ in range(WARM_UP + count):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds[WARM_UP:]
