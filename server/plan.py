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
from server.noise import Address, Words, normals
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

    @classmethod
    def join(cls, passes: Sequence[Pass]) -> Pass:
        """Passes of some images each, as one of all."""
        if len(passes) == 1:
            return passes[0]
        return cls(
            noise=np.concatenate([work.noise for work in passes]),
            given=np.concatenate([work.given for work in passes]),
            keep=np.concatenate([work.keep for work in passes]),
            temperature=np.concatenate([work.temperature for work in passes]),
        )

    def __len__(self) -> int:
        return len(self.noise)

    def copy(self) -> Pass:
        return Pass(self.noise.copy(), self.given.copy(), self.keep.copy(), self.temperature.copy())

    def rows(self, start: int, stop: int) -> Pass:
        rows = slice(start, stop)
        return Pass(self.noise[rows], self.given[rows], self.keep[rows], self.temperature[rows])

    def hold(self, row: int, levels: Sequence[Level], latents: Floats) -> None:
        """Set levels of one image to their parts of `latents` [N]."""
        for level in levels:
            self.keep[row, columns(level)] = True
            self.given[row, columns(level)] = latents[columns(level)]

    def draw(
        self, row: int, draws: Sequence[tuple[Level, int]], seed: int, temperature: Sequence[float], words: Words
    ) -> None:
        """Draw levels of one image from their priors, each with this draw of its noise, at its of L temperatures."""
        noise = normals(seed, [Address(level.index, draw, level.size) for level, draw in draws], words)
        if len(noise) == self.noise.shape[1]:  # every level, one after the other, as they lie
            self.noise[row] = noise
            self.temperature[row] = temperature
            return
        start = 0
        for level, _ in draws:
            self.noise[row, columns(level)] = noise[start : start + level.size]
            self.temperature[row, level.index] = temperature[level.index]
            start += level.size


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
    changes = [(level, recipe.change(level.index)) for level in manifest.levels]
    draws = [(level, change.draw) for level, change in changes if change.mode == "sample"]
    words = Words()
    for row, image in enumerate(rows):
        if recipe.encoded is not None and recipe.reconstructs:
            work.hold(row, manifest.levels, known.latents[recipe.encoded])
        else:
            work.draw(row, draws, recipe.seeds[image], recipe.temperature, words)
    return work


def source_pass(recipe: Resolved, manifest: Manifest, images: Sequence[Reference], known: Known) -> Pass:
    """The pass of the images that edits refer to: seeds are drawn, with draw 0; encoded images are all kept."""
    work, words = Pass.blank(len(images), manifest), Words()
    for row, image in enumerate(images):
        if isinstance(image, SeedSource):
            work.draw(row, [(level, 0) for level in manifest.levels], image.seed, recipe.temperature, words)
        else:
            work.hold(row, manifest.levels, known.latents[image])
    return work


def noise_of(latents: Floats, prior_mean: Floats, prior_scale: Floats) -> Floats:
    """The noise (z - mu) / sigma that would draw these latents at temperature 1."""
    return (latents - prior_mean) / prior_scale


def columns(level: Level) -> slice:
    """The place of a level in packed latents [N]."""
    return slice(level.offset, level.offset + level.size)
