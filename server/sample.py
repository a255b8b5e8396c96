"""From a resolved recipe to images: plan, decode, and read the likelihood. The only caller of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from server.engine import DecoderOutput, Engine
from server.likelihood import mean_image, sample_image, uniforms_per_pixel
from server.noise import OUTPUT_LEVEL, uniform
from server.plan import Floats, Known, encoded_source, main_pass, noise_of, source_pass
from server.recipe import ExampleImage
from server.resolve import Reference, Resolved, references

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """n images [n, H, W, C], and the arrays [n, N] that the recipe includes."""

    images: Pixels
    arrays: Mapping[str, Floats] = field(default_factory=dict)


def sample(engine: Engine, examples: Pixels, recipe: Resolved) -> Sample:
    """Make the images of a recipe. `examples` are the bundle's test images [E, H, W, C].

    Works through the images in batches that fit the engine, so memory does not grow with n unless arrays are kept.
    """
    known = _find_out(engine, examples, recipe)
    outputs: tuple[DecoderOutput, ...] = ("likelihood", *recipe.output.include)
    images, arrays = [], []
    for start in range(0, recipe.n, engine.max_batch):
        rows = range(start, min(start + engine.max_batch, recipe.n))
        decoded = engine.decode(main_pass(recipe, engine.manifest, known, rows), outputs)
        images.append(_images(engine, recipe, decoded["likelihood"], rows))
        arrays.append([decoded[name] for name in recipe.output.include])
    kept: dict[str, Floats] = {
        name: np.concatenate([part[i] for part in arrays]) for i, name in enumerate(recipe.output.include)
    }
    return Sample(np.concatenate(images), kept)


def _find_out(engine: Engine, examples: Pixels, recipe: Resolved) -> Known:
    """Encode the examples a recipe uses, and run the other images that its edits take levels from."""
    manifest = engine.manifest
    pairs = references(recipe)
    source = encoded_source(recipe)
    encoded = [image for image, _ in pairs if isinstance(image, ExampleImage)] + ([source] if source else [])
    encoded = [*dict.fromkeys(encoded)]
    latents: dict[Reference, Floats] = {}
    if encoded:
        pixels = examples[[image.example for image in encoded]]
        mean = engine.encode(pixels, np.zeros((len(encoded), manifest.latents), np.float32), ("latents",))
        latents.update(zip(encoded, mean["latents"], strict=True))
    run = [image for image, space in pairs if (space == "noise") == isinstance(image, ExampleImage)]
    if not run:
        return Known(latents)
    work = source_pass(recipe, manifest, run, Known(latents))
    decoded = engine.decode(work, ("latents", "prior_mean", "prior_scale"))
    noise = noise_of(decoded["latents"], decoded["prior_mean"], decoded["prior_scale"])
    latents.update(zip(run, decoded["latents"], strict=True))
    return Known(latents, dict(zip(run, noise, strict=True)))


def _images(engine: Engine, recipe: Resolved, likelihood: Floats, rows: range) -> Pixels:
    kind, shape = engine.manifest.likelihood, engine.manifest.image
    if recipe.output.image == "mean":
        return mean_image(likelihood, kind, shape.channels)
    each = (uniforms_per_pixel(kind, shape.channels), shape.height, shape.width)
    uniforms = [uniform(recipe.seeds[i], OUTPUT_LEVEL, recipe.output.draw, int(np.prod(each))) for i in rows]
    return sample_image(likelihood, np.stack(uniforms).reshape(len(rows), *each), kind, shape.channels)
