"""Where an image comes from: drawn from the prior by a seed, or encoded from an image that exists.

Each kind has two forms. The source of a recipe makes n images, and an encoded one says which seeds draw the levels
that are not kept; the source of an edit is one image (or one seed an image), and an encoded one is the image alone.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Tag

from server.fields import Seed, Strict, by_key


class SeedSource(Strict):
    """Drawn from the prior. As the source of n images, image i has seed + i."""

    seed: Seed


class SeedsSource(Strict):
    """Drawn from the prior, one seed an image."""

    seeds: tuple[Seed, ...] = Field(min_length=1, strict=False)


class ExampleImage(Strict):
    """One of the bundle's own test images, encoded to its posterior mean."""

    example: Annotated[int, Field(ge=0)]


class OwnImage(Strict):
    """An image of one's own, as base64 of a PNG, JPEG or WebP file, encoded to its posterior mean.

    The resolved recipe has it as PNG of the model's own size.
    """

    image: str = Field(min_length=1)


class StoredLatents(Strict):
    """Latents that the server has encoded before and still remembers, by the id that `encode` answered."""

    latents: str = Field(pattern="^[0-9a-f]{64}$")


class ExampleSource(ExampleImage):
    """A test image as the source of n images; levels that are not kept are drawn with seed + i."""

    seed: Seed = 0


class OwnSource(OwnImage):
    """An image of one's own as the source of n images; levels that are not kept are drawn with seed + i."""

    seed: Seed = 0


class LatentsSource(StoredLatents):
    """Latents encoded before as the source of n images; levels that are not kept are drawn with seed + i."""

    seed: Seed = 0


Encoded = ExampleImage | OwnImage | StoredLatents  # one image that has a posterior
EncodedSource = ExampleSource | OwnSource | LatentsSource
Reference = SeedSource | Encoded  # one image, as an edit refers to it

_one_source = by_key(
    ("seeds", "example", "image", "latents", "seed"),
    'Input should be {"seed": ...}, {"seeds": [...]}, {"example": ...}, {"image": ...} or {"latents": ...}',
)

Source = Annotated[
    Annotated[SeedSource, Tag("<seed>")]
    | Annotated[SeedsSource, Tag("<seeds>")]
    | Annotated[ExampleSource, Tag("<example>")]
    | Annotated[OwnSource, Tag("<image>")]
    | Annotated[LatentsSource, Tag("<latents>")],
    _one_source,
]

EditSource = Annotated[
    Annotated[SeedSource, Tag("<seed>")]
    | Annotated[SeedsSource, Tag("<seeds>")]
    | Annotated[ExampleImage, Tag("<example>")]
    | Annotated[OwnImage, Tag("<image>")]
    | Annotated[StoredLatents, Tag("<latents>")],
    _one_source,
]


def image_alone(source: EncodedSource) -> Encoded:
    """The encoded image that a source starts from, whatever seed its other levels are drawn with."""
    if isinstance(source, ExampleImage):
        return ExampleImage(example=source.example)
    if isinstance(source, OwnImage):
        return OwnImage(image=source.image)
    return StoredLatents(latents=source.latents)
