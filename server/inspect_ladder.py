"""The ladder grid as recipes: one row for each level, in which it is drawn again; and what that does, in numbers.

Every cell is a recipe: the one that is looked at, with edits added at its end. (The protocol is that of the Ladder
VAE's `inspect_layer_repr` and its kin: all above constant, one level sampled. What happens below is a question of
its own, with three answers.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Manifest
from server.discrete import NO_NOISE
from server.edits import (
    ResolvedEdit,
    ResolvedInterpolate,
    ResolvedKeep,
    ResolvedResample,
    ResolvedSwap,
    Selector,
)
from server.fields import MAX_DRAW
from server.inspect_request import Below
from server.png import Pixels
from server.recipe import MAX_EDITS, RecipeError, fault
from server.resolve import Resolved, reference
from server.resolve_edits import select
from server.sources import Reference, SeedSource

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """Levels that are drawn again together, and the recipe of each draw."""

    levels: tuple[int, ...]
    draws: tuple[int, ...]
    cells: tuple[Resolved, ...]


@dataclass(frozen=True)
class Change:
    """What drawing again does to an image, over all draws, in grey levels from 0 to 255.

    `mean` is the mean |dx|, `ink_moved` (grey images only) 1 - sum min / sum max of the image before and after, a
    share. Maps are [H, W], means over channels: `change` the mean |dx|, `deviation` the standard deviation over draws.
    """

    mean: float
    ink_moved: float | None
    change: Floats
    deviation: Floats


def rows_of(rows: Literal["levels", "groups"] | Sequence[Selector], manifest: Manifest) -> list[tuple[int, ...]]:
    """The levels of each row. Raises RecipeError where there are no such levels."""
    if rows == "levels":
        return [(level.index,) for level in manifest.levels]
    if rows == "groups":
        return list(manifest.groups.values())
    found, faults = [], []
    for index, selector in enumerate(rows):
        try:
            found.append(select(selector, manifest))
        except ValueError as error:
            faults.append(fault(str(error), "rows", index))
    if faults:
        raise RecipeError(faults)
    return found


def ladder(
    base: Resolved, manifest: Manifest, rows: Sequence[tuple[int, ...]], draws: int, first: int | None, below: Below
) -> list[Row]:
    """The recipes of all cells; `base` has one image. Raises RecipeError where one cannot be."""
    first = unused_draw(base) if first is None else first
    if first + draws - 1 > MAX_DRAW:
        raise RecipeError([fault(f"The last of {draws} draws would be above {MAX_DRAW}", "first_draw")])
    columns = tuple(range(first, first + draws))
    return [Row(levels, columns, cells(base, manifest, levels, columns, below)) for levels in rows]


def cells(
    base: Resolved, manifest: Manifest, levels: tuple[int, ...], draws: Sequence[int], below: Below
) -> tuple[Resolved, ...]:
    """`base` with these levels at each draw, and the levels below the first of them by policy."""
    lower = tuple(range(levels[0] + 1, len(manifest.levels)))
    lower = tuple(level for level in lower if level not in levels)
    rest: list[ResolvedEdit] = []
    if below == "resample":
        levels = tuple(sorted(levels + lower))
    elif below == "mean" and lower:
        rest.append(ResolvedResample(levels=lower, mode="mean"))
    elif below == "noise":
        rest.extend(_released(base, lower, manifest))
    if len(base.edits) + 1 + len(rest) > MAX_EDITS:
        detail = f"A cell adds {1 + len(rest)} edits to the recipe's, and a recipe has at most {MAX_EDITS}"
        raise RecipeError([fault(detail, "recipe", "edits")])
    return tuple(
        base.model_copy(update={"edits": (*base.edits, ResolvedResample(levels=levels, draw=draw), *rest)})
        for draw in draws
    )


def unused_draw(base: Resolved) -> int:
    """The first draw that nothing in the recipe uses, so that a level that is drawn again changes."""
    used = [change.draw for change in base.levels.values()]
    used += [edit.draw for edit in base.edits if isinstance(edit, ResolvedResample)]
    return min(1 + max(used, default=0), MAX_DRAW)


def held_from(base: Resolved, level: int) -> Reference | None:
    """The image whose latents a level holds whole, after all edits of a recipe of one image; None for all else.

    All else is drawn, or held in part (by a mask, or between two images), and then stays what it is.
    """
    held: Reference | None = base.encoded if base.reconstructs else None
    for edit in base.edits:
        if level not in edit.levels:
            continue
        taken = _taken(base, edit)
        masked = not isinstance(edit, ResolvedInterpolate) and edit.mask is not None
        if isinstance(edit, ResolvedInterpolate) and edit.alpha == 0:
            continue
        if not masked or taken != held:
            held = None if masked else taken
    return held


def _taken(base: Resolved, edit: ResolvedEdit) -> Reference | None:
    """The image whose latents an edit copies, if it copies latents."""
    if isinstance(edit, ResolvedKeep):
        return base.encoded
    if isinstance(edit, ResolvedSwap) or (isinstance(edit, ResolvedInterpolate) and edit.alpha == 1):
        return reference(edit, 0) if edit.space == "latent" else None
    return None


def _released(base: Resolved, levels: tuple[int, ...], manifest: Manifest) -> list[ResolvedEdit]:
    """Edits after which levels that hold an image's latents hold its noise instead, and so adapt."""
    images: dict[Reference, list[int]] = {}
    for level in levels:
        if (image := held_from(base, level)) is not None:
            images.setdefault(image, []).append(level)
    if manifest.prior == "bernoulli" and any(not isinstance(image, SeedSource) for image in images):
        raise RecipeError([fault(NO_NOISE, "below")])
    return [ResolvedSwap(levels=tuple(held), source=image, space="noise") for image, held in images.items()]


def measure(before: Pixels, after: Pixels) -> Change:
    """What changed from `before` [H, W, C] to the draws `after` [D, H, W, C]."""
    old, new = before.astype(np.float64), after.astype(np.float64)
    difference = np.abs(new - old)
    return Change(
        mean=float(difference.mean()),
        ink_moved=ink_moved(old, new) if before.shape[-1] == 1 else None,
        change=difference.mean(axis=(0, 3)),
        deviation=new.std(axis=0).mean(axis=2),
    )


def ink_moved(before: Floats, after: Floats) -> float:
    """1 - sum min / sum max, a mean over the draws `after`: 0 for equal images, 1 when no ink stays where it was."""
    larger = np.maximum(before, after).sum(axis=(1, 2, 3))
    smaller = np.minimum(before, after).sum(axis=(1, 2, 3))
    shares = np.divide(smaller, larger, out=np.ones_like(larger), where=larger > 0)  # two blank images are equal
    return float((1 - shares).mean())
