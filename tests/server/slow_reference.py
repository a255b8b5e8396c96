"""DESIGN.md's one rule, as slowly and obviously as possible, and a decoder of plain arithmetic to try it on.

Here every latent element is either held at a value or drawn with its own noise tau * eps, one image after the other:
no packed arrays, no temperature of a level, no batch. What the server makes must be this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Level, Manifest
from server.chain import Decoded, DecoderOutput
from server.images import from_text
from server.noise import normal
from server.plan import Pass
from server.resolve import Resolved

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Element:
    """One latent number: held at `value`, or drawn as mu + sigma * value."""

    kind: Literal["held", "drawn"]
    value: float


Image = list[list[Element]]  # of each level, in its order


# --- a decoder and an encoder of plain arithmetic -------------------------------------------------------------------


def prior(state: float, size: int) -> Iterator[tuple[float, float]]:
    """mu and sigma of each element of a level, given what the levels above left."""
    for place in range(size):
        yield math.sin(state + 0.7 * place), math.exp(0.5 * math.cos(3 * state + place))


def posterior(pixels: NDArray[np.uint8], count: int) -> list[float]:
    """The latents of an image, in packed order."""
    key = float(pixels.astype(np.float64).sum()) / 1000
    return [math.sin(key + 1.3 * place) for place in range(count)]


@dataclass(frozen=True)
class PlainEngine:
    """What `server.engine.Engine` does, for the plain decoder and encoder."""

    manifest: Manifest
    max_batch: int = 2

    def batches(self, count: int) -> Iterator[range]:
        return (range(i, min(i + self.max_batch, count)) for i in range(0, count, self.max_batch))

    def encode(self, images: NDArray[np.uint8], noise: Floats, outputs: tuple[str, ...]) -> dict[str, Floats]:
        assert not noise.any()
        assert outputs == ("latents",)
        latents = [posterior(image, self.manifest.latents) for image in images]
        return {"latents": np.array(latents, np.float32)}

    def decode(self, work: Pass, outputs: tuple[DecoderOutput, ...]) -> Decoded:
        packed: tuple[DecoderOutput, ...] = ("latents", "prior_mean", "prior_scale")
        made = {name: np.zeros(work.noise.shape, np.float32) for name in packed}
        for row in range(len(work)):
            state = 0.0
            for level in self.manifest.levels:
                for place, (mean, scale) in enumerate(prior(state, level.size), level.offset):
                    tau = work.temperature[row, level.index]
                    drawn = mean + tau * scale * work.noise[row, place]
                    made["prior_mean"][row, place], made["prior_scale"][row, place] = mean, scale
                    made["latents"][row, place] = work.given[row, place] if work.keep[row, place] else drawn
                z = made["latents"][row, level.offset : level.offset + level.size]
                state += math.tanh(float(z.astype(np.float64).mean()))
        shape = self.manifest.image
        made["likelihood"] = np.zeros((len(work), 1, shape.height, shape.width), np.float32)
        return Decoded({name: made[name] for name in outputs}, [len(self.manifest.levels)] * len(work))


# --- the rule, element by element -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """Makes the latents of one image of a resolved recipe."""

    recipe: Resolved
    manifest: Manifest
    examples: NDArray[np.uint8]
    stored: dict[str, Floats]

    def latents(self, index: int) -> list[float]:
        """z of image `index`, in packed order."""
        image = self.start(index)
        for edit in self.recipe.model_dump(mode="json", by_alias=True)["edits"]:
            image = self.edit(image, edit, index)
        return [z for level in self.run(image) for z, _, _ in level]

    def run(self, image: Image) -> list[list[tuple[float, float, float]]]:
        """z, mu and sigma of every element of every level."""
        state, made = 0.0, []
        for level, elements in zip(self.manifest.levels, image, strict=True):
            made.append(
                [
                    (e.value if e.kind == "held" else mean + scale * e.value, mean, scale)
                    for e, (mean, scale) in zip(elements, prior(state, level.size), strict=True)
                ]
            )
            state += math.tanh(sum(z for z, _, _ in made[-1]) / level.size)
        return made

    def start(self, index: int) -> Image:
        source = self.recipe.model_dump(mode="json", by_alias=True)["source"]
        if "seeds" not in source and not any(edit.op == "keep" for edit in self.recipe.edits):
            return self.held(self.encode(source))
        image = []
        for level in self.manifest.levels:
            change = self.recipe.change(level.index)
            tau = 0.0 if change.mode == "mean" else self.recipe.temperature[level.index]
            image.append(self.drawn(self.recipe.seeds[index], level, change.draw, tau))
        return image

    def encode(self, source: dict[str, Any]) -> list[float]:
        if "latents" in source:
            return [float(z) for z in self.stored[source["latents"]]]
        if "example" in source:
            return posterior(self.examples[source["example"]], self.manifest.latents)
        return posterior(from_text(source["image"], self.manifest.image), self.manifest.latents)

    def held(self, latents: list[float]) -> Image:
        return [
            [Element("held", z) for z in latents[level.offset : level.offset + level.size]]
            for level in self.manifest.levels
        ]

    def drawn(self, seed: int, level: Level, draw: int, tau: float) -> list[Element]:
        return [Element("drawn", tau * float(eps)) for eps in normal(seed, level.index, draw, level.size)]

    def other(self, source: dict[str, Any], index: int) -> Image:
        """The image that an edit refers to."""
        if "seeds" in source or "seed" in source:
            seed = source["seeds"][index] if "seeds" in source else source["seed"]
            return [self.drawn(seed, level, 0, self.recipe.temperature[level.index]) for level in self.manifest.levels]
        return self.held(self.encode(source))

    def as_held(self, image: Image) -> Image:
        return [[Element("held", z) for z, _, _ in level] for level in self.run(image)]

    def as_drawn(self, image: Image) -> Image:
        """The same image, held elements replaced by the noise that would draw them."""
        return [
            [
                e if e.kind == "drawn" else Element("drawn", (z - mean) / scale)
                for e, (z, mean, scale) in zip(elements, made, strict=True)
            ]
            for elements, made in zip(image, self.run(image), strict=True)
        ]

    def edit(self, image: Image, edit: dict[str, Any], index: int) -> Image:
        if edit["op"] == "keep":
            new = self.held(self.encode(self.recipe.model_dump(mode="json", by_alias=True)["source"]))
        elif edit["op"] == "resample":
            new = []
            for level in self.manifest.levels:
                tau = 0.0 if edit["mode"] == "mean" else edit.get("temperature", self.recipe.temperature[level.index])
                new.append(self.drawn(self.recipe.seeds[index], level, edit["draw"], tau))
        else:
            in_space = self.as_held if edit["space"] == "latent" else self.as_drawn
            new = in_space(self.other(edit["source"], index))
            if edit["op"] == "interpolate" and edit["alpha"] == 0:
                return image
            if edit["op"] == "interpolate" and edit["alpha"] < 1:
                mix = line if edit["space"] == "latent" else arc
                new = [mix(a, b, edit["alpha"]) for a, b in zip(in_space(image), new, strict=True)]
        return [
            [
                n if level.index in edit["levels"] and in_mask(edit.get("mask"), level, place) else o
                for place, (o, n) in enumerate(zip(old_elements, new_elements, strict=True))
            ]
            for level, old_elements, new_elements in zip(self.manifest.levels, image, new, strict=True)
        ]


def line(here: list[Element], there: list[Element], alpha: float) -> list[Element]:
    return [Element("held", (1 - alpha) * a.value + alpha * b.value) for a, b in zip(here, there, strict=True)]


def arc(here: list[Element], there: list[Element], alpha: float) -> list[Element]:
    a, b = [e.value for e in here], [e.value for e in there]
    length = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    angle = math.acos(max(-1, min(1, sum(x * y for x, y in zip(a, b, strict=True)) / length))) if length else 0.0
    first, second = 1 - alpha, alpha
    if math.sin(angle) >= 1e-6:
        first, second = (math.sin(part * angle) / math.sin(angle) for part in (first, second))
    return [Element("drawn", first * x + second * y) for x, y in zip(a, b, strict=True)]


def in_mask(mask: dict[str, Any] | None, level: Level, place: int) -> bool:
    """Whether the square of the image that element `place` stands for has a painted point."""
    if mask is None:
        return True
    row, column = divmod(place % (level.height * level.width), level.width)
    size = mask["resolution"]
    for y in range(size):
        for x in range(size):
            down = max(y / size, row / level.height) < min((y + 1) / size, (row + 1) / level.height) - 1e-9
            across = max(x / size, column / level.width) < min((x + 1) / size, (column + 1) / level.width) - 1e-9
            if down and across and mask["rows"][y][x] == "1":
                return True
    return False
