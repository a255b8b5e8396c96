"""What inspect answers, as JSON documents."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from model_zoo.manifest import Metric
from server.answers import ImageAnswer, SheetAnswer
from server.colour_map import NAME
from server.encode import NOISE_SEED
from server.inspect_sensitivity import UNIT


class InspectAnswer(BaseModel):
    """What every kind of inspection says."""

    model: str
    digest: str
    provider: Literal["cpu", "cuda"]


class ScaleAnswer(BaseModel):
    """What the colours of a map mean: from 0 to `top`."""

    top: float
    unit: str
    colours: str = NAME


class CellAnswer(BaseModel):
    """One image, and the recipe that makes it."""

    recipe: dict[str, Any]
    recipe_id: str
    sha256: str
    mime: Literal["image/png"] = "image/png"
    height: int
    width: int
    data: str


class DrawAnswer(CellAnswer):
    draw: int


class RowAnswer(BaseModel):
    """One row of a ladder. `kl_bits` is the mean rate of its levels over the test set, null if not measured."""

    levels: list[int]
    group: str | None
    kl_bits: float | None
    share: float | None
    mean_change: float
    ink_moved: float | None
    change: SheetAnswer
    deviation: SheetAnswer
    cells: list[DrawAnswer]


class LadderAnswer(InspectAnswer):
    kind: Literal["ladder_grid"] = "ladder_grid"
    base: CellAnswer
    below: str
    draws: int
    scales: dict[str, ScaleAnswer]
    rows: list[RowAnswer]


class ElboAnswer(InspectAnswer):
    """What an image costs, as `encode` says it."""

    image: SheetAnswer
    source: dict[str, Any]
    estimator: Literal["ELBO"] = "ELBO"
    noise_seed: int = NOISE_SEED
    rate_nats: float
    rate_bits: float
    distortion_nats: float
    distortion_bits: float
    nats_per_image: float
    bits_per_dim: float
    dataset: Metric | None


class LevelMapAnswer(BaseModel):
    """The rate of one level, and where it is: `highest` is the largest of the map, in bits a pixel."""

    index: int
    group: str
    nats: float
    bits: float
    cumulative_bits: float
    highest: float
    map: SheetAnswer


class GroupMapAnswer(BaseModel):
    name: str
    levels: list[int]
    bits: float
    highest: float
    map: SheetAnswer


class RateMapsAnswer(ElboAnswer):
    kind: Literal["kl"] = "kl"
    scale: ScaleAnswer
    levels: list[LevelMapAnswer]
    groups: list[GroupMapAnswer]
    total: SheetAnswer


class StepAnswer(CellAnswer):
    """The image from the first `kept` levels, whose rate is `bits`. `psnr` is null where it is the image itself."""

    kept: int
    bits: float
    share: float
    mse: float
    psnr: float | None


class ProgressiveAnswer(ElboAnswer):
    kind: Literal["progressive"] = "progressive"
    others: str
    steps: list[StepAnswer]


class SlopeAnswer(BaseModel):
    """How much the image moves with one level's temperature, from `low` to `high`."""

    index: int
    group: str
    temperature: float
    low: float
    high: float
    change: float


class SensitivityAnswer(InspectAnswer):
    kind: Literal["sensitivity"] = "sensitivity"
    recipe: dict[str, Any]
    recipe_id: str
    unit: str = UNIT
    levels: list[SlopeAnswer]


class SampleImages(BaseModel):
    """One recipe of a gallery, resolved, and its images."""

    recipe: dict[str, Any]
    recipe_id: str
    token: str
    token_length: int
    images: list[ImageAnswer]


class GalleryAnswer(InspectAnswer):
    kind: Literal["gallery"] = "gallery"
    samples: list[SampleImages]
