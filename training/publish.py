"""The commands `export` and `import`: from a checkpoint, our own or a published one, to a bundle on disk."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from model_zoo.manifest import Imported, Metric, Provenance
from training.checkpoint import CheckpointError, load_checkpoint
from training.data.load import load
from training.export import About, export_bundle
from training.figures import Figures
from training.importers import nvlabs_nvae, openai_vdvae
from training.importers.download import fetch_checkpoint, find
from training.importers.weights import Published, WeightsError, sha256
from training.recalibrate import CalibrationError, recalibrate
from training.recipe import Recipe
from training.trainer import model_from_checkpoint


def export_run(options: argparse.Namespace) -> None:
    """Checkpoint (averaged weights) -> bundle.

    Raises CheckpointError, DataError, CalibrationError, ExportError, BundleError.
    """
    state = load_checkpoint(options.checkpoint)
    recipe, model = model_from_checkpoint(state)
    if options.calibrate_temperature is not None:
        if options.metrics:
            raise CalibrationError(
                "--metrics were measured without calibration, which changes them: give one of the two"
            )
        recalibrate(model, options.calibrate_temperature, generator=torch.Generator().manual_seed(recipe.seed))
    measured = combine([read_figures(path, state["step"], half=options.half) for path in options.metrics])
    name = options.name or recipe.name
    about = About(
        name=name,
        summary=recipe.summary,
        dataset=recipe.data.name,
        licence=options.licence,
        citation=options.citation or model.citation,
        provenance=provenance_of(state, recipe),
        metrics=measured.metrics,
        kl_nats=measured.kl_nats,
        active_units=measured.active_units,
        calibrated_temperature=options.calibrate_temperature,
        examples=examples_of(recipe, options.data, options.examples),
    )
    manifest = export_bundle(model, about, options.out / name, half=options.half)
    report(options.out / name, sum(file.size for file in manifest.files.values()))


def import_published(options: argparse.Namespace) -> None:
    """Published checkpoint -> bundle. Raises WeightsError, ExportError, BundleError."""
    file, config = checkpoint_of(options)
    published = read_published(options.publisher, file, config)
    if published.notice:
        print(published.notice)
    imported = Imported(file=file.name, sha256=sha256(file), source=published.source)
    about = About(
        name=options.name,
        summary=f"{published.family} imported from {file.name}",
        licence=published.licence,
        citation=published.model.citation,
        provenance=Provenance(recipe={"model": published.model.config.model_dump(mode="json")}, imported=imported),
    )
    manifest = export_bundle(published.model, about, options.out / options.name, half=options.half)
    report(options.out / options.name, sum(file.size for file in manifest.files.values()))


def checkpoint_of(options: argparse.Namespace) -> tuple[Path, str | None]:
    """The file to import, fetched first if `--download` asks for it, and its configuration. Raises WeightsError."""
    if not options.download:
        return options.file, options.config
    checkpoint = find(options.publisher, str(options.file))
    file = fetch_checkpoint(checkpoint, options.checkpoints)
    print(f"{file} has SHA-256 {sha256(file)}; its authors published none to compare it with")
    return file, options.config or checkpoint.config


def read_published(publisher: str, file: Path, config: str | None) -> Published:
    """The model in a published file. Raises WeightsError, also for a configuration that is missing or not wanted."""
    if publisher == "nvlabs-nvae":
        if config is not None:
            raise WeightsError("--config is for openai-vdvae; a checkpoint of nvlabs-nvae holds its own arguments")
        return nvlabs_nvae.published(file)
    if config is None:
        names = ", ".join(openai_vdvae.NAMES)
        raise WeightsError(f"openai-vdvae needs --config: one of {names}, or a .json file of hyper-parameters")
    return openai_vdvae.published(file, config)


def provenance_of(state: dict[str, Any], recipe: Recipe) -> Provenance:
    return Provenance(
        recipe=recipe.model_dump(mode="json"),
        seed=recipe.seed,
        steps=state["step"],
        wall_time_s=round(state["wall_time_s"], 1),
        hardware=state["hardware"],
        commit=state["commit"],
        date=datetime.date.today().isoformat(),
    )


def read_figures(path: Path, step: int, *, half: bool) -> Figures:
    """Figures of exactly the weights that are exported. Raises CheckpointError if they are of others."""
    try:
        figures = Figures.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{path} was not written by `python -m training evaluate --out`: {error}") from error
    measured = (figures.step, figures.weights, figures.half)
    if measured != (step, "averaged", half):
        raise CheckpointError(
            f"{path} measured step {figures.step}, {figures.weights} weights, half={figures.half}; "
            f"the bundle gets step {step}, averaged weights, half={half}: evaluate again"
        )
    return figures


class Measured(NamedTuple):
    """What a manifest says of a model's figures; levels from the top."""

    metrics: tuple[Metric, ...] = ()
    kl_nats: tuple[float, ...] | None = None
    active_units: tuple[int, ...] | None = None


def combine(files: list[Figures]) -> Measured:
    """Of each estimator the figure over the most images, and the levels of the widest evaluation.

    A bound with many samples takes hours, so it is often measured on fewer images than the ELBO.
    """
    if not files:
        return Measured()
    widest = sorted(files, key=lambda figures: max(metric.images for metric in figures.metrics))
    metrics = {metric.estimator: metric for figures in widest for metric in figures.metrics}
    return Measured(tuple(metrics.values()), widest[-1].kl_nats, widest[-1].active_units)


def examples_of(recipe: Recipe, root: Path, count: int) -> list[tuple[NDArray[np.uint8], str]]:
    """The first `count` test images with the names of their labels, if they have any."""
    if not count:
        return []
    test = load(recipe.data, "test", root)
    images = np.asarray(test.images[:count])
    labels = [] if test.labels is None else [int(label) for label in test.labels[: len(images)]]
    names = [test.label_names[label] if test.label_names else str(label) for label in labels]
    return list(zip(images, names or [""] * len(images), strict=True))


def report(folder: Path, size: int) -> None:
    print(f"wrote {folder} ({size / 1e6:.1f} MB); look at it with: python -m model_zoo show {folder.name}")
