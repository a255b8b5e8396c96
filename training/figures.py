"""The command `evaluate`: the figures of a checkpoint, as text for people and as JSON for a bundle's manifest."""

from __future__ import annotations

import argparse
import math
import time
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from model_zoo.manifest import Metric, Strict
from training.bundled import is_bundle, open_bundled, stored_in_half
from training.checkpoint import CheckpointError, load_checkpoint
from training.data.batches import evaluation_batches
from training.data.load import load
from training.evaluate import Evaluation, evaluate, take
from training.graphs import round_to_half
from training.hardware import describe_hardware
from training.latents import LatentShape
from training.models.contract import HierarchicalVAE
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


class Subject(NamedTuple):
    """What is evaluated: a model, and how it came about."""

    recipe: Recipe
    model: HierarchicalVAE
    step: int
    weights: Literal["averaged", "raw"]
    half: bool
    device: str


def subject_of(options: argparse.Namespace) -> Subject:
    """A checkpoint's weights, or a bundle's own graphs. Raises CheckpointError, BundleError."""
    if is_bundle(options.checkpoint):
        if options.half or options.raw_weights:
            raise CheckpointError("a bundle is evaluated as it is: --half and --raw-weights are for checkpoints")
        recipe, model, bundle = open_bundled(options.checkpoint)
        return Subject(recipe, model, bundle.manifest.provenance.steps or 0, "averaged", stored_in_half(bundle), "cpu")
    state = load_checkpoint(options.checkpoint)
    recipe, model = model_from_checkpoint(state, ema=not options.raw_weights)
    model = model.folded()  # what is exported is what is measured
    if options.half:
        round_to_half(model)
    model = model.to(options.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights: Literal["averaged", "raw"] = "raw" if options.raw_weights else "averaged"
    return Subject(recipe, model, state["step"], weights, options.half, options.device)


def evaluate_run(options: argparse.Namespace) -> None:
    """Checkpoint or bundle -> figures on standard output, and in the file `--out`.

    Raises CheckpointError, BundleError, DataError.
    """
    subject = subject_of(options)
    recipe, model = subject.recipe, subject.model
    images = load(recipe.data, options.split, options.data).images
    count = min(options.images or len(images), len(images))
    batches = take(evaluation_batches(images, 64, recipe.data.binarise, options.seed), count)
    device, start = torch.device(subject.device), time.monotonic()
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
        note_on(subject),
        seed=options.seed,
        step=subject.step,
        weights=subject.weights,
        half=subject.half,
        wall_time_s=round(time.monotonic() - start, 1),
        hardware=describe_hardware(device),
    )
    print(table(found, model.shapes))
    if options.out:
        options.out.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")


def note_on(subject: Subject) -> str:
    """What a reader must know to compare the figures with others."""
    parts = [f"{subject.weights} weights"]
    parts += ["rounded to float16"] * subject.half
    binarise = subject.recipe.data.binarise
    if binarise != "none":
        parts.append({"dynamic": "dynamic binarisation", "threshold": "pixels thresholded"}[binarise])
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
