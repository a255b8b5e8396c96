"""How fast a recipe trains on a device: `python -m benchmarks.training_speed RECIPE --set schedule.compile=true`.

The trainer's own step on random images, data handling and optimiser included. One process measures one setting, so
that a compilation that takes too long can be ended and memory is counted from nothing. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.timing import Record, Timing, summarise
from training.estimate import estimate
from training.recipe import Recipe, load_recipe
from training.trainer import Trainer

STEPS = 10  # of a sample


class Speed(Record):
    """Training steps of one recipe with one setting."""

    recipe: str
    overrides: list[str]
    batch_size: int
    step: Timing  # seconds
    first_step_seconds: float  # with compilation and the libraries' own warming up
    images_per_s: float
    tflops: float  # TFLOP/s of the convolutions, by training/estimate.py
    peak_memory_gib: float | None  # of a CUDA device


def measure(
    recipe: Recipe,
    overrides: list[str],
    device: torch.device,
    samples: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Time `samples` samples of STEPS training steps. A step waits for its loss, so the host's clock is right."""
    config, batch_size = recipe.model, recipe.schedule.batch_size
    size = (4 * batch_size, config.image_size, config.image_size, config.image_channels)
    images = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    trainer = Trainer(recipe, images, device)
    start = clock()
    trainer.step()
    first = clock() - start
    for _ in range(STEPS):
        trainer.step()
    times = []
    for _ in range(samples):
        start = clock()
        for _ in range(STEPS):
            trainer.step()
        times.append((clock() - start) / STEPS)
    timing = summarise(times, STEPS)
    return Speed(
        recipe=recipe.name,
        overrides=overrides,
        batch_size=batch_size,
        step=timing,
        first_step_seconds=first,
        images_per_s=batch_size / timing.seconds,
        tflops=estimate(recipe).step_flops * batch_size / timing.seconds / 1e12,
        peak_memory_gib=torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None,
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure one setting and print it."""
    top = argparse.ArgumentParser(prog="python -m benchmarks.training_speed", description=__doc__.partition("\n")[0])
    top.add_argument("recipe")
    top.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    top.add_argument("--device", default="cuda")
    top.add_argument("--samples", type=int, default=5)
    options = top.parse_args(arguments)
    recipe = load_recipe(options.recipe, options.set)
    print(measure(recipe, options.set, torch.device(options.device), options.samples).model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
