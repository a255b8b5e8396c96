"""`evaluate --compare`: the figures of bundles beside the published ones, and what keeps them from comparing.

A figure means something only beside another of the same data set, estimator and preprocessing. So rows are sorted into
data sets, each says its estimator and split, and numbered notes warn of what the published figures are known for.
Published figures and the notes are data, in `published.yaml`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple, Self

import yaml
from pydantic import Field, model_validator

from model_zoo.bundle import BundleError, load_manifest
from model_zoo.manifest import Manifest, Strict
from model_zoo.zoo import BUNDLES, list_bundles

HEADER = ("data set", "model", "estimator", "nats/image", "bits/dim", "split", "images", "notes", "source")
RIGHT_ALIGNED = {"nats/image", "bits/dim", "images"}


class Dataset(Strict):
    """A data set as the published figures use it: images of `bits` bits a value."""

    name: str
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    channels: int = Field(gt=0)
    bits: int = Field(ge=1, le=8)
    notes: tuple[str, ...] = ()  # of every figure

    @property
    def dims(self) -> int:
        return self.height * self.width * self.channels


class Figure(Strict):
    """One published figure, in the unit of its source."""

    dataset: str
    model: str
    nats: float | None = None  # per image
    bits: float | None = None  # per dimension
    estimator: str = Field(pattern=r"^(ELBO|IW-[1-9][0-9]*|exact|bound)$")
    split: str = "test"
    images: int | None = Field(default=None, gt=0)
    remark: str = ""
    source: str
    notes: tuple[str, ...] = ()


class Published(Strict):
    """The whole of published.yaml."""

    datasets: tuple[Dataset, ...]
    figures: tuple[Figure, ...]
    notes: dict[str, str]

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = {dataset.name for dataset in self.datasets}
        for figure in self.figures:
            if figure.dataset not in names:
                raise ValueError(f"{figure.model}: no data set {figure.dataset}; there are {', '.join(sorted(names))}")
            if (figure.nats is None) == (figure.bits is None):
                raise ValueError(f"{figure.model} on {figure.dataset}: give one of nats and bits")
        for notes in (entry.notes for entries in (self.datasets, self.figures) for entry in entries):
            if unknown := set(notes) - self.notes.keys():
                raise ValueError(f"no note {', '.join(sorted(unknown))}; there are {', '.join(self.notes)}")
        return self


class Row(NamedTuple):
    """One line of the table. `dataset` tells sizes and bits too, where they are not those of the published figures."""

    dataset: str
    model: str
    estimator: str
    nats: float
    bits: float
    split: str
    images: int | None
    source: str
    notes: tuple[str, ...]


def compare_bundles(options: argparse.Namespace) -> None:
    """Print the table of `options.compare`: names in the zoo, or folders; none for all shipped bundles.

    With names, only the published figures of their data sets are shown. Raises BundleError.
    """
    named = [load_manifest(directory_of(name)) for name in options.compare]
    shipped = [entry.bundle.manifest for entry in list_bundles(BUNDLES, verify=False) if entry.bundle]
    text = "\n".join(report(named or shipped, load_published(), every_dataset=not named))
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def directory_of(name: str) -> Path:
    """Of a bundle, by its name in the zoo or its folder. Raises BundleError listing what there is."""
    for directory in (BUNDLES / name, Path(name)):
        if directory.is_dir():
            return directory
    known = ", ".join(entry.id for entry in list_bundles(BUNDLES, verify=False)) or "nothing"
    raise BundleError(Path(name), [f"there is no such folder, and in the zoo there is {known}"])


def load_published() -> Published:
    """What ships in published.yaml."""
    text = resources.files("training").joinpath("published.yaml").read_text(encoding="utf-8")
    return Published.model_validate(yaml.safe_load(text))


def report(manifests: Sequence[Manifest], published: Published, *, every_dataset: bool) -> Iterator[str]:
    """The table and its notes, as lines of Markdown; `every_dataset` shows those that no bundle has, too."""
    rows = [row for manifest in manifests for row in rows_of(manifest, published)]
    shown = {row.dataset for row in rows}
    rows += [row for row in published_rows(published) if every_dataset or row.dataset in shown]
    order = [dataset.name for dataset in published.datasets]
    rows.sort(key=lambda row: order.index(row.dataset) if row.dataset in order else len(order))
    rows = [*warn_of_estimators(rows)]
    used = list(dict.fromkeys(note for row in rows for note in row.notes))
    yield from aligned([cells(row, used) for row in rows])
    yield ""
    for number, note in enumerate(used, 1):
        yield f"{number}. {published.notes[note]}"
    for manifest in manifests:
        if not manifest.metrics:
            yield f"\n{manifest.name} has no figures: give `export --metrics` what `evaluate --out` wrote."


def rows_of(manifest: Manifest, published: Published) -> Iterator[Row]:
    """The figures of a bundle."""
    likelihood, image = manifest.likelihood, manifest.image
    known = {(dataset.name, dataset.dims, dataset.bits): dataset for dataset in published.datasets}
    dataset = known.get((manifest.dataset, image.dims, likelihood.bits))
    title = manifest.dataset
    if not dataset and (not title or title in {name for name, _, _ in known}):  # of another size, or without a name
        title = f"{title or 'unnamed'} ({image.height}x{image.width}x{image.channels}, {likelihood.bits}-bit)"
    notes = list(dataset.notes if dataset else ())
    if (likelihood.edge_rule, likelihood.bits) == ("reference-vdvae", 5):
        notes.append("unnormalised-5-bit")
    if (likelihood.edge_rule, likelihood.bits) == ("reference-nvae", 8):
        notes.append("nvae-8-bit")
    flows = manifest.provenance.recipe.get("model", {}).get("num_nf", 0)
    for metric in manifest.metrics:
        yield Row(
            dataset=title,
            model=manifest.name,
            estimator=metric.estimator,
            nats=metric.nats_per_image,
            bits=metric.bits_per_dim,
            split=metric.split,
            images=metric.images,
            source=f"this bundle; {metric.note}".removesuffix("; "),
            notes=(*notes, *["flows"] * bool(flows and metric.estimator == "ELBO")),
        )


def published_rows(published: Published) -> Iterator[Row]:
    datasets = {dataset.name: dataset for dataset in published.datasets}
    for figure in published.figures:
        dataset = datasets[figure.dataset]
        per_bit = dataset.dims * math.log(2)  # nats an image
        yield Row(
            dataset=dataset.name,
            model=figure.model,
            estimator=figure.estimator,
            nats=figure.nats if figure.nats is not None else (figure.bits or 0.0) * per_bit,
            bits=figure.bits if figure.bits is not None else (figure.nats or 0.0) / per_bit,
            split=figure.split,
            images=figure.images,
            source=f"{figure.source}; {figure.remark}".removesuffix("; "),
            notes=(*dataset.notes, *figure.notes),
        )


def warn_of_estimators(rows: Iterable[Row]) -> Iterator[Row]:
    """Add the note on estimators to rows of a data set where they differ."""
    rows = list(rows)
    for row in rows:
        differ = len({other.estimator for other in rows if other.dataset == row.dataset}) > 1
        yield row._replace(notes=(*row.notes, "estimator")) if differ else row


def cells(row: Row, notes: Sequence[str]) -> tuple[str, ...]:
    """`row` as text under HEADER, its notes as their numbers in `notes`."""
    return (
        row.dataset,
        row.model,
        row.estimator,
        f"{row.nats:,.2f}" if row.nats < 1000 else f"{row.nats:,.0f}",
        f"{row.bits:.3f}",
        row.split,
        f"{row.images:,}" if row.images else "",
        ", ".join(str(number) for number in sorted(notes.index(note) + 1 for note in row.notes)),
        row.source,
    )


def aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A Markdown table that a terminal shows in columns too."""
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    right = [name in RIGHT_ALIGNED for name in HEADER]
    rule = tuple("-" * (width - 1) + (":" if is_right else "-") for width, is_right in zip(widths, right, strict=True))
    for row in (HEADER, rule, *rows):
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        )
        yield f"| {' | '.join(padded)} |"
