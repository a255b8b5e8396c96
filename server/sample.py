"""From a resolved recipe to images: plan, decode, and read the likelihood. The only caller of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from server.engine import Engine
from server.likelihood import mean_image, sample_image, uniforms_per_pixel
from server.noise import OUTPUT_LEVEL, uniform
from server.plan import Floats, Known, encoded_source, main_pass, noise_of, source_pass
from server.recipe import ArrayName, ExampleImage
from server.resolve import Reference, Resolved, references

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """n images [n, H, W, C], and the arrays [n, N] that were asked for."""

    images: Pixels
    arrays: Mapping[str, Floats] = field(default_factory=dict)


def sample(engine: Engine, examples: Pixels, recipe: Resolved, include: Sequence[ArrayName] = ()) -> Sample:
    """Make the images of a recipe. `examples` are the bundle's test images [E, H, W, C].

    Works through the images in batches that fit the engine, so that memory grows with n only by what is returned.
    """
    known = _find_out(engine, examples, recipe)
    images = []
    arrays: dict[str, list[Floats]] = {name: [] for name in include}
    for rows in engine.batches(recipe.n):
        decoded = engine.decode(main_pass(recipe, engine.manifest, known, rows), ("likelihood", *include))
        images.append(_images(engine, recipe, decoded["likelihood"], rows))
        for name in include:
            arrays[name].append(decoded[name])
    return Sample(np.concatenate(images), {name: np.concatenate(parts) for name, parts in arrays.items()})


def _find_out(engine: Engine, examples: Pixels, recipe: Resolved) -> Known:
    """Encode the examples that a recipe uses, and run the other images that its edits take levels from."""
    pairs = references(recipe)
    source = encoded_source(recipe)
    wanted = [image for image, _ in pairs if isinstance(image, ExampleImage)] + ([source] if source else [])
    latents: dict[Reference, Floats] = {}
    noise: dict[Reference, Floats] = {}
    encoded = [*dict.fromkeys(wanted)]
    for rows in engine.batches(len(encoded)):
        batch = [encoded[row] for row in rows]
        zeros = np.zeros((len(batch), engine.manifest.latents), np.float32)  # the posterior mean
        out = engine.encode(examples[[image.example for image in batch]], zeros, ("latents",))
        latents.update(zip(batch, out["latents"], strict=True))
    run = [image for image, space in pairs if (space == "noise") == isinstance(image, ExampleImage)]
    for rows in engine.batches(len(run)):
        work = source_pass(recipe, engine.manifest, [run[row] for row in rows], Known(latents))
        decoded = engine.decode(work, ("latents", "prior_mean", "prior_scale"))
        residual = noise_of(decoded["latents"], decoded["prior_mean"], decoded["prior_scale"])
        for index, row in enumerate(rows):
            latents[run[row]], noise[run[row]] = decoded["latents"][index], residual[index]
    return Known(latents, noise)


def _images(engine: Engine, recipe: Resolved, likelihood: Floats, rows: range) -> Pixels:
    kind, shape = engine.manifest.likelihood, engine.manifest.image
    if recipe.output.image == "mean":
        return mean_image(likelihood, kind, shape.channels)
    each = (uniforms_per_pixel(kind, shape.channels), shape.height, shape.width)
    uniforms = [uniform(recipe.seeds[i], OUTPUT_LEVEL, recipe.output.draw, int(np.prod(each))) for i in rows]
    return sample_image(likelihood, np.stack(uniforms).reshape(len(rows), *each), kind, shape.channels)
