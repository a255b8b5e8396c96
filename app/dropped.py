"""A PNG dropped on the page: every one that the server makes carries its recipe, so it can be gone on with."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import Annotated, Literal

from PIL import Image
from pydantic import Field

from app.client import Recipe
from app.intents import Intent

MODEL, RECIPE = "strata.model", "strata.recipe"  # text chunks: docs/rest.md


class Restore(Intent):
    """Go on with the recipe of a PNG: a file of at most 8 MiB, in base64."""

    do: Literal["restore"]
    data: Annotated[str, Field(max_length=12 * 2**20)]


@dataclass(frozen=True)
class Carried:
    """What a PNG says of itself. Nobody has checked yet that the model is there and takes this recipe."""

    model: str
    recipe: Recipe


def carried(data: str) -> Carried | None:
    """What the file in base64 carries; nothing if it is no PNG or says nothing."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(data)), formats=["PNG"]) as image:
            texts: dict[str, str] = getattr(image, "text", {})
        recipe = json.loads(texts[RECIPE])
        return Carried(texts[MODEL], recipe) if isinstance(recipe, dict) else None
    except (OSError, SyntaxError, ValueError, KeyError, RecursionError, Image.DecompressionBombError):
        return None
