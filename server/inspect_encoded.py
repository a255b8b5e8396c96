"""The inspections that start from an image that is encoded: where its bits go, and how many levels it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.answers import JSON, NPZ, PNG, pack_npz
from server.encode import Encoding
from server.images import from_text, to_text
from server.inspect_documents import describe_progressive, describe_rates, rate_arrays
from server.inspect_kl import rate_maps
from server.inspect_progressive import progressive, steps_of
from server.inspect_request import Progressive, RecipeImage, Subject
from server.models import Model
from server.orders import check_pixels, one_image, too_many
from server.permalink import canonical_list
from server.png import MODEL_KEY, Pixels, contact_sheet, encode
from server.recipe import Output, Recipe, RecipeError, fault, part_of
from server.resolve import Resolved
from server.service import Stored
from server.sources import EncodedSource, ExampleImage, ExampleSource, LatentsSource, OwnImage, OwnSource, SeedsSource
from server.studio import Studio


@dataclass(frozen=True)
class Settled:
    """The image that an inspection encodes: the source and pixels, or the recipe that makes them."""

    found: tuple[EncodedSource, Pixels] | None
    recipe: Resolved | None
    stored: Stored

    @property
    def cost(self) -> int:
        return 2 if self.recipe is None else 2 + self.recipe.decodes  # `encode` runs the model twice

    async def look(self, studio: Studio) -> tuple[EncodedSource, Pixels]:
        """The source of recipes that start from this image, and the image [H, W, C]."""
        if self.found is not None:
            return self.found
        assert self.recipe is not None  # it has one of the two
        (pixels,) = await studio.images([self.recipe], self.stored)
        return OwnSource(image=to_text(pixels)), pixels


@dataclass(frozen=True)
class RatesOrder:
    subject: Settled

    offers = (JSON, PNG, NPZ)

    @property
    def cost(self) -> int:
        return self.subject.cost

    async def make(self, studio: Studio, media_type: str) -> bytes:
        source, pixels = await self.subject.look(studio)
        encoding = await studio.encode(pixels)
        return await studio.beside(self.answer, studio.model, source, encoding, media_type)

    def answer(self, model: Model, source: EncodedSource, encoding: Encoding, media_type: str) -> bytes:
        rates = rate_maps(encoding.kl, model.bundle.manifest)
        if media_type == NPZ:
            arrays = {**rate_arrays(rates), "kl": encoding.kl, "pixels": encoding.image, "model": np.array(model.id)}
            return pack_npz(arrays)
        document = describe_rates(model, source, encoding, rates)
        return document.total.png if media_type == PNG else document.model_dump_json().encode()


@dataclass(frozen=True)
class ProgressiveOrder:
    subject: Settled
    asked: Progressive
    steps: tuple[int, ...]

    offers = (JSON, PNG, NPZ)

    @property
    def cost(self) -> int:
        return self.subject.cost + len(self.steps)

    async def make(self, studio: Studio, media_type: str) -> bytes:
        source, pixels = await self.subject.look(studio)
        encoding = await studio.encode(pixels)
        reconstruction = Resolved(
            source=source.model_copy(update={"seed": self.asked.seed}),
            n=1,
            temperature=(self.asked.temperature + 0.0,) * len(studio.model.bundle.manifest.levels),
            levels={},
            edits=(),
            output=Output(scale=self.asked.scale),
        )
        recipes = progressive(reconstruction, self.steps, self.asked.others)
        images = await studio.images(recipes, self.subject.stored)
        return await studio.beside(self.answer, studio.model, source, encoding, recipes, images, media_type)

    def answer(
        self,
        model: Model,
        source: EncodedSource,
        encoding: Encoding,
        recipes: Sequence[Resolved],
        images: Pixels,
        media_type: str,
    ) -> bytes:
        if media_type == PNG:
            return encode(contact_sheet(images), {MODEL_KEY: model.id}, self.asked.scale)
        steps = dict(zip(self.steps, recipes, strict=True))
        answer = describe_progressive(model, source, encoding, steps, images, self.asked.others)
        if media_type == NPZ:
            found = answer.steps
            return pack_npz(
                {
                    "image": encoding.image,
                    "pixels": images,
                    "kept": np.array(self.steps),
                    "bits": np.array([step.bits for step in found]),
                    "mse": np.array([step.mse for step in found]),
                    "psnr": np.array([np.inf if step.psnr is None else step.psnr for step in found]),
                    "recipes": np.array(canonical_list(recipes)),
                    "model": np.array(model.id),
                }
            )
        return answer.model_dump_json().encode()


async def progressive_order(studio: Studio, asked: Progressive, limit: int) -> ProgressiveOrder:
    steps = steps_of(asked.steps, studio.model.bundle.manifest)
    order = ProgressiveOrder(await settle_subject(studio, asked.subject), asked, steps)
    if order.cost > limit:
        fits = max(0, limit - order.subject.cost)
        raise too_many(order.cost, limit, f"a list of {fits} steps would fit", "steps")
    check_pixels(studio.model, asked.scale, len(steps), "scale")
    return order


async def settle_subject(studio: Studio, subject: Subject) -> Settled:
    manifest = studio.model.bundle.manifest
    if isinstance(subject, RecipeImage):
        with part_of("subject"):
            recipe, stored = await one_image(studio, subject.recipe, subject.index)
        return Settled(None, recipe, stored)
    source: EncodedSource
    if isinstance(subject, ExampleImage):
        source = ExampleSource(example=subject.example)
    elif isinstance(subject, OwnImage):
        source = OwnSource(image=subject.image)
    else:
        source = LatentsSource(latents=subject.latents)
    with part_of("subject", instead_of="source"):
        resolved, stored = await studio.settle(Recipe(source=source))
    settled = resolved.source
    assert not isinstance(settled, SeedsSource)  # what is encoded stays so
    if isinstance(settled, ExampleSource):
        return Settled((settled, np.asarray(studio.model.examples[settled.example])), None, stored)
    if isinstance(settled, OwnSource):
        return Settled((settled, from_text(settled.image, manifest.image)), None, stored)
    image = studio.encoded_image(settled.latents)
    if image is None:
        detail = "These latents were not encoded from an image, so they have no posterior; send the image or its recipe"
        raise RecipeError([fault(detail, "subject", "latents")])
    return Settled((settled, image), None, stored)
