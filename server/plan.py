"""From a resolved recipe to the arrays of a top-down pass: the only way in which anything is sampled.

The decoder computes z = given where keep, else mu + tau * sigma * eps. Sampling, temperatures, reconstruction,
swaps and style mixing are choices of these four arrays and nothing else, so no feature has a path of its own.
Where an edit needs the latents of another image, that image gets a pass first, planned here as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Level, Manifest
from server.noise import normal
from server.recipe import ExampleImage, SeedSource
from server.resolve import Reference, Resolved, ResolvedKeep, ResolvedSwap, reference

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pass:
    """The inputs of the decoder for B images: [B, N] `noise`, `given` and `keep`, [B, L] `temperature`."""

    noise: Floats
    given: Floats
    keep: NDArray[np.bool_]
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

    def rows(self, start: int, stop: int) -> Pass:
        rows = slice(start, stop)
        return Pass(self.noise[rows], self.given[rows], self.keep[rows], self.temperature[rows])

    def hold(self, row: int, level: Level, latents: Floats) -> None:
        """Set one level of one image to its part of `latents` [N]."""
        self.keep[row, _columns(level)] = True
        self.given[row, _columns(level)] = latents[_columns(level)]

    def draw(self, row: int, level: Level, noise: Floats, temperature: float) -> None:
        """Draw one level of one image from its prior with `noise` [C*H*W]."""
        self.noise[row, _columns(level)] = noise
        self.temperature[row, level.index] = temperature


@dataclass(frozen=True)
class Known:
    """What is known of other images before the main pass, [N] each: their latents z, their noise (z - mu) / sigma."""

    latents: Mapping[Reference, Floats] = field(default_factory=dict)
    noise: Mapping[Reference, Floats] = field(default_factory=dict)


def main_pass(recipe: Resolved, manifest: Manifest, known: Known, rows: range) -> Pass:
    """The pass that makes the images `rows` of a recipe.

    At each level the last edit that names it decides. Without one, an encoded source keeps the level if no edit
    keeps any (a reconstruction), and everything else is drawn from the prior.
    """
    work = Pass.blank(len(rows), manifest)
    encoded = encoded_source(recipe)
    reconstruct = not any(isinstance(edit, ResolvedKeep) for edit in recipe.edits)
    for level in manifest.levels:
        edit = next((edit for edit in reversed(recipe.edits) if level.index in edit.levels), None)
        change, temperature = recipe.change(level.index), recipe.temperature[level.index]
        for row, image in enumerate(rows):
            if isinstance(edit, ResolvedSwap):
                other = reference(edit, image)
                if edit.space == "latent":
                    work.hold(row, level, known.latents[other])
                elif isinstance(other, SeedSource):
                    work.draw(row, level, normal(other.seed, level.index, 0, level.size), temperature)
                else:  # the noise of a real image has its own size already
                    work.draw(row, level, known.noise[other][_columns(level)], 1.0)
            elif encoded is not None and (reconstruct or isinstance(edit, ResolvedKeep)):
                work.hold(row, level, known.latents[encoded])
            elif change.mode == "sample":
                noise = normal(recipe.seeds[image], level.index, change.draw, level.size)
                work.draw(row, level, noise, temperature)
    return work


def source_pass(recipe: Resolved, manifest: Manifest, images: Sequence[Reference], known: Known) -> Pass:
    """The pass of the images that edits refer to: seeds are drawn, with draw 0; encoded examples are all kept."""
    work = Pass.blank(len(images), manifest)
    for row, image in enumerate(images):
        for level in manifest.levels:
            if isinstance(image, SeedSource):
                noise = normal(image.seed, level.index, 0, level.size)
                work.draw(row, level, noise, recipe.temperature[level.index])
            else:
                work.hold(row, level, known.latents[image])
    return work


def encoded_source(recipe: Resolved) -> ExampleImage | None:
    """The encoded image that the recipe starts from, whatever seed its other levels are drawn with."""
    return ExampleImage(example=recipe.source.example) if isinstance(recipe.source, ExampleImage) else None


def noise_of(latents: Floats, prior_mean: Floats, prior_scale: Floats) -> Floats:
    """The noise (z - mu) / sigma that would draw these latents at temperature 1."""
    return (latents - prior_mean) / prior_scale


def _columns(level: Level) -> slice:
    return slice(level.offset, level.offset + level.size)
