"""What the server says about its models.

Unknown keys in an answer are ignored, not refused as elsewhere: a newer server may say more than this client knows.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Said(BaseModel):
    """Something the server said."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ImageSize(Said):
    height: int
    width: int
    channels: int
    bits: int = 8


class Level(Said):
    """Level `index`, counted from the top; `kl_bits` is its mean rate over the test set, if measured."""

    index: int
    label: str = ""
    channels: int
    height: int
    width: int
    group: str
    kl_bits: float | None = None

    @property
    def size(self) -> int:
        return self.channels * self.height * self.width


class Group(Said):
    """The levels of one resolution."""

    name: str
    height: int
    width: int
    levels: tuple[int, ...]
    kl_bits: float | None = None


class Example(Said):
    index: int
    label: str = ""
    url: str


class Metric(Said):
    estimator: str
    nats_per_image: float
    bits_per_dim: float
    split: str
    images: int
    note: str = ""


class TemperatureRange(Said):
    min: float = 0.0
    max: float = 1.5
    default: float = 1.0


class Limits(Said):
    max_images: int = 64


class Card(Said):
    """What the explorer builds itself from."""

    id: str
    state: Literal["ready", "unavailable"] = "ready"
    reason: str | None = None
    warning: str | None = None
    version: int = 1
    versions: tuple[int, ...] = (1,)
    digest: str | None = None
    family: str = ""
    summary: str = ""
    dataset: str = ""
    image: ImageSize
    prior: Literal["normal", "bernoulli"] = "normal"
    levels: tuple[Level, ...]
    groups: tuple[Group, ...]
    latents: int
    examples: tuple[Example, ...] = ()
    metrics: tuple[Metric, ...] = ()
    temperature: TemperatureRange = TemperatureRange()
    limits: Limits = Limits()
    provider: str = "cpu"

    @property
    def bits(self) -> float | None:
        """The rate of all levels together, or None where one was not measured."""
        rates = [level.kl_bits for level in self.levels]
        return None if None in rates else sum(rate for rate in rates if rate is not None)

    def group_of(self, level: int) -> Group:
        return next(group for group in self.groups if level in group.levels)


class Unavailable(Said):
    """A bundle that the server found but cannot serve."""

    id: str
    state: Literal["unavailable"]
    reason: str | None = None


class Models(Said):
    data: tuple[Card | Unavailable, ...]
    default: str | None = None
