"""The command `evaluate`: the figures of a checkpoint, as text for people and as JSON for a bundle's manifest."""

from __future__ import annotations

import argparse
import math
import time
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from model_zoo.manifest import Metric, Strict
from training.checkpoint import load_checkpoint
from training.data.batches import evaluation_batches
from training.data.load import load
from training.evaluate import Evaluation, evaluate, take
from training.graphs import round_to_half
from training.hardware import describe_hardware
from training.latents import LatentShape
from training.recipe import Recipe
from training.trainer import model_from_checkpoint

ACTIVE = 0.01  # nats: a latent number with a smaller mean KL is off (Sønderby et al. 2016, section 3)


class Figures(Strict):
    """What `evaluate` writes as JSON, and what a bundle's manifest takes over."""

    metrics: tuple[Metric, ...]
    kl_nats: tuple[float, ...] = Field(description="mean KL(q||p) of each level over the images, from the top")
    active_units: tuple[int, ...] = Field(description="latent numbers of each level whose mean KL is above 0.01 nats")
    distortion_nats: float
    rate_nats: float
    seed: int
    step: int = Field(description="steps of training behind the weights")
    weights: Literal["averaged", "raw"]
    half: bool = Field(description="whether the weights were rounded to float16 first")
    wall_time_s: float
    hardware: str


def evaluate_run(options: argparse.Namespace) -> None:
    """Checkpoint -> figures on standard output, and in the file `--out`. Raises CheckpointError, DataError."""
    state = load_checkpoint(options.checkpoint)
    recipe, model = model_from_checkpoint(state, ema=not options.raw_weights)
    model = model.folded()  # what is exported is what is measured
    if options.half:
        round_to_half(model)
    images = load(recipe.data, options.split, options.data).images
    count = min(options.images or len(images), len(images))
    batches = take(evaluation_batches(images, 64, recipe.data.binarise, options.seed), count)
    device, start = torch.device(options.device), time.monotonic()
    model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with (
        tqdm(total=count, unit="image", dynamic_ncols=True) as bar,
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
    ):
        evaluation = evaluate(
            model,
            recipe.model.likelihood,
            batches,
            k=options.k,
            seed=options.seed,
            passes=options.batch,
            device=device,
            progress=bar.update,
        )
    found = figures(
        evaluation,
        model.shapes,
        options.split,
        note_on(recipe, options),
        seed=options.seed,
        step=state["step"],
        weights="raw" if options.raw_weights else "averaged",
        half=options.half,
        wall_time_s=round(time.monotonic() - start, 1),
        hardware=describe_hardware(device),
    )
    print(table(found, model.shapes))
    if options.out:
        options.out.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")


def note_on(recipe: Recipe, options: argparse.Namespace) -> str:
    """What a reader must know to compare the figures with others."""
    parts = ["raw weights" if options.raw_weights else "averaged weights"]
    parts += ["rounded to float16"] * options.half
    if recipe.data.binarise != "none":
        parts.append({"dynamic": "dynamic binarisation", "threshold": "pixels thresholded"}[recipe.data.binarise])
    return ", ".join(parts)


def metrics(evaluation: Evaluation, split: str, note: str = "") -> tuple[Metric, ...]:
    """The bounds as a manifest states them: the ELBO and, for k > 1, IW-k."""
    found = [("ELBO", evaluation.nats)]
    if evaluation.k > 1:
        found.append((f"IW-{evaluation.k}", evaluation.importance_weighted))
    return tuple(
        Metric(
            estimator=estimator,
            nats_per_image=float(nats.mean()),
            bits_per_dim=float(nats.mean()) / evaluation.dims / math.log(2),
            split=split,
            images=len(nats),
            note=f"{note}{'; ' if note else ''}standard error {_standard_error(nats):.3f} nats",
        )
        for estimator, nats in found
    )


def _standard_error(values: NDArray[np.float64]) -> float:
    """Of the mean, over images."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def figures(evaluation: Evaluation, shapes: list[LatentShape], split: str, note: str, **about: Any) -> Figures:
    """Everything `evaluate` reports, with `about` for the fields that say what was evaluated, and where."""
    rates = evaluation.rates.mean(axis=0)
    ends = np.cumsum([shape.size for shape in shapes])
    return Figures(
        metrics=metrics(evaluation, split, note),
        kl_nats=tuple(rates.tolist()),
        active_units=tuple(int((level > ACTIVE).sum()) for level in np.split(evaluation.units, ends[:-1])),
        distortion_nats=float(evaluation.distortion.mean()),
        rate_nats=float(rates.sum()),
        **about,
    )


def table(found: Figures, shapes: list[LatentShape]) -> str:
    """`found` as text, for a terminal."""
    lines = [f"{'estimator':<10} {'nats/image':>12} {'bits/dim':>10} {'split':>11} {'images':>8}"]
    for metric in found.metrics:
        lines.append(
            f"{metric.estimator:<10} {metric.nats_per_image:>12.3f} {metric.bits_per_dim:>10.4f} "
            f"{metric.split:>11} {metric.images:>8,}   {metric.note}"
        )
    lines += ["", f"distortion {found.distortion_nats:.3f} + rate {found.rate_nats:.3f} nats, the rate by level:"]
    lines.append(f"{'level':>5} {'latent':>12} {'active':>7} {'nats':>9} {'bits':>9}  share")
    for index, (shape, nats, active) in enumerate(zip(shapes, found.kl_nats, found.active_units, strict=True)):
        size = f"{shape.channels}x{shape.height}x{shape.width}"
        bar = "#" * round(40 * nats / found.rate_nats) if found.rate_nats > 0 else ""
        lines.append(f"{index:>5} {size:>12} {active:>7,} {nats:>9.3f} {nats / math.log(2):>9.3f}  {bar}")
    return "\n".join(lines)
