"""The recipe: the one description of an image that the REST body, the permalink and the PNG have in common.

These models say what a recipe may look like; `resolve` says what it means for one model. Everything is strict:
"7" and true are no integers, NaN and infinity no temperatures, and a misspelt key is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import PydanticCustomError

MAX_SEED = 2**53 - 1  # the largest integer that every JSON reader keeps exactly
MAX_DRAW = 2**32 - 1
MAX_TEMPERATURE = 1.5
MAX_EDITS = 32


@dataclass(frozen=True)
class Fault:
    """One wrong field: where (a JSON pointer as URI fragment), a code for programs, a sentence for people."""

    pointer: str
    code: str
    detail: str


class RecipeError(ValueError):
    """A recipe that cannot be made into an image, with every fault found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in self.faults))


class MalformedError(ValueError):
    """Not JSON, or not a token, so there is no field to point to."""


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Draw = Annotated[int, Field(ge=0, le=MAX_DRAW)]
LevelIndex = Annotated[int, Field(ge=0)]
Temperature = Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)]
JsonList = Field(strict=False)  # a strict tuple would refuse the list that JSON gives; its items stay strict


def _choice(tags: dict[type, str], message: str) -> Discriminator:
    """Tell the members of a union apart by JSON type, so that an error speaks of the one that was meant."""
    return Discriminator(
        lambda value: tags.get(type(value)),
        custom_error_type="union",
        custom_error_message=message,
    )


# --- which levels ---------------------------------------------------------------------------------------------

Selector = Annotated[
    Annotated[tuple[LevelIndex, ...], Tag("<list>"), Field(min_length=1), JsonList] | Annotated[str, Tag("<name>")],
    _choice(
        {list: "<list>", tuple: "<list>", str: "<name>"},
        'Input should be a list of level numbers, a resolution such as "16x16" or a range such as "1x1..8x8"',
    ),
]


# --- sources ----------------------------------------------------------------------------------------------------


class SeedSource(Strict):
    """Drawn from the prior. As the source of n images, image i has seed + i."""

    seed: Seed


class SeedsSource(Strict):
    """Drawn from the prior, one seed an image."""

    seeds: tuple[Seed, ...] = Field(min_length=1, strict=False)


class ExampleImage(Strict):
    """One of the bundle's own test images, encoded to its posterior mean."""

    example: Annotated[int, Field(ge=0)]


class ExampleSource(ExampleImage):
    """A test image as the source of n images; levels that are not kept are drawn with seed + i."""

    seed: Seed = 0


SOURCES_LATER = ("image", "latents")


def _refuse_later_source(value: Any) -> Any:
    if isinstance(value, dict):
        for key in SOURCES_LATER:
            if key in value:
                raise PydanticCustomError(
                    "not_available", f"A source of the kind {key!r} is not available yet; use seed, seeds or example"
                )
    return value


def _source_kind(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, BaseModel) else ()
    return next((f"<{key}>" for key in ("seeds", "example", "seed") if key in keys), None)


_one_source = Discriminator(
    _source_kind,
    custom_error_type="union",
    custom_error_message='Input should be {"seed": ...}, {"seeds": [...]} or {"example": ...}',
)

Source = Annotated[
    Annotated[SeedSource, Tag("<seed>")]
    | Annotated[SeedsSource, Tag("<seeds>")]
    | Annotated[ExampleSource, Tag("<example>")],
    _one_source,
    BeforeValidator(_refuse_later_source),
]

EditSource = Annotated[
    Annotated[SeedSource, Tag("<seed>")]
    | Annotated[SeedsSource, Tag("<seeds>")]
    | Annotated[ExampleImage, Tag("<example>")],
    _one_source,
    BeforeValidator(_refuse_later_source),
]


# --- temperatures -------------------------------------------------------------------------------------------------


class Schedule(Strict):
    """Linear from the top level to the last one; both ends are reached."""

    schedule: Literal["linear"]
    start: Temperature = Field(alias="from")
    end: Temperature = Field(alias="to")


def _temperature_kind(value: Any) -> str | None:
    if isinstance(value, Schedule) or (isinstance(value, dict) and "schedule" in value):
        return "<schedule>"
    return {int: "<number>", float: "<number>", list: "<list>", tuple: "<list>", dict: "<map>"}.get(type(value))


