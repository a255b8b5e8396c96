"""`make bench`: decoding on the CPU, ONNX Runtime against PyTorch and against what the machine can multiply.

One run with one number of threads measures, in turns (benchmarks/timing.py),

    the machine    float32 matrix products in NumPy, PyTorch and ONNX Runtime; the fastest is the machine's rate
    ONNX Runtime   decodes through server/engine.py, with the settings of the server
    PyTorch        the same model, eagerly

and writes benchmarks/results/decode-cpu.json and .md, and the same tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper

from benchmarks.report import Circumstances, circumstances, fill, table, write
from benchmarks.subjects import Subject, eager_decode, prepare, sampling_pass
from benchmarks.timing import Record, Timing, interleave
from server.engine import Engine
from server.settings import Settings
from training.recipe import load_recipe

SIZES = (1024, 2048)  # of the square matrices
DECODES = (("vdvae-cifar10", 1), ("vdvae-cifar10", 8), ("vdvae-mnist", 1))  # recipe, batch
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

# What a decode must reach: a share of the machine's rate, and a speed-up over eager PyTorch.
SHARE = {"vdvae-cifar10": 0.80}
SPEEDUP = {"vdvae-cifar10": 1.3, "vdvae-mnist": 2.5}


class Product(Record):
    """A float32 matrix product [size, size] x [size, size]."""

    library: str
    size: int
    timing: Timing
    gflops: float  # GFLOP/s


class Decode(Record):
    """Decoding `batch` images of one model."""

    model: str
    batch: int
    gflop_per_image: float
    onnxruntime: Timing
    pytorch: Timing
    gflops: float  # GFLOP/s of ONNX Runtime
    share: float  # of the machine's rate
    speedup: float  # over eager PyTorch


class Target(Record):
    """What was to be shown, and what was measured."""

    what: str
    wanted: float
    measured: float

    @property
    def met(self) -> bool:
        return self.measured >= self.wanted


class Report(Record):
    """The whole of decode-cpu.json. Medians are over `rounds` rounds."""

    circumstances: Circumstances
    rounds: int
    machine_gflops: float  # GFLOP/s, the fastest of `products`
    products: list[Product]
    decodes: list[Decode]
    targets: list[Target]


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the results, print the tables."""
    options = parser().parse_args(arguments)
    use_threads(options.threads)
    now = datetime.datetime.now(datetime.UTC)
    about = circumstances(torch.device("cpu"), now, f"python -m benchmarks.decode --rounds {options.rounds}")
    names = dict.fromkeys(name for name, _ in DECODES)
    subjects = {name: prepare(load_recipe(name), options.build, print) for name in names}
    cases = product_cases(options.threads) | decode_cases(subjects, options.threads)
    print(f"timing {len(cases)} cases in {options.rounds} rounds, {options.threads} threads")
    timings = interleave(cases, options.rounds)
    report = summary(about, options.rounds, timings, {name: subject.flops for name, subject in subjects.items()})
    lines = markdown(report)
    write(options.results, "decode-cpu", report, ["# Decoding on the CPU", "", *lines])
    fill(options.page, "decode-cpu", lines)
    print("\n".join(lines))
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=__doc__.partition("\n")[0])
    top.add_argument("--threads", type=int, default=Settings().threads, help="default: as many as the server takes")
    top.add_argument("--rounds", type=int, default=15, help="how often every case is timed (default: 15)")
    top.add_argument("--build", type=Path, default=Path("build/benchmarks"), help="folder of the exported models")
    top.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    page = Path("docs/performance.md")
    top.add_argument("--page", type=Path, default=page, help=f"page that shows the results too (default: {page})")
    return top


def use_threads(threads: int) -> None:
    """Give all three libraries the same number. NumPy's reads it when it is loaded, so the program may start anew."""
    torch.set_num_threads(threads)
    wanted = {name: str(threads) for name in THREAD_VARIABLES}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, os.environ | wanted)


def product_cases(threads: int) -> dict[str, Callable[[], object]]:
    """Matrix products by "library size"."""
    rng, cases = np.random.default_rng(0), dict[str, Callable[[], object]]()
    for size in SIZES:
        a, b = (rng.standard_normal((size, size), np.float32) for _ in range(2))
        session = product_session(size, threads)
        cases[f"NumPy {size}"] = partial(np.matmul, a, b)
        cases[f"PyTorch {size}"] = partial(torch.mm, torch.from_numpy(a), torch.from_numpy(b))
        cases[f"ONNX Runtime {size}"] = partial(session.run, ["c"], {"a": a, "b": b})
    return cases


