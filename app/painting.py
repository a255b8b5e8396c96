"""Cells painted on a level's own grid: as text, as a mask of the recipe, as a place in the image. Pure functions."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.client import Level

Cells = str  # a level's own grid row by row, 1 where it is painted and 0 elsewhere
Mask = dict[str, Any]  # as the recipe has it

MAX_MASK = 256  # pixels of a mask's side


def has_grid(level: Level) -> bool:
    return level.height * level.width > 1


def all_cells(level: Level) -> Cells:
    return "1" * (level.height * level.width)


def filled(cells: Cells, what: Literal["all", "none", "invert"]) -> Cells:
    """All cells of the grid at once."""
    painted = {"all": ("1", "1"), "none": ("0", "0"), "invert": ("1", "0")}[what]
    return "".join(painted[cell == "1"] for cell in cells)


def middle(level: Level) -> Cells:
    """The half of each side that is in the middle; all of a grid that has no middle."""
    painted = np.zeros((level.height, level.width), np.bool_)
    painted[tuple(slice(side // 4, side - side // 4) for side in painted.shape)] = True
    return cells_of(painted)


def fits(cells: Cells, level: Level) -> bool:
    """Whether these are cells of this level's grid."""
    return len(cells) == level.height * level.width and set(cells) <= {"0", "1"}


def moved(cells: Cells, before: Level, after: Level) -> Cells:
    """The same place on another level's grid: the cells that lie in it for the most part, or else that it touches."""
    rows, columns = math.lcm(before.height, after.height), math.lcm(before.width, after.width)
    place = area(cells, before, rows, columns)
    share = place.reshape(after.height, rows // after.height, after.width, columns // after.width).mean(axis=(1, 3))
    return cells_of(share >= 0.5 if (share >= 0.5).any() else share > 0)


def area(cells: Cells, level: Level, height: int, width: int) -> NDArray[np.bool_]:
    """[height, width], such as the image: true where the middle of a pixel lies in a painted cell."""
    rows, columns = (
        ((np.arange(pixels) + 0.5) * side / pixels).astype(int)
        for pixels, side in ((height, level.height), (width, level.width))
    )
    return grid(cells, level)[rows][:, columns]


def to_text(cells: Cells) -> str:
    """The painted cells for a link."""
    return base64.urlsafe_b64encode(zlib.compress(cells.encode(), 9)).rstrip(b"=").decode()


def from_text(text: str, level: Level) -> Cells | None:
    """The cells that `to_text` wrote; None for anything else."""
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cells = zlib.decompressobj().decompress(packed, level.height * level.width + 1).decode("ascii")
    except (ValueError, zlib.error):
        return None
    return cells if fits(cells, level) else None


def mask_of(cells: Cells, level: Level) -> Mask | None:
    """The cells as the mask of an edit, a square that the grid divides evenly; None for all of it.

    A grid for which no square of 256 would do is edited whole.
    """
    side = math.lcm(level.height, level.width)
    if "0" not in cells or side > MAX_MASK:
        return None
    rows = ["".join("01"[int(pixel)] for pixel in row) for row in area(cells, level, side, side)]
    return {"resolution": side, "rows": rows}


def under(mask: Mask | None, level: Level) -> Cells:
    """The cells whose area touches a 1 of the mask; all of them without one."""
    if mask is None:
        return all_cells(level)
    pixels = np.array([[pixel == "1" for pixel in row] for row in mask["rows"]])
    rows, columns = (_touched(side, len(pixels)) for side in (level.height, level.width))
    return cells_of(np.array([[pixels[row, column].any() for column in columns] for row in rows]))


def grid(cells: Cells, level: Level) -> NDArray[np.bool_]:
    """[h, w] of the level."""
    return np.array([cell == "1" for cell in cells]).reshape(level.height, level.width)


def cells_of(painted: NDArray[np.bool_]) -> Cells:
    """The cells of an array [h, w]."""
    return "".join("01"[int(cell)] for cell in painted.ravel())


def _touched(cells: int, pixels: int) -> list[slice]:
    """Which of so many pixels the area of each cell touches, along one side."""
    return [slice(cell * pixels // cells, -(-(cell + 1) * pixels // cells)) for cell in range(cells)]