Temperatures = Annotated[
    Annotated[Temperature, Tag("<number>")]
    | Annotated[tuple[Temperature, ...], Tag("<list>"), JsonList]
    | Annotated[dict[str, Temperature], Tag("<map>")]
    | Annotated[Schedule, Tag("<schedule>")],
    Discriminator(
        _temperature_kind,
        custom_error_type="union",
        custom_error_message="Input should be a number, a list with one number a level, a map by resolution "
        'or {"schedule": "linear", "from": ..., "to": ...}',
    ),
]


# --- levels, edits, output ------------------------------------------------------------------------------------------


class LevelChange(Strict):
    """How one level is drawn: a higher `draw` rolls it again, and nothing else; "mean" takes mu, without noise."""

    draw: Draw = 0
    mode: Literal["sample", "mean"] = "sample"


class Swap(Strict):
    """Take these levels from another image, drawn at this recipe's temperature with every draw 0.

    space "latent" copies z; "noise" copies (z - mu) / sigma and lets it act under the prior of the new image.
    """

    op: Literal["swap"] = "swap"
    levels: Selector
    source: EditSource
    space: Literal["latent", "noise"] = "latent"


class Keep(Strict):
    """Keep the posterior latents of an encoded source at these levels; levels that no edit keeps are drawn."""

    op: Literal["keep"] = "keep"
    levels: Selector


OPS_LATER = ("interpolate", "resample")


def _refuse_later_op(value: Any) -> Any:
    if isinstance(value, dict) and value.get("op") in OPS_LATER:
        raise PydanticCustomError("not_available", f"The edit {value['op']!r} is not available yet; use swap or keep")
    return value


def _op(value: Any) -> str | None:
    op = value.get("op") if isinstance(value, dict) else getattr(value, "op", None)
    return f"<{op}>" if op in ("swap", "keep") else None


Edit = Annotated[
    Annotated[Swap, Tag("<swap>")] | Annotated[Keep, Tag("<keep>")],
    Discriminator(_op, custom_error_type="union", custom_error_message='Input should have "op": "swap" or "keep"'),
    BeforeValidator(_refuse_later_op),
]


ArrayName = Literal["latents", "prior_mean", "prior_scale"]


class Output(Strict):
    """What is made of p(x|z): its mean, or a sample whose noise is one more level, with its own `draw`.

    `scale` enlarges PNGs by whole numbers; `layout` "grid" adds a contact sheet; `include` adds arrays to npz.
    """

    image: Literal["mean", "sample"] = "mean"
    draw: Draw = 0
    format: Literal["png"] = "png"
    scale: Annotated[int, Field(ge=1, le=32)] = 1
    layout: Literal["images", "grid"] = "images"
    include: tuple[ArrayName, ...] = Field(default=(), strict=False)


class Recipe(Strict):
    """Everything that decides what the images look like. Without a source the server draws a seed and returns it."""

    recipe_version: Annotated[int, Field(ge=1, le=1)] = 1
    source: Source | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    temperature: Temperatures = 1.0
    levels: dict[str, LevelChange] = {}
    edits: tuple[Edit, ...] = Field(default=(), max_length=MAX_EDITS, strict=False)
    output: Output = Output()


def parse(content: bytes) -> Recipe:
    """Read a recipe from JSON text. Raises MalformedError when it is not JSON, RecipeError when it is no recipe."""
    try:
        return Recipe.model_validate_json(content)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        if faults[0]["type"] == "json_invalid":
            raise MalformedError(faults[0]["msg"]) from None
        raise RecipeError([Fault(pointer(fault["loc"]), fault["type"], fault["msg"]) for fault in faults]) from None


def pointer(location: Sequence[str | int]) -> str:
    """JSON pointer (RFC 6901, section 6) of a place in the document, such as "#/edits/0/levels".

    The tags that tell union members apart, written <so>, are no part of the document and are left out.
    """
    parts = [str(part) for part in location]
    plain = [part for part in parts if not (part.startswith("<") and part.endswith(">"))]
    return "#" + "".join("/" + quote(part.replace("~", "~0").replace("/", "~1"), safe="~") for part in plain)