def product_session(size: int, threads: int) -> onnxruntime.InferenceSession:
    """A graph of one MatMul, c = a b. Like the server's, its threads do not spin: they would slow down the others."""
    a, b, c = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "abc")
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [a, b], [c])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def decode_cases(subjects: dict[str, Subject], threads: int) -> dict[str, Callable[[], object]]:
    """Decodes by "model batch library"."""
    engines = {name: Engine.open(subject.bundle, "cpu", threads) for name, subject in subjects.items()}
    cases = dict[str, Callable[[], object]]()
    for name, batch in DECODES:
        work = sampling_pass(subjects[name], batch)
        cases[f"{name} {batch} ONNX Runtime"] = partial(engines[name].decode, work, ("likelihood",))
        cases[f"{name} {batch} PyTorch"] = eager_decode(subjects[name], work)
    return cases


def summary(about: Circumstances, rounds: int, timings: dict[str, Timing], flops: dict[str, int]) -> Report:
    """The report from the timings of all cases; `flops` of decoding one image, by model."""
    products = []
    for library in ("NumPy", "PyTorch", "ONNX Runtime"):
        for size in SIZES:
            timing = timings[f"{library} {size}"]
            rate = 2 * size**3 / timing.seconds / 1e9
            products.append(Product(library=library, size=size, timing=timing, gflops=rate))
    machine = max(product.gflops for product in products)
    decodes = []
    for name, batch in DECODES:
        ours, eager = timings[f"{name} {batch} ONNX Runtime"], timings[f"{name} {batch} PyTorch"]
        rate = batch * flops[name] / ours.seconds / 1e9
        decodes.append(
            Decode(
                model=name,
                batch=batch,
                gflop_per_image=flops[name] / 1e9,
                onnxruntime=ours,
                pytorch=eager,
                gflops=rate,
                share=rate / machine,
                speedup=eager.seconds / ours.seconds,
            )
        )
    return Report(
        circumstances=about,
        rounds=rounds,
        machine_gflops=machine,
        products=products,
        decodes=decodes,
        targets=targets(decodes),
    )


def targets(decodes: list[Decode]) -> list[Target]:
    """What these decodes were to reach."""
    found = []
    for decode in decodes:
        what = f"{decode.model}, batch {decode.batch}"
        if wanted := SHARE.get(decode.model):
            found.append(Target(what=f"{what}: share of the machine's rate", wanted=wanted, measured=decode.share))
        if wanted := SPEEDUP.get(decode.model):
            found.append(Target(what=f"{what}: times as fast as PyTorch", wanted=wanted, measured=decode.speedup))
    return found


def markdown(report: Report) -> list[str]:
    """The report for people, as lines."""
    products = [
        [p.library, f"{p.size} x {p.size}", _milliseconds(p.timing), f"{p.gflops:.0f}"] for p in report.products
    ]
    decodes = [
        [
            d.model, str(d.batch), f"{d.gflop_per_image:.3g}", _milliseconds(d.onnxruntime), _milliseconds(d.pytorch),
            f"{d.gflops:.0f}", f"{d.share:.0%}", f"{d.speedup:.2f}"
        ] for d in report.decodes
    ]  # fmt: skip
    targets = [[t.what, f"{t.wanted:g}", f"{t.measured:.2f}", "yes" if t.met else "**no**"] for t in report.targets]
    return [
        *report.circumstances.lines(),
        f"- medians over {report.rounds} rounds in which all cases take turns; in brackets the fastest and the slowest",
        "",
        *table(("matrix product", "size", "ms", "GFLOP/s"), products),
        "",
        f"The machine's rate: {report.machine_gflops:.0f} GFLOP/s.",
        "",
        *table(
            (
                "model", "batch", "GFLOP an image", "ONNX Runtime, ms", "eager PyTorch, ms", "GFLOP/s",
                "of the machine's rate", "times as fast as PyTorch"
            ),
            decodes,
        ),
        "",
        *table(("target", "at least", "measured", "met"), targets),
    ]  # fmt: skip


def _milliseconds(timing: Timing) -> str:
    digits = 2 if timing.seconds < 0.1 else 0
    return f"{timing.seconds * 1e3:.{digits}f} ({timing.fastest * 1e3:.{digits}f} to {timing.slowest * 1e3:.{digits}f})"


if __name__ == "__main__":
    sys.exit(main())
