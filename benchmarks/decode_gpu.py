"""Decoding on a CUDA device: ONNX Runtime against eager PyTorch, and what the device can multiply.

`python -m benchmarks.decode_gpu RECIPE` prints one line of JSON. Without onnxruntime-gpu the rest is measured still.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from benchmarks.subjects import Subject, prepare, sampling_pass
from benchmarks.timing import Record, Timing, interleave
from server.engine import Engine, EngineError
from server.plan import Pass
from training.latents import unpack
from training.recipe import load_recipe

BATCHES = (1, 8, 64)
SIZE = 8192  # of the square matrices
ROUNDS = 10


class DeviceDecode(Record):
    """Decoding `batch` images, results back in the host's memory."""

    model: str
    batch: int
    pytorch: Timing
    onnxruntime: Timing | None
    speedup: float | None  # of ONNX Runtime over eager PyTorch


class DeviceReport(Record):
    """What one process measured on the device."""

    product_tflops: dict[str, float]  # TFLOP/s of a matrix product, by type
    decodes: list[DeviceDecode]
    onnxruntime: str  # what ran, or why it did not


def main(arguments: list[str] | None = None) -> int:
    """Measure the decoder of one recipe and print it."""
    top = argparse.ArgumentParser(prog="python -m benchmarks.decode_gpu", description=__doc__.partition("\n")[0])
    top.add_argument("recipe")
    top.add_argument("--build", type=Path, default=Path("build/benchmarks"))
    options = top.parse_args(arguments)
    device = torch.device("cuda")
    subject = prepare(load_recipe(options.recipe), options.build, partial(print, file=sys.stderr))
    engine, note = open_engine(subject)
    report = DeviceReport(
        product_tflops=product_rates(device, SIZE),
        decodes=[measure(subject, engine, batch, device) for batch in BATCHES],
        onnxruntime=note,
    )
    print(report.model_dump_json())
    return 0


def open_engine(subject: Subject) -> tuple[Engine | None, str]:
    """The server's engine on CUDA and its version; or None and why there is none."""
    try:
        engine = Engine.open(subject.bundle, "cuda", max_batch=max(BATCHES))
    except EngineError as error:
        return None, str(error)
    return engine, f"ONNX Runtime {onnxruntime.__version__}, {engine.provider}"


def measure(subject: Subject, engine: Engine | None, batch: int, device: torch.device) -> DeviceDecode:
    """Time one batch size."""
    work = sampling_pass(subject, batch)
    cases: dict[str, Callable[[], object]] = {"pytorch": eager_decode_on(subject, work, device)}
    if engine is not None:
        cases["onnxruntime"] = partial(engine.decode, work, ("likelihood",))
    timings = interleave(cases, ROUNDS)
    ours, eager = timings.get("onnxruntime"), timings["pytorch"]
    return DeviceDecode(
        model=subject.name,
        batch=batch,
        pytorch=eager,
        onnxruntime=ours,
        speedup=None if ours is None else eager.seconds / ours.seconds,
    )


def eager_decode_on(subject: Subject, work: Pass, device: torch.device) -> Callable[[], Tensor]:
    """Decode on `device` in float32: inputs go there and pixels come back every time, as they do for the server."""
    model, shapes = subject.model.to(device), subject.model.shapes
    inputs = [torch.from_numpy(part) for part in (work.noise, work.given, work.keep)]
    temperature = torch.from_numpy(work.temperature)

    @torch.inference_mode()
    def decode() -> Tensor:
        noise, given, keep = (unpack(part.to(device), shapes) for part in inputs)
        return model.decode(noise, given, keep, temperature.to(device))[0].cpu()

    return decode


def product_rates(device: torch.device, size: int) -> dict[str, float]:
    """TFLOP/s of [size, size] x [size, size] on random numbers: float32, float32 through TF32, and bfloat16."""
    rates, before = {}, torch.backends.cuda.matmul.allow_tf32
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bfloat16", torch.bfloat16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))

        def product(a: Tensor = a, b: Tensor = b) -> None:
            torch.mm(a, b)
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        rates[name] = 2 * size**3 / interleave({name: product}, ROUNDS)[name].seconds / 1e12
    torch.backends.cuda.matmul.allow_tf32 = before
    return rates


if __name__ == "__main__":
    sys.exit(main())
