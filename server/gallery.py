"""Many recipes of one model at once: the images of a grid, a curve or a film, decoded together.

Each image is the one that `sample` makes of its recipe, to the last bit: the same plan, the same edits, the same
reading of p(x|z). Only the batches are filled across recipes, and what several refer to is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from server.compose import compose
from server.engine import Engine
from server.likelihood import mean_values
from server.models import Model
from server.plan import Floats, Known, Pass
from server.resolve import Resolved
from server.sample import Pixels, find_out, look, read_images


def render(model: Model, recipes: Sequence[Resolved], stored: Mapping[str, Floats]) -> Pixels:
    """The images of K recipes of one image each, [K, H, W, C] uint8."""
    images = [
        read_images(model.engine, recipe, likelihood, range(1))
        for recipe, likelihood in _decode(model.engine, model.examples, recipes, stored)
    ]
    return np.concatenate(images)


def render_means(model: Model, recipes: Sequence[Resolved], stored: Mapping[str, Floats]) -> NDArray[np.float64]:
    """Their mean images before they are rounded to grey levels, [K, H, W, C], from 0 to 255."""
    manifest = model.engine.manifest
    images = [
        mean_values(likelihood, manifest.likelihood, manifest.image.channels)
        for _, likelihood in _decode(model.engine, model.examples, recipes, stored)
    ]
    return np.concatenate(images)


def render_latents(model: Model, recipes: Sequence[Resolved], stored: Mapping[str, Floats]) -> Floats:
    """Their latents, [K, N]."""
    engine = model.engine
    known = _known(engine, model.examples, recipes, stored)
    latents = []
    for rows in engine.batches(len(recipes)):
        work = Pass.join([_plan(engine, recipes[row], known) for row in rows])
        latents.append(engine.decode(work, ("latents",))["latents"])
    return np.concatenate(latents)


def _decode(
    engine: Engine, examples: Pixels, recipes: Sequence[Resolved], stored: Mapping[str, Floats]
) -> Iterator[tuple[Resolved, Floats]]:
    """Each recipe with its raw parameters of p(x|z), [1, P, H, W]."""
    known = _known(engine, examples, recipes, stored)
    for rows in engine.batches(len(recipes)):
        batch = [recipes[row] for row in rows]
        likelihood = engine.decode(Pass.join([_plan(engine, recipe, known) for recipe in batch]), ("likelihood",))
        yield from zip(batch, np.split(likelihood["likelihood"], len(batch)), strict=True)


KnownAt = Mapping[tuple[float, ...], Known]  # by temperature, which decides what another seed looks like


def _known(engine: Engine, examples: Pixels, recipes: Sequence[Resolved], stored: Mapping[str, Floats]) -> KnownAt:
    groups: dict[tuple[float, ...], list[Resolved]] = {}
    for recipe in recipes:
        groups.setdefault(recipe.temperature, []).append(recipe)
    return {temperature: find_out(engine, examples, group, stored) for temperature, group in groups.items()}


def _plan(engine: Engine, recipe: Resolved, known: KnownAt) -> Pass:
    return compose(recipe, engine.manifest, known[recipe.temperature], range(1), lambda before: look(engine, before))
