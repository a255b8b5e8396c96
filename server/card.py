"""The card of a model, made from its manifest: all that a screen needs to build itself."""

from __future__ import annotations

from typing import Any, Literal

import onnxruntime
from pydantic import BaseModel

from model_zoo.manifest import Image, Likelihood, Metric
from server.fields import MAX_TEMPERATURE
from server.models import Shown, Unavailable
from server.noise import RNG


class LevelCard(BaseModel):
    """One level; level 0 is the coarsest. The KL is the mean over the test set."""

    index: int
    label: str
    channels: int
    height: int
    width: int
    offset: int
    group: str
    kl_nats: float | None
    kl_bits: float | None


class GroupCard(BaseModel):
    """The levels of one resolution, coarsest group first. `kl_bits` is their sum, null if one is not measured."""

    name: str
    height: int
    width: int
    levels: list[int]
    kl_bits: float | None


class ExampleCard(BaseModel):
    index: int
    label: str
    url: str


class TemperatureCard(BaseModel):
    min: float = 0.0
    max: float = MAX_TEMPERATURE
    default: float = 1.0


class LimitsCard(BaseModel):
    max_images: int


class Card(BaseModel):
    """A model that can be sampled."""

    id: str
    object: Literal["model"] = "model"
    state: Literal["ready"] = "ready"
    reason: None = None
    warning: str | None
    version: int
    versions: list[int]
    digest: str
    family: str
    summary: str
    dataset: str
    image: Image
    likelihood: Likelihood
    prior: Literal["normal", "bernoulli"]
    levels: list[LevelCard]
    groups: list[GroupCard]
    latents: int
    examples: list[ExampleCard]
    metrics: list[Metric]
    temperature: TemperatureCard = TemperatureCard()
    limits: LimitsCard
    provider: Literal["cpu", "cuda"]
    onnxruntime: str = onnxruntime.__version__
    rng: str = RNG
    provenance: dict[str, Any]
    exporter: dict[str, Any]
    licence: str
    citation: str


class UnavailableCard(BaseModel):
    """A bundle that is there but cannot be used, and why."""

    id: str
    object: Literal["model"] = "model"
    state: Literal["unavailable"] = "unavailable"
    reason: str
    version: int
    versions: list[int]


class ModelList(BaseModel):
    data: list[Card | UnavailableCard]
    default: str | None


def make_card(shown: Shown, max_images: int) -> Card | UnavailableCard:
    model, versions = shown.model, list(shown.versions)
    if isinstance(model, Unavailable):
        return UnavailableCard(id=shown.id, reason=model.reason, version=model.version, versions=versions)
    manifest = model.bundle.manifest
    levels = [LevelCard(**level.model_dump(), group=level.group, kl_bits=level.kl_bits) for level in manifest.levels]
    return Card(
        id=shown.id,
        warning=shown.warning,
        version=model.version,
        versions=versions,
        digest=model.bundle.digest,
        family=manifest.family,
        summary=manifest.summary,
        dataset=manifest.dataset,
        image=manifest.image,
        likelihood=manifest.likelihood,
        prior=manifest.prior,
        levels=levels,
        groups=[_group(name, [levels[index] for index in indices]) for name, indices in manifest.groups.items()],
        latents=manifest.latents,
        examples=[
            ExampleCard(index=index, label=example.label, url=f"/v1/models/{shown.id}/examples/{index}")
            for index, example in enumerate(manifest.examples)
        ],
        metrics=list(manifest.metrics),
        limits=LimitsCard(max_images=max_images),
        provider=model.engine.provider,
        provenance=manifest.provenance.model_dump(mode="json"),
        exporter=manifest.exporter.model_dump(mode="json"),
        licence=manifest.licence,
        citation=manifest.citation,
    )


def _group(name: str, levels: list[LevelCard]) -> GroupCard:
    rates = [level.kl_bits for level in levels if level.kl_bits is not None]
    return GroupCard(
        name=name,
        height=levels[0].height,
        width=levels[0].width,
        levels=[level.index for level in levels],
        kl_bits=sum(rates) if len(rates) == len(levels) else None,
    )
