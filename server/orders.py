"""What an order is: something somebody wants that takes many images, whether they wait for it or send it as a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from server.models import Model
from server.recipe import Recipe, RecipeError, fault, part_of
from server.resolve import MAX_PIXELS, Resolved
from server.service import Stored
from server.studio import Studio


class Order(Protocol):
    """It knows what it costs before anything is made, and makes its answer from the images that a studio gives it."""

    @property
    def cost(self) -> int:
        """How many images the decoder makes for it, at most."""

    @property
    def offers(self) -> tuple[str, ...]:
        """The media types that it can be had in, the first by default."""

    async def make(self, studio: Studio, media_type: str) -> bytes:
        """The finished answer."""


async def one_image(studio: Studio, recipe: Recipe, index: int) -> tuple[Resolved, Stored]:
    """Image `index` of a recipe that stands in the document as "recipe"."""
    with part_of("recipe"):
        resolved, stored = await studio.settle(recipe)
    if index >= resolved.n:
        raise RecipeError([fault(f"The recipe has {resolved.n} images, counted from 0", "index")])
    return resolved.image(index), stored


def cost_of(recipes: Sequence[Resolved]) -> int:
    """How many images the decoder makes for these recipes, at most."""
    return sum(recipe.decodes for recipe in recipes)


def too_many(cost: int, limit: int, fits: str, *location: str) -> RecipeError:
    """The refusal of an order that costs too much, with what `fits`, and the field that would have to be less."""
    detail = f"This takes {cost} images, and {limit} may be made at once; {fits}"
    return RecipeError([fault(detail, *location)])


def check_pixels(model: Model, scale: int, images: int, *location: str) -> None:
    """Raises RecipeError where so many images, each enlarged, are more than an answer may hold."""
    shape = model.bundle.manifest.image
    if images * shape.height * shape.width * scale**2 > MAX_PIXELS:
        raise RecipeError([fault(f"All images together may have {MAX_PIXELS} pixels", *location)])
