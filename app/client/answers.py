"""What the server answers: samples, encodings, inspections and jobs, as docs/rest.md has them."""

from __future__ import annotations

import base64
from typing import Any, Literal

from app.client.cards import Metric, Said

Recipe = dict[str, Any]


class File(Said):
    """One PNG, as base64, with its digest."""

    sha256: str
    height: int
    width: int
    data: str

    @property
    def png(self) -> bytes:
        return base64.b64decode(self.data)

    @property
    def url(self) -> str:
        """Exactly the server's bytes, for `<img src>`."""
        return "data:image/png;base64," + self.data


# --- sample, encode ---------------------------------------------------------------------------------------------------


class SampleImage(File):
    """One of the images of a recipe, with its own seed."""

    index: int
    seed: int


class Timing(Said):
    decode_ms: float = 0.0
    total_ms: float = 0.0


class Samples(Said):
    """The images of one recipe, which comes back resolved."""

    recipe: Recipe
    recipe_id: str
    token: str
    images: tuple[SampleImage, ...]


class Answer(Samples):
    """What `sample` answers."""

    model: str
    digest: str | None = None
    levels_computed: int
    provider: str = "cpu"
    timing: Timing = Timing()


class LevelRate(Said):
    index: int
    nats: float
    bits: float


class Elbo(Said):
    """What an image costs."""

    model: str
    image: File
    estimator: str
    rate_nats: float
    rate_bits: float
    distortion_nats: float
    distortion_bits: float
    nats_per_image: float
    bits_per_dim: float


class Encoding(Elbo):
    """What `encode` answers; `latents` names the encoded image as a source of recipes."""

    latents: str
    levels: tuple[LevelRate, ...]
    psnr: float | None


# --- inspect ----------------------------------------------------------------------------------------------------------


class Scale(Said):
    """What the colours of a map mean: from 0 to `top`."""

    top: float
    unit: str
    colours: str


class Cell(File):
    """An image, and the recipe that makes it."""

    recipe: Recipe
    recipe_id: str


class Draw(Cell):
    draw: int


class LadderRow(Said):
    levels: tuple[int, ...]
    group: str | None
    kl_bits: float | None
    share: float | None
    mean_change: float
    ink_moved: float | None
    change: File
    deviation: File
    cells: tuple[Draw, ...]


class Ladder(Said):
    """What each level controls."""

    base: Cell
    below: str
    draws: int
    scales: dict[str, Scale]
    rows: tuple[LadderRow, ...]


class LevelMap(LevelRate):
    group: str
    cumulative_bits: float
    highest: float
    map: File


class GroupMap(Said):
    name: str
    levels: tuple[int, ...]
    bits: float
    highest: float
    map: File


class RateMaps(Elbo):
    """Where the bits of an image go."""

    source: dict[str, Any]
    dataset: Metric | None
    scale: Scale
    levels: tuple[LevelMap, ...]
    groups: tuple[GroupMap, ...]
    total: File


class Step(Cell):
    kept: int
    bits: float
    share: float
    mse: float
    psnr: float | None


class Progressive(Elbo):
    """How many levels an image needs."""

    source: dict[str, Any]
    dataset: Metric | None
    others: str
    steps: tuple[Step, ...]


class Slope(Said):
    index: int
    group: str
    temperature: float
    low: float
    high: float
    change: float


class Sensitivity(Said):
    """How much an image moves with the temperature of each level."""

    recipe: Recipe
    recipe_id: str
    unit: str
    levels: tuple[Slope, ...]


class Gallery(Said):
    """What several recipes make."""

    samples: tuple[Samples, ...]


# --- jobs -------------------------------------------------------------------------------------------------------------


class JobResult(Said):
    url: str
    media_type: str
    bytes: int
    sha256: str


class JobProblem(Said):
    type: str
    title: str
    detail: str


class Job(Said):
    """Something to be made later, as it was when the server said so."""

    id: str
    kind: str
    model: str
    state: Literal["queued", "running", "completed", "failed", "cancelled"]
    done: int
    total: int
    url: str
    events_url: str
    result: JobResult | None = None
    problem: JobProblem | None = None

    @property
    def open(self) -> bool:
        """Whether it still waits or runs."""
        return self.state in ("queued", "running")


class Progress(Said):
    """What was done of a job by then; `job` comes with the last one."""

    done: int
    total: int
    job: Job | None = None
