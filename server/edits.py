"""The edits of a recipe. They act in order, each on the images that those before it left.

A resolved edit has its levels as numbers; the other choices are the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, SerializerFunctionWrapHandler, Tag, model_serializer, model_validator

from server.fields import Draw, JsonList, LevelIndex, Strict, Temperature, by_type
from server.sources import EditSource, SeedSource, SeedsSource

MAX_MASK = 256  # pixels of a mask's side

Selector = Annotated[
    Annotated[tuple[LevelIndex, ...], Tag("<list>"), Field(min_length=1), JsonList] | Annotated[str, Tag("<name>")],
    by_type(
        {list: "<list>", tuple: "<list>", str: "<name>"},
        'Input should be a list of level numbers, a resolution such as "16x16" or a range such as "1x1..8x8"',
    ),
]

Space = Literal["latent", "noise"]


class Mask(Strict):
    """A square of `resolution` rows of as many characters: 1 where the edit acts, 0 where all stays as it is.

    It lies over the whole image. An element of a level belongs to it where its area touches a pixel that is 1: on a
    finer grid that is nearest neighbour, on a coarser one any pixel.
    """

    resolution: Annotated[int, Field(ge=1, le=MAX_MASK)]
    rows: tuple[Annotated[str, Field(pattern="^[01]+$")], ...] = Field(strict=False)

    @model_validator(mode="after")
    def _square(self) -> Mask:
        if len(self.rows) != self.resolution or any(len(row) != self.resolution for row in self.rows):
            raise ValueError(f"a mask of resolution {self.resolution} has as many rows, each as long")
        return self


class EditBase(Strict):
    levels: Selector

    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An edit without a mask has the text, and so the id, that it had before there were masks."""
        return {name: value for name, value in serialise(self).items() if value is not None}


class FromSource(EditBase):
    """An edit that takes something from another image; a seed there is drawn as this recipe is, with every draw 0."""

    source: EditSource
    space: Space = "latent"

    @property
    def drawn(self) -> bool:
        """Whether the other image is drawn from the prior, and so has noise without running the model."""
        return isinstance(self.source, SeedSource | SeedsSource)


class Swap(FromSource):
    """Take these levels from another image.

    space "latent" copies z; "noise" copies (z - mu) / sigma and lets it act under the prior of the new image.
    """

    op: Literal["swap"] = "swap"
    mask: Mask | None = None


class Resample(EditBase):
    """Draw these levels again from their prior, with the image's own seed and this draw.

    "mean" takes mu, without noise. `temperature` is this recipe's own at each level, if left out.
    """

    op: Literal["resample"] = "resample"
    draw: Draw = 0
    mode: Literal["sample", "mean"] = "sample"
    temperature: Temperature | None = None
    mask: Mask | None = None


class Interpolate(FromSource):
    """Go the part `alpha` of the way to another image: 0 changes nothing, 1 is a swap in the same space.

    space "latent" mixes z linearly and holds it; "noise" mixes (z - mu) / sigma spherically and draws with it.
    """

    op: Literal["interpolate"] = "interpolate"
    alpha: Annotated[float, Field(ge=0, le=1)]


class Keep(EditBase):
    """Keep the posterior latents of an encoded source at these levels; levels that no edit keeps are drawn."""

    op: Literal["keep"] = "keep"
    mask: Mask | None = None


def _op(value: Any) -> str | None:
    op = value.get("op") if isinstance(value, dict) else getattr(value, "op", None)
    return f"<{op}>" if op in ("swap", "resample", "interpolate", "keep") else None


Edit = Annotated[
    Annotated[Swap, Tag("<swap>")]
    | Annotated[Resample, Tag("<resample>")]
    | Annotated[Interpolate, Tag("<interpolate>")]
    | Annotated[Keep, Tag("<keep>")],
    Discriminator(
        _op,
        custom_error_type="union",
        custom_error_message='Input should have "op": "swap", "resample", "interpolate" or "keep"',
    ),
]


class ResolvedSwap(Swap):
    levels: tuple[int, ...]


class ResolvedResample(Resample):
    levels: tuple[int, ...]


class ResolvedInterpolate(Interpolate):
    levels: tuple[int, ...]


class ResolvedKeep(Keep):
    levels: tuple[int, ...]


ResolvedEdit = ResolvedSwap | ResolvedResample | ResolvedInterpolate | ResolvedKeep
