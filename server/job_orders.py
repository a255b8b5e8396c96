"""Jobs as orders: a sample too large for one request, and a morph. (Inspections are orders already.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from server.animation import MEDIA_TYPES, NO_VIDEO, animate, has_video
from server.answers import JSON, NPZ, PNG, npz, one_png, sample_answer
from server.inspect_orders import inspection
from server.job_request import AnyJob, InspectJob, MorphJob, SampleJob
from server.models import Model
from server.morph import Frame, Keyframe, Morph, frame_count, frames, morph_faults, plain
from server.orders import Order, check_pixels, too_many
from server.permalink import canonical_list
from server.plan import Floats
from server.png import MODEL_KEY, Pixels
from server.recipe import RecipeError, fault, part_of
from server.resolve import Resolved
from server.sample import Sample
from server.service import Stored
from server.sources import LatentsSource
from server.studio import Studio

KEYFRAMES_KEY = "strata.keyframes"


async def order_of(studio: Studio, asked: AnyJob, limit: int) -> Order:
    """The order for a job. Raises RecipeError where it cannot be, or takes more than `limit` images."""
    if isinstance(asked, InspectJob):
        with part_of("inspect"):
            return await inspection(studio, asked.inspect, limit)
    if isinstance(asked, SampleJob):
        return await _sample(studio, asked, limit)
    return await _morph(studio, asked, limit)


def media_type_of(asked: AnyJob) -> str:
    return MEDIA_TYPES[asked.format] if isinstance(asked, MorphJob) else asked.media_type


# --- samples ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SampleOrder:
    recipe: Resolved
    stored: Stored

    offers = (JSON, PNG, NPZ)

    @property
    def cost(self) -> int:
        return self.recipe.decodes

    async def make(self, studio: Studio, media_type: str) -> bytes:
        alone = await studio.beside(self.each)
        images = await studio.images(alone, self.stored)
        return await studio.beside(self.answer, studio.model, images, studio.elapsed_ms, media_type)

    def each(self) -> list[Resolved]:
        """The recipe of each image alone."""
        return [self.recipe.image(index) for index in range(self.recipe.n)]

    def answer(self, model: Model, images: Pixels, decode_ms: float, media_type: str) -> bytes:
        if media_type == NPZ:
            return npz(model, self.recipe, Sample(images))
        if media_type == PNG:
            return one_png(model, self.recipe, images)
        sample = Sample(images, levels_computed=len(model.bundle.manifest.levels))
        return sample_answer(model, self.recipe, sample, decode_ms, decode_ms).model_dump_json().encode()


async def _sample(studio: Studio, asked: SampleJob, limit: int) -> SampleOrder:
    with part_of("recipe"):
        recipe, stored = await studio.settle(asked.recipe, max_images=limit)
    if recipe.output.include:
        detail = "A job keeps images only; `sample` answers with arrays"
        raise RecipeError([fault(detail, "recipe", "output", "include")])
    if recipe.decodes > limit:
        raise too_many(recipe.decodes, limit, f"n up to {limit * recipe.n // recipe.decodes} would fit", "recipe", "n")
    return SampleOrder(recipe, stored)


# --- morphs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MorphOrder:
    """A keyframe whose source does not say all of it is made first: its latents stand for it in frames between."""

    keyframes: tuple[Resolved, ...]
    asked: Morph
    model: Model
    stored: Stored
    cost: int = 0

    @property
    def offers(self) -> tuple[str, ...]:
        return (MEDIA_TYPES[self.asked.format],)

    async def make(self, studio: Studio, media_type: str) -> bytes:
        edited = [recipe for recipe in self.keyframes if not plain(recipe)]
        stored = dict(self.stored)
        ids = []
        if edited:
            for latents in await studio.latents(edited, self.stored):
                ids.append(studio.remember(latents))
                stored[ids[-1]] = latents
        made = await studio.beside(self.frames, ids)
        images = await studio.images([frame.recipe for frame in made], stored)
        work = partial(
            animate,
            images,
            [frame.seconds for frame in made],
            self.asked.format,
            self.asked.fps,
            self.asked.loop,
            self.asked.scale,
            {MODEL_KEY: self.model.id, KEYFRAMES_KEY: canonical_list(self.keyframes)},
        )
        return await studio.beside(work)

    def frames(self, ids: Sequence[str]) -> list[Frame]:
        """All frames; `ids` has the latents of each keyframe that was made first."""
        following = iter(ids)
        keyframes = [
            Keyframe(
                recipe=recipe,
                source=recipe.source if plain(recipe) else LatentsSource(latents=next(following), seed=recipe.seeds[0]),
            )
            for recipe in self.keyframes
        ]
        return frames(keyframes, self.asked, self.model.bundle.manifest)

    def counted(self) -> MorphOrder:
        """The same, knowing its cost."""
        any_ids = [f"{index:064x}" for index in range(len(self.keyframes))]
        first = sum(recipe.decodes for recipe in self.keyframes if not plain(recipe))
        return replace(self, cost=first + sum(frame.recipe.decodes for frame in self.frames(any_ids)))


async def _morph(studio: Studio, asked: MorphJob, limit: int) -> MorphOrder:
    if asked.format == "mp4" and not has_video():
        raise RecipeError([fault(NO_VIDEO, "format")])
    keyframes: list[Resolved] = []
    stored: dict[str, Floats] = {}
    for index, recipe in enumerate(asked.keyframes):
        with part_of("keyframes", index):
            resolved, latents = await studio.settle(recipe)
        keyframes.append(resolved)
        stored.update(latents)
    if faults := morph_faults(keyframes, asked, studio.model.bundle.manifest):
        raise RecipeError(faults)
    count = frame_count(len(keyframes), asked)
    if count > limit:
        raise too_many(count, limit, "fewer frames a second would fit", "fps")
    check_pixels(studio.model, asked.scale, count, "scale")
    order: MorphOrder = await studio.beside(MorphOrder(tuple(keyframes), asked, studio.model, stored).counted)
    if order.cost > limit:
        raise too_many(order.cost, limit, "fewer frames a second would fit", "fps")
    return order
