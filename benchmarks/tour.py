"""The figures of the explorer's tour, in one file: `python -m benchmarks.tour` writes app/static/figures.json.

They come from benchmarks/results, docs/images/depth.svg and training/published.yaml; nothing is measured here.
"""

from __future__ import annotations

import re
import statistics
import sys
from pathlib import Path
from xml.etree import ElementTree

from app.figures import Depth, Figures, Fit, Inference, Published
from benchmarks import depth, svg
from training import figures as training
from training.compare import load_published, published_rows

ROOT = Path(__file__).parents[1]
OUT = ROOT / "app" / "static" / "figures.json"
RESULTS = ROOT / "benchmarks" / "results"
DRAWING = ROOT / "docs" / "images" / "depth.svg"

DOTS = 500  # of each scatter plot: what tells a spiral from a blur
INFERENCE = {"vae-mnist": "One level", "hvae-mnist": "Five levels, plain", "lvae-mnist": "Five levels, ladder"}


def published() -> tuple[Published, ...]:
    """What `python -m training evaluate --compare` prints, with the notes in full."""
    known = load_published()
    return tuple(
        Published(
            dataset=row.dataset,
            model=row.model,
            estimator=row.estimator,
            nats_per_image=round(row.nats, 2),
            bits_per_dim=round(row.bits, 4),
            split=row.split,
            images=row.images,
            source=row.source,
            notes=tuple(known.notes[note] for note in row.notes),
        )
        for row in published_rows(known)
    )


def inference(name: str) -> Inference:
    """The ELBO of one recipe, and how many latent numbers are in use at each of its levels."""
    found = training.Figures.model_validate_json((RESULTS / f"{name}.json").read_bytes())
    metric = next(metric for metric in found.metrics if metric.estimator == "ELBO")
    return Inference(
        name=INFERENCE[name],
        recipe=name,
        estimator=metric.estimator,
        nats_per_image=round(metric.nats_per_image, 2),
        bits_per_dim=round(metric.bits_per_dim, 4),
        images=metric.images,
        active=found.active_units,
    )


def depth_study() -> Depth:
    """The table and the scatter plots of `python -m benchmarks.depth`."""
    found = depth.Result.model_validate_json((RESULTS / "depth.json").read_bytes())
    data, *drawn = scatter_plots(DRAWING.read_text(encoding="utf-8"))
    return Depth(
        data=data,
        side=float(svg.SIDE),
        fits=tuple(_fit(fit, points) for fit, points in zip(found.depths, drawn, strict=True)),
        control=_fit(found.control, ""),
        seeds=len(found.control.kl),
        steps=found.steps,
        test_points=found.points,
        k=found.k,
        hardware=found.circumstances.hardware,
        date=found.circumstances.date.partition("T")[0],
        command=found.circumstances.command,
    )


def scatter_plots(drawing: str) -> list[str]:
    """The dots of each scatter plot of an SVG document, the first of them, as SVG paths."""
    paths = [path.get("d", "") for path in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}path")]
    dots = [re.findall(r"M[0-9.]+ [0-9.]+h0", path) for path in paths]
    return ["".join(found[:DOTS]) for found in dots if len(found) > DOTS]


def collected() -> str:
    """The whole file."""
    found = Figures(published=published(), inference=tuple(inference(name) for name in INFERENCE), depth=depth_study())
    return found.model_dump_json(indent=1) + "\n"


def _fit(fit: depth.Fit, points: str) -> Fit:
    return Fit(
        levels=fit.levels,
        parameters=fit.parameters,
        mean=round(statistics.mean(fit.kl), 3),
        low=round(min(fit.kl), 3),
        high=round(max(fit.kl), 3),
        points=points,
    )


def main() -> int:
    OUT.write_text(collected(), encoding="utf-8")
    print(OUT.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
