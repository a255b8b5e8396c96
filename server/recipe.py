"""The recipe: the one description of an image that the REST body, the permalink and the PNG have in common.

These models, with those of `sources` and `edits`, say what a recipe may look like; `resolve` says what it means for
one model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError

from server.edits import Edit, FromSource
from server.fields import Draw, JsonList, Strict, Temperature
from server.sources import EditSource, Source

MAX_EDITS = 32

Parsed = TypeVar("Parsed")


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

    def __reduce__(self) -> tuple[type[RecipeError], tuple[object, ...]]:
        return type(self), (self.faults,)  # it may come from a replica


class MalformedError(ValueError):
    """Not JSON, or not a token, so there is no field to point to."""


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


# --- levels, output ------------------------------------------------------------------------------------------


class LevelChange(Strict):
    """How one level is drawn: a higher `draw` rolls it again, and nothing else; "mean" takes mu, without noise."""

    draw: Draw = 0
    mode: Literal["sample", "mean"] = "sample"


UNCHANGED = LevelChange()

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


def sources(recipe: Recipe) -> list[Source | EditSource]:
    """Every source that a recipe names, its own first."""
    own = [] if recipe.source is None else [recipe.source]
    return [*own, *(edit.source for edit in recipe.edits if isinstance(edit, FromSource))]


_RECIPE = TypeAdapter(Recipe)


def parse(content: bytes) -> Recipe:
    """Read a recipe from JSON text. Raises MalformedError when it is not JSON, RecipeError when it is no recipe."""
    return parse_as(_RECIPE, content)


def parse_as(kind: TypeAdapter[Parsed], content: bytes) -> Parsed:
    """The same for whatever else is sent as JSON."""
    try:
        return kind.validate_json(content)
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


@contextmanager
def part_of(*location: str | int, instead_of: str = "") -> Iterator[None]:
    """Faults of a recipe inside a larger document, pointed to from its top. The part of the recipe that stands there
    by itself, `instead_of` the whole, is left out of the pointer."""
    try:
        yield
    except RecipeError as error:
        inner = "#/" + instead_of if instead_of else "#"
        moved = [replace(f, pointer=pointer(location) + f.pointer.removeprefix(inner)) for f in error.faults]
        raise RecipeError(moved) from None


def fault(detail: str, *location: str | int) -> Fault:
    """A choice that is well written, but does not fit this model."""
    return Fault(pointer(location), "does_not_fit", detail)
