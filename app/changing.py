"""One image, the cells painted on one of its levels, and what was changed there. Pure functions.

The image before is a recipe of its own; every change adds `resample` or `swap` edits to it, each with the painted
cells as its mask. So undo, the list of changes and the permalink are one and the same list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app import mixing, painting, recipes
from app.client import Card, Recipe
from app.mixing import Source, Space
from app.painting import Cells

Below = Literal["adapt", "stay"]
Edit = dict[str, Any]

MAX_EDITS = 32  # of a recipe


@dataclass(frozen=True)
class Editing:
    """The image `before`, a recipe of one image; the `edits` made since; and the painted `cells` of `level`."""

    before: Recipe
    edits: tuple[Edit, ...]
    level: int
    cells: Cells

    @property
    def after(self) -> Recipe:
        return {**self.before, "edits": [*self.before["edits"], *self.edits]}


def start(source: Source, card: Card, below: Below = "adapt") -> Recipe:
    """The image that is edited: a seed or a test image.

    Levels below an edit adapt to it where they hold noise, and stay as they are where they hold latents. So a seed,
    which is noise, or a test image, which is latents, is taken over in the other form where the other is wanted.
    Latents that are 0 or 1 do not tell their noise, so those of a test image stay.
    """
    space: Space | None = None
    if "example" in source and below == "adapt" and card.prior != "bernoulli":
        space = "noise"
    elif "seed" in source and below == "stay":
        space = "latent"
    levels = list(range(len(card.levels)))
    return {
        "recipe_version": 1,
        "source": {**source, "seed": 0} if "example" in source else source,
        "n": 1,
        "temperature": [card.temperature.default] * len(levels),
        "levels": {},
        "edits": [{"op": "swap", "levels": levels, "source": source, "space": space}] if space else [],
        "output": {"image": "mean"},
    }


def source_of(before: Recipe) -> Source | None:
    """The seed or test image that `before` is; None where its levels were drawn otherwise, or it is one's own."""
    return None if before["levels"] else _plain(before["source"])


def below(before: Recipe) -> Below:
    """What the levels below an edit do."""
    swaps = [edit["space"] for edit in before["edits"]]
    drawn = before["source"].keys() <= {"seed", "seeds"}
    return "adapt" if (swaps == ["noise"] if swaps else drawn) else "stay"


def choices_below(before: Recipe, card: Card) -> tuple[Below, ...]:
    """Which of the two there is to choose from."""
    source = source_of(before)
    both = source and ("seed" in source or card.prior != "bernoulli")
    return ("adapt", "stay") if both else ()


def with_below(now: Editing, card: Card, choice: Below) -> Editing:
    """The same image with the levels below an edit doing something else. Changes nothing where there is no choice."""
    source = source_of(now.before)
    if source is None or choice not in choices_below(now.before, card):
        return now
    return replace(now, before={**start(source, card, choice), "temperature": now.before["temperature"]})


def with_source(now: Editing, card: Card, source: Source) -> Editing:
    """Another image, edited in the same places."""
    return replace(now, before=start(source, card, below(now.before)))


def with_recipe(now: Editing, recipe: Recipe) -> Editing:
    """The image that a recipe stands for; what is edited there counts as changes."""
    one = recipes.single(recipe, 0)
    edits = [{"draw": 0, "mode": "sample", **edit} if edit["op"] == "resample" else edit for edit in one["edits"]]
    kept = 1 if edits and _whole(edits[0], one) else 0
    return replace(now, before={**one, "edits": edits[:kept]}, edits=tuple(edits[kept:]))


def drawn_again(now: Editing, card: Card) -> Editing:
    """The painted cells with the next draw of their level, which nothing in the recipe has yet."""
    used = [recipes.draw(now.before, now.level)]
    used += [edit["draw"] for edit in now.after["edits"] if edit["op"] == "resample" and now.level in edit["levels"]]
    return _with(now, card, {"op": "resample", "levels": [now.level], "draw": max(used) + 1, "mode": "sample"})


