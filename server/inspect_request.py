"""What may be asked about the levels of a model: one strict request for each kind of question."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from server.edits import Selector
from server.fields import Draw, JsonList, Seed, Strict, Temperature, by_key, by_type
from server.recipe import Recipe
from server.sources import ExampleImage, OwnImage, StoredLatents

MAX_DRAWS = 256  # of one row of a ladder
MAX_ROWS = 1024  # of one ladder
MAX_RECIPES = 256  # of one gallery

Below = Literal["noise", "mean", "resample"]


class RecipeImage(Strict):
    """Image `index` of a recipe's n."""

    recipe: Recipe
    index: Annotated[int, Field(ge=0)] = 0


Subject = Annotated[
    Annotated[ExampleImage, Tag("<example>")]
    | Annotated[OwnImage, Tag("<image>")]
    | Annotated[StoredLatents, Tag("<latents>")]
    | Annotated[RecipeImage, Tag("<recipe>")],
    by_key(
        ("example", "image", "latents", "recipe"),
        'Input should be {"example": ...}, {"image": ...}, {"latents": ...} or {"recipe": ...}',
    ),
]

Rows = Annotated[
    Annotated[Literal["levels", "groups"], Tag("<name>")]
    | Annotated[tuple[Selector, ...], Tag("<list>"), Field(min_length=1, max_length=MAX_ROWS), JsonList],
    by_type(
        {str: "<name>", list: "<list>", tuple: "<list>"},
        'Input should be "levels", "groups" or a list of rows, each a list of level numbers or a resolution',
    ),
]

Steps = Annotated[
    Annotated[Literal["levels", "groups"], Tag("<name>")]
    | Annotated[tuple[Annotated[int, Field(ge=0)], ...], Tag("<list>"), Field(min_length=1), JsonList],
    by_type(
        {str: "<name>", list: "<list>", tuple: "<list>"},
        'Input should be "levels", "groups" or a list of how many levels to keep',
    ),
]


class Ladder(Strict):
    """What each level controls: one row a level, in which it is drawn again and all above it stays as it was.

    `below` says what happens to the levels below: "noise" keeps their noise, so that they adapt; "mean" takes their
    prior means; "resample" draws them again too. `rows` is "levels", "groups" (one row a resolution), or a list of
    rows. Each row measures `draws` images and shows the first `show` of them, all if left out. `first_draw` is the
    draw of the first column; left out, it is the first that the recipe does not use.
    """

    kind: Literal["ladder_grid"]
    recipe: Recipe = Recipe()
    index: Annotated[int, Field(ge=0)] = 0
    rows: Rows = "levels"
    draws: Annotated[int, Field(ge=1, le=MAX_DRAWS)] = 8
    show: Annotated[int, Field(ge=0, le=MAX_DRAWS)] | None = None
    first_draw: Draw | None = None
    below: Below = "noise"


class RateMaps(Strict):
    """Where the bits of an image go: KL(q || p) of every level, over the level's own grid."""

    kind: Literal["kl"]
    subject: Subject


class Progressive(Strict):
    """How many levels, and bits, an image needs: its reconstruction from the first k levels, for each k of `steps`.

    `steps` is "levels" (k = 0 to L), "groups" (ends of resolutions), or a list of k. The other levels take their
    prior means, or are drawn with `seed` at `temperature`.
    """

    kind: Literal["progressive"]
    subject: Subject
    steps: Steps = "levels"
    others: Literal["mean", "sample"] = "mean"
    temperature: Temperature = 1.0
    seed: Seed = 0
    scale: Annotated[int, Field(ge=1, le=32)] = 1


class Sensitivity(Strict):
    """How much the mean image of a recipe moves with the temperature of each level, by finite differences of `step`."""

    kind: Literal["sensitivity"]
    recipe: Recipe = Recipe()
    index: Annotated[int, Field(ge=0)] = 0
    levels: Selector | None = None
    step: Annotated[float, Field(ge=0.001, le=0.25)] = 0.05


class Gallery(Strict):
    """Several recipes at once, such as the matrix of a style mixing: what `sample` answers to each of them."""

    kind: Literal["gallery"]
    recipes: tuple[Recipe, ...] = Field(min_length=1, max_length=MAX_RECIPES, strict=False)


AnyInspect = Ladder | RateMaps | Progressive | Sensitivity | Gallery


def _kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"<{kind}>" if kind in ("ladder_grid", "kl", "progressive", "sensitivity", "gallery") else None


Inspect = Annotated[
    Annotated[Ladder, Tag("<ladder_grid>")]
    | Annotated[RateMaps, Tag("<kl>")]
    | Annotated[Progressive, Tag("<progressive>")]
    | Annotated[Sensitivity, Tag("<sensitivity>")]
    | Annotated[Gallery, Tag("<gallery>")],
    Discriminator(
        _kind,
        custom_error_type="union",
        custom_error_message='Input should have "kind": "ladder_grid", "kl", "progressive", "sensitivity" or "gallery"',
    ),
]
