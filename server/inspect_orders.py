"""Inspections as orders: what each takes to answer, and how its answer is made from images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.answers import JSON, NPZ, PNG, pack_npz
from server.inspect_documents import (
    describe_gallery,
    describe_ladder,
    describe_sensitivity,
)
from server.inspect_encoded import RatesOrder, progressive_order, settle_subject
from server.inspect_ladder import Row, cells, ladder, measure, rows_of
from server.inspect_request import (
    AnyInspect,
    Gallery,
    Ladder,
    Progressive,
    RateMaps,
    Sensitivity,
)
from server.inspect_sensitivity import Slope, slopes
from server.models import Model
from server.orders import Order, check_pixels, cost_of, one_image, too_many
from server.permalink import canonical, canonical_list
from server.plan import Floats
from server.png import MODEL_KEY, Pixels, encode
from server.recipe import RecipeError, fault, part_of
from server.resolve import Resolved
from server.resolve_edits import select
from server.service import Stored
from server.studio import Studio


async def inspection(studio: Studio, asked: AnyInspect, limit: int) -> Order:
    """The order for an inspection. Raises RecipeError where it cannot be, or takes more than `limit` images."""
    if isinstance(asked, Ladder):
        return await _ladder(studio, asked, limit)
    if isinstance(asked, RateMaps):
        return RatesOrder(await settle_subject(studio, asked.subject))
    if isinstance(asked, Progressive):
        return await progressive_order(studio, asked, limit)
    if isinstance(asked, Sensitivity):
        return await _sensitivity(studio, asked, limit)
    return await _gallery(studio, asked, limit)


# --- ladders ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LadderOrder:
    base: Resolved
    rows: Sequence[Row]
    show: int
    below: str
    stored: Stored
    cost: int

    offers = (JSON, PNG, NPZ)

    @property
    def recipes(self) -> list[Resolved]:
        """The base, then all cells, row by row."""
        return [self.base, *(cell for row in self.rows for cell in row.cells)]

    async def make(self, studio: Studio, media_type: str) -> bytes:
        pixels = await studio.images(self.recipes, self.stored)
        return await studio.beside(self.answer, studio.model, pixels, media_type)

    def answer(self, model: Model, pixels: Pixels, media_type: str) -> bytes:
        grid = pixels[1:].reshape(len(self.rows), -1, *pixels.shape[1:])
        if media_type == PNG:
            sheet = np.concatenate([np.concatenate([*row], axis=1) for row in grid[:, : max(1, self.show)]])
            return encode(sheet, {MODEL_KEY: model.id}, self.base.output.scale)
        changes = [measure(pixels[0], row) for row in grid]
        if media_type == NPZ:
            shown = (cell for row in self.rows for cell in row.cells[: self.show])
            return pack_npz(
                {
                    "base": pixels[0],
                    "cells": grid[:, : self.show],
                    "change": np.stack([change.change for change in changes]).astype(np.float32),
                    "deviation": np.stack([change.deviation for change in changes]).astype(np.float32),
                    "mean_change": np.array([change.mean for change in changes]),
                    "ink_moved": np.array(
                        [np.nan if change.ink_moved is None else change.ink_moved for change in changes]
                    ),
                    "levels": np.array([",".join(map(str, row.levels)) for row in self.rows]),
                    "recipes": np.array(canonical_list([self.base, *shown])),
                    "model": np.array(model.id),
                }
            )
        answer = describe_ladder(model, self.base, self.rows, pixels, changes, self.show, self.below)
        return answer.model_dump_json().encode()


async def _ladder(studio: Studio, asked: Ladder, limit: int) -> LadderOrder:
    base, stored = await one_image(studio, asked.recipe, asked.index)
    manifest = studio.model.bundle.manifest
    levels = rows_of(asked.rows, manifest)
    show = asked.draws if asked.show is None else min(asked.show, asked.draws)
    once = [cells(base, manifest, row, (0,), asked.below)[0] for row in levels]  # what one draw of every row costs
    cost = base.decodes + asked.draws * cost_of(once)
    if cost > limit:
        fits = (limit - base.decodes) // cost_of(once)
        other = f"{fits} draws a row would fit" if fits > 0 else f"about {limit * len(levels) // cost} rows would fit"
        raise too_many(cost, limit, other, "draws")
    check_pixels(studio.model, base.output.scale, len(levels) * max(1, show), "recipe", "output", "scale")
    rows = await studio.beside(ladder, base, manifest, levels, asked.draws, asked.first_draw, asked.below)
    return LadderOrder(base, rows, show, asked.below, stored, cost)


# --- sensitivity ------------------------------------------------------------------------------------------------------

NO_SLOPE = (
    "The latents of this model are 0 or 1: with the temperature its images change by jumps, and have no slope. "
    "A ladder shows what its levels do"
)


@dataclass(frozen=True)
class SensitivityOrder:
    base: Resolved
    slopes: tuple[Slope, ...]
    stored: Stored

    offers = (JSON, NPZ)

    @property
    def recipes(self) -> list[Resolved]:
        return [recipe for slope in self.slopes for recipe in slope.recipes]

    @property
    def cost(self) -> int:
        return cost_of(self.recipes)

    async def make(self, studio: Studio, media_type: str) -> bytes:
        values = await studio.means(self.recipes, self.stored)
        return await studio.beside(self.answer, studio.model, values, media_type)

    def answer(self, model: Model, values: NDArray[np.float64], media_type: str) -> bytes:
        changes = np.stack(
            [slope.per_tenth(values[2 * index : 2 * index + 2]) for index, slope in enumerate(self.slopes)]
        )
        document = describe_sensitivity(model, self.base, self.slopes, changes)
        if media_type == NPZ:
            return pack_npz(
                {
                    "levels": np.array([slope.level for slope in self.slopes]),
                    "change": np.array([level.change for level in document.levels]),
                    "maps": changes.mean(axis=3).astype(np.float32),
                    "recipe": np.array(canonical(self.base)),
                    "model": np.array(model.id),
                }
            )
        return document.model_dump_json().encode()


async def _sensitivity(studio: Studio, asked: Sensitivity, limit: int) -> SensitivityOrder:
    manifest = studio.model.bundle.manifest
    if manifest.prior == "bernoulli":
        raise RecipeError([fault(NO_SLOPE, "kind")])
    base, stored = await one_image(studio, asked.recipe, asked.index)
    try:
        levels = select(asked.levels, manifest) if asked.levels is not None else range(len(manifest.levels))
    except ValueError as error:
        raise RecipeError([fault(str(error), "levels")]) from None
    order = SensitivityOrder(base, slopes(base, levels, asked.step), stored)
    if order.cost > limit:
        raise too_many(order.cost, limit, f"{limit * len(levels) // order.cost} levels would fit", "levels")
    return order


# --- galleries --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GalleryOrder:
    recipes: tuple[Resolved, ...]
    stored: Stored

    offers = (JSON, NPZ)

    @property
    def cost(self) -> int:
        return cost_of(self.recipes)

    async def make(self, studio: Studio, media_type: str) -> bytes:
        alone = [recipe.image(index) for recipe in self.recipes for index in range(recipe.n)]
        pixels = await studio.images(alone, self.stored)
        return await studio.beside(self.answer, studio.model, pixels, media_type)

    def answer(self, model: Model, pixels: Pixels, media_type: str) -> bytes:
        if media_type == NPZ:
            recipes = np.array(canonical_list(self.recipes))
            return pack_npz({"pixels": pixels, "recipes": recipes, "model": np.array(model.id)})
        return describe_gallery(model, self.recipes, pixels).model_dump_json().encode()


async def _gallery(studio: Studio, asked: Gallery, limit: int) -> GalleryOrder:
    recipes: list[Resolved] = []
    stored: dict[str, Floats] = {}
    for index, recipe in enumerate(asked.recipes):
        with part_of("recipes", index):
            resolved, latents = await studio.settle(recipe)
        recipes.append(resolved)
        stored.update(latents)
    order = GalleryOrder(tuple(recipes), stored)
    if order.cost > limit:
        raise too_many(order.cost, limit, f"{limit * len(recipes) // order.cost} such recipes would fit", "recipes")
    images = sum(recipe.n for recipe in recipes)
    check_pixels(studio.model, max(recipe.output.scale for recipe in recipes), images, "recipes")
    return order
