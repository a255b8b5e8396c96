"""Figures that no model on the server has: measured once, or published by others. They stand in static/figures.json.

`python -m benchmarks.tour` writes that file from benchmarks/results and training/published.yaml, and a test holds it to
them.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Published(Record):
    """A likelihood that a paper or its authors report."""

    dataset: str
    model: str
    estimator: str
    nats_per_image: float
    bits_per_dim: float
    split: str
    images: int | None
    source: str
    notes: tuple[str, ...]


class Inference(Record):
    """One network on MNIST, trained alike with one of three ways to find latents."""

    name: str
    recipe: str
    estimator: str
    nats_per_image: float
    bits_per_dim: float
    images: int
    active: tuple[int, ...]  # latent numbers in use, from the top level down


class Fit(Record):
    """How far models of one depth are from the truth: KL in nats, mean over the seeds, the lowest and the highest."""

    levels: int
    parameters: int
    mean: float
    low: float
    high: float
    points: str  # an SVG path: where a model of this depth puts points; nothing for the control


class Depth(Record):
    """The depth study on two spirals. `control` has one level and as many parameters as the deepest."""

    data: str  # an SVG path, as of a fit
    side: float  # of the square that the paths are in
    fits: tuple[Fit, ...]
    control: Fit
    seeds: int
    steps: int
    test_points: int
    k: int
    hardware: str
    date: str
    command: str


class Figures(Record):
    published: tuple[Published, ...]
    inference: tuple[Inference, ...]
    depth: Depth


@cache
def load() -> Figures:
    """The figures, read once."""
    return Figures.model_validate_json(files("app").joinpath("static", "figures.json").read_bytes())
