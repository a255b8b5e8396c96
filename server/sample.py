"""From a resolved recipe to images: plan, decode, and read the likelihood. The only caller of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from server.compose import Seen, compose
from server.engine import Engine
from server.images import from_text
from server.likelihood import mean_image, sample_image, uniforms_per_pixel
from server.noise import OUTPUT_LEVEL, uniform
from server.plan import Floats, Known, Pass, noise_of, source_pass
from server.recipe import ArrayName
from server.resolve import Resolved, references
from server.sources import Encoded, ExampleImage, OwnImage, Reference, SeedSource

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """n images [n, H, W, C], the arrays [n, N] that were asked for, and for how many levels anything was computed."""

    images: Pixels
    arrays: Mapping[str, Floats] = field(default_factory=dict)
    levels_computed: int = 0  # of the image that needed most


def sample(
    engine: Engine,
    examples: Pixels,
    recipe: Resolved,
    include: Sequence[ArrayName] = (),
    stored: Mapping[str, Floats] | None = None,
) -> Sample:
    """Make the images of a recipe.

    `examples` are the bundle's test images [E, H, W, C], `stored` the latents [N] that the recipe names, by their id.
    Works through the images in batches that fit the engine, so that memory grows with n only by what is returned.
    """
    known = find_out(engine, examples, [recipe], stored or {})
    images, computed = [], 0
    arrays: dict[str, list[Floats]] = {name: [] for name in include}
    for rows in engine.batches(recipe.n):
        work = compose(recipe, engine.manifest, known, rows, lambda before: look(engine, before))
        decoded = engine.decode(work, ("likelihood", *include))
        computed = max(computed, *decoded.levels_computed)
        images.append(read_images(engine, recipe, decoded["likelihood"], rows))
        for name in include:
            arrays[name].append(decoded[name])
    return Sample(np.concatenate(images), {name: np.concatenate(parts) for name, parts in arrays.items()}, computed)


def sample_together(
    engine: Engine, examples: Pixels, recipes: Sequence[Resolved], stored: Sequence[Mapping[str, Floats]]
) -> list[Sample]:
    """The images of several recipes, at most `engine.max_batch` in all, decoded in one go; `stored` of each."""
    works = []
    for recipe, own in zip(recipes, stored, strict=True):
        known = find_out(engine, examples, [recipe], own)
        works.append(compose(recipe, engine.manifest, known, range(recipe.n), lambda before: look(engine, before)))
    decoded = engine.decode(Pass.join(works), ("likelihood",))
    made, stop = [], 0
    for recipe in recipes:
        start, stop = stop, stop + recipe.n
        images = read_images(engine, recipe, decoded["likelihood"][start:stop], range(recipe.n))
        made.append(Sample(images, levels_computed=max(decoded.levels_computed[start:stop])))
    return made


def look(engine: Engine, work: Pass) -> Seen:
    """What a pass makes, for edits that start from it."""
    decoded = engine.decode(work, ("latents", "prior_mean", "prior_scale"))
    return Seen(decoded["latents"], decoded["prior_mean"], decoded["prior_scale"])


def find_out(engine: Engine, examples: Pixels, recipes: Sequence[Resolved], stored: Mapping[str, Floats]) -> Known:
    """Encode the images that recipes of one temperature use, and run the other images that their edits refer to."""
    pairs = [*dict.fromkeys(pair for recipe in recipes for pair in references(recipe))]
    wanted = [image for image, _ in pairs if not isinstance(image, SeedSource)]
    encoded = [*dict.fromkeys([*wanted, *(recipe.encoded for recipe in recipes if recipe.encoded)])]
    latents = _encode(engine, examples, encoded, stored)
    noise: dict[Reference, Floats] = {}
    run = [image for image, space in pairs if (space == "noise") != isinstance(image, SeedSource)]
    for rows in engine.batches(len(run)):
        seen = look(engine, source_pass(recipes[0], engine.manifest, [run[row] for row in rows], Known(latents)))
        residual = noise_of(seen.latents, seen.prior_mean, seen.prior_scale)
        for index, row in enumerate(rows):
            latents[run[row]], noise[run[row]] = seen.latents[index], residual[index]
    return Known(latents, noise)


def _encode(
    engine: Engine, examples: Pixels, images: Sequence[Encoded], stored: Mapping[str, Floats]
) -> dict[Reference, Floats]:
    """The posterior mean of each image, [N]."""
    latents: dict[Reference, Floats] = {
        image: stored[image.latents] for image in images if not isinstance(image, ExampleImage | OwnImage)
    }
    seen = [image for image in images if image not in latents]
    for rows in engine.batches(len(seen)):
        batch = [seen[row] for row in rows]
        pixels = [
            examples[image.example]
            if isinstance(image, ExampleImage)
            else from_text(image.image, engine.manifest.image)
            for image in batch
            if isinstance(image, ExampleImage | OwnImage)
        ]
        zeros = np.zeros((len(batch), engine.manifest.latents), np.float32)  # the posterior mean
        out = engine.encode(np.stack(pixels), zeros, ("latents",))
        latents.update(zip(batch, out["latents"], strict=True))
    return latents


def read_images(engine: Engine, recipe: Resolved, likelihood: Floats, rows: range) -> Pixels:
    """The images `rows` of a recipe [B, H, W, C], from the raw parameters of p(x|z)."""
    kind, shape = engine.manifest.likelihood, engine.manifest.image
    if recipe.output.image == "mean":
        return mean_image(likelihood, kind, shape.channels)
    each = (uniforms_per_pixel(kind, shape.channels), shape.height, shape.width)
    uniforms = [uniform(recipe.seeds[i], OUTPUT_LEVEL, recipe.output.draw, int(np.prod(each))) for i in rows]
    return sample_image(likelihood, np.stack(uniforms).reshape(len(rows), *each), kind, shape.channels)
