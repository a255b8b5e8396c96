"""The arrays of a top-down pass, and where each image starts: drawn from the prior, or held as it was encoded.

The decoder computes z = given where keep, else mu + tau * sigma * eps. Sampling, temperatures, reconstruction and
every edit are choices of these four arrays and nothing else, so no feature has a path of its own. `compose` lets the
edits act on what starts here. Where an edit needs another image, that image gets a pass first, planned here as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Level, Manifest
from server.noise import normal
from server.resolve import Resolved
from server.sources import Reference, SeedSource

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Pass:
    """The inputs of the decoder for B images: [B, N] `noise`, `given` and `keep`, [B, L] `temperature`.

    Equal passes have equal arrays: `given` is 0 where nothing is kept, `noise` 0 where something is, and the
    temperature of a level that is kept whole is 0.
    """

    noise: Floats
    given: Floats
    keep: Bools
    temperature: Floats

    @classmethod
    def blank(cls, count: int, manifest: Manifest) -> Pass:
        """Keeps nothing and draws nothing: every level at its prior mean."""
        size = manifest.latents
        return cls(
            noise=np.zeros((count, size), np.float32),
            given=np.zeros((count, size), np.float32),
            keep=np.zeros((count, size), np.bool_),
            temperature=np.zeros((count, len(manifest.levels)), np.float32),
        )

    def __len__(self) -> int:
        return len(self.noise)

    def copy(self) -> Pass:
        return Pass(self.noise.copy(), self.given.copy(), self.keep.copy(), self.temperature.copy())

    def rows(self, start: int, stop: int) -> Pass:
        rows = slice(start, stop)
        return Pass(self.noise[rows], self.given[rows], self.keep[rows], self.temperature[rows])

    def hold(self, row: int, level: Level, latents: Floats) -> None:
        """Set one level of one image to its part of `latents` [N]."""
        self.keep[row, columns(level)] = True
        self.given[row, columns(level)] = latents[columns(level)]

    def draw(self, row: int, level: Level, noise: Floats, temperature: float) -> None:
        """Draw one level of one image from its prior with `noise` [C*H*W]."""
        self.noise[row, columns(level)] = noise
        self.temperature[row, level.index] = temperature


@dataclass(frozen=True)
class Known:
    """What is known of other images before the main pass, [N] each: their latents z, their noise (z - mu) / sigma."""

    latents: Mapping[Reference, Floats] = field(default_factory=dict)
    noise: Mapping[Reference, Floats] = field(default_factory=dict)


def start(recipe: Resolved, manifest: Manifest, known: Known, rows: range) -> Pass:
    """The pass of the images `rows` of a recipe before any edit.

    An encoded source is held at every level (a reconstruction), unless an edit says what to keep of it; everything
    else is drawn from the prior.
    """
    work = Pass.blank(len(rows), manifest)
    encoded = recipe.encoded
    for level in manifest.levels:
        change, temperature = recipe.change(level.index), recipe.temperature[level.index]
        for row, image in enumerate(rows):
            if encoded is not None and recipe.reconstructs:
                work.hold(row, level, known.latents[encoded])
            elif change.mode == "sample":
                noise = normal(recipe.seeds[image], level.index, change.draw, level.size)
                work.draw(row, level, noise, temperature)
    return work


def source_pass(recipe: Resolved, manifest: Manifest, images: Sequence[Reference], known: Known) -> Pass:
    """The pass of the images that edits refer to: seeds are drawn, with draw 0; encoded images are all kept."""
    work = Pass.blank(len(images), manifest)
    for row, image in enumerate(images):
        for level in manifest.levels:
            if isinstance(image, SeedSource):
                noise = normal(image.seed, level.index, 0, level.size)
                work.draw(row, level, noise, recipe.temperature[level.index])
            else:
                work.hold(row, level, known.latents[image])
    return work


def noise_of(latents: Floats, prior_mean: Floats, prior_scale: Floats) -> Floats:
    """The noise (z - mu) / sigma that would draw these latents at temperature 1."""
    return (latents - prior_mean) / prior_scale


def columns(level: Level) -> slice:
    """The place of a level in packed latents [N]."""
    return slice(level.offset, level.offset + level.size)