def swapped(now: Editing, card: Card, source: Source, space: Space) -> Editing:
    """The painted cells from another image."""
    return _with(now, card, {"op": "swap", "levels": [now.level], "source": source, "space": space})


def cooled(now: Editing, card: Card, temperature: float) -> Editing:
    """The painted cells with the noise that they were drawn with, made quieter; at 0 the mean of the prior.

    Cells of different draws are an edit each. What was not drawn with the image's own seed has no draw to keep and
    takes the first.
    """
    draws, painted = _draws(now, card), painting.grid(now.cells, card.levels[now.level])
    made = now
    for draw in np.unique(draws[painted]):
        edit = {"op": "resample", "levels": [now.level], "draw": int(draw), "mode": "sample"}
        part = replace(made, cells=painting.cells_of(painted & (draws == draw)))
        made = _with(part, card, {**edit, "temperature": temperature})
    return replace(made, cells=now.cells)


def removed(now: Editing, index: int) -> Editing:
    """Without one of the edits; those after it act as before."""
    return replace(now, edits=now.edits[:index] + now.edits[index + 1 :])


def place(edits: Sequence[Edit], card: Card) -> NDArray[np.bool_]:
    """[H, W]: the pixels of the image over which any of the edits acts."""
    size = card.image
    places = [
        painting.area(painting.under(edit.get("mask"), card.levels[level]), card.levels[level], size.height, size.width)
        for edit in edits
        for level in edit["levels"]
    ]
    return np.logical_or.reduce([np.zeros((size.height, size.width), np.bool_), *places])


def name_of(before: Recipe) -> str:
    """ "seed 1240", "test image 3", with what was done to it in Explore."""
    source = _plain(before["source"])
    name = mixing.name(source) if source else "an image of one’s own"
    return f"{name}, levels drawn again" if before["levels"] else name


def _with(now: Editing, card: Card, edit: Edit) -> Editing:
    """One more change of the painted cells. It takes the place of the last if that did the same there."""
    mask = painting.mask_of(now.cells, card.levels[now.level])
    made = {**edit, "mask": mask} if mask else edit
    kept = now.edits[:-1] if now.edits and _same(now.edits[-1], made) else now.edits
    return replace(now, edits=(*kept, made))


def _same(one: Edit, other: Edit) -> bool:
    """Whether two edits do the same kind of thing to the same noise at the same place."""
    cooled = "temperature" in one, "temperature" in other
    alike = all(one.get(key) == other.get(key) for key in ("op", "levels", "mask"))
    return alike and (cooled == (False, False) or (cooled == (True, True) and one["draw"] == other["draw"]))


def _draws(now: Editing, card: Card) -> NDArray[np.int64]:
    """[h, w]: the draw of each cell of the level; 0 where it was not drawn with the image's own seed."""
    level = card.levels[now.level]
    draws = np.full((level.height, level.width), recipes.draw(now.before, now.level))
    for edit in now.after["edits"]:
        if now.level in edit["levels"]:
            draws[painting.grid(painting.under(edit.get("mask"), level), level)] = edit.get("draw", 0)
    return draws


def _whole(edit: Edit, recipe: Recipe) -> bool:
    """Whether an edit takes over the whole image in its other form, as `start` does."""
    return (
        edit["op"] == "swap"
        and "mask" not in edit
        and len(edit["levels"]) == len(recipe["temperature"])
        and _plain(edit["source"]) == _plain(recipe["source"])
    )


def _plain(source: dict[str, Any]) -> Source | None:
    """A source of one image without what goes without saying; None for images of one's own."""
    if "example" in source:
        return {"example": source["example"]}
    if "seeds" in source:
        return {"seed": source["seeds"][0]}
    return {"seed": source["seed"]} if source.keys() == {"seed"} else None
