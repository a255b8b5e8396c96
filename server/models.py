"""The models that this server has: each bundle of the zoo, opened once, or the reason why it cannot be used."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_zoo.bundle import Bundle
from model_zoo.zoo import Entry, list_bundles
from server.engine import Engine, EngineError
from server.png import Pixels, read_image
from server.settings import Settings

log = logging.getLogger("strata.server")


@dataclass(frozen=True)
class Model:
    """A model ready to sample: its bundle, its sessions, and its test images [E, H, W, C]."""

    id: str
    bundle: Bundle
    engine: Engine
    examples: Pixels


@dataclass(frozen=True)
class Unavailable:
    """A bundle that is there but cannot be used."""

    id: str
    reason: str


def open_models(zoo: Path, settings: Settings) -> dict[str, Model | Unavailable]:
    """Verify and load every bundle under `zoo`. One that fails does not keep the others from serving."""
    models = {entry.id: _open(entry, settings) for entry in list_bundles(zoo)}
    for model in models.values():
        if isinstance(model, Unavailable):
            log.warning("model %s is unavailable: %s", model.id, model.reason)
    return models


def _open(entry: Entry, settings: Settings) -> Model | Unavailable:
    if entry.bundle is None:
        return Unavailable(entry.id, str(entry.reason))
    try:
        engine = Engine.open(entry.bundle, settings.provider, settings.threads, settings.max_batch)
        return Model(entry.id, entry.bundle, engine, _examples(entry.bundle))
    except (EngineError, OSError, ValueError) as error:
        return Unavailable(entry.id, str(error))


def _examples(bundle: Bundle) -> Pixels:
    image = bundle.manifest.image
    shape = (image.height, image.width, image.channels)
    examples = np.zeros((len(bundle.manifest.examples), *shape), np.uint8)
    for index, example in enumerate(bundle.manifest.examples):
        pixels = read_image(bundle.example(index), image.channels)
        if pixels.shape != shape:
            raise ValueError(f"{example.file} is {pixels.shape[0]}x{pixels.shape[1]}; expected {shape[0]}x{shape[1]}")
        examples[index] = pixels
    return examples
