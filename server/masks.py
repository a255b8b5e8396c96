"""Which elements of a level lie within a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Level
from server.edits import Mask


def inside(mask: Mask | None, level: Level) -> NDArray[np.bool_]:
    """[C*H*W]: true where the area of an element touches a pixel of the mask that is 1; everywhere without a mask.

    One rule for all sizes: where the grid is a whole multiple finer than the mask, it is nearest neighbour; where it
    is coarser, any pixel.
    """
    if mask is None:
        return np.ones(level.size, np.bool_)
    painted = np.array([[character == "1" for character in row] for row in mask.rows])
    rows, columns = _touches(level.height, mask.resolution), _touches(level.width, mask.resolution)
    grid = rows.astype(np.int64) @ painted @ columns.T > 0
    return np.broadcast_to(grid, (level.channels, level.height, level.width)).reshape(-1)


def _touches(cells: int, pixels: int) -> NDArray[np.bool_]:
    """[cells, pixels]: which of two even divisions of one line overlap, in whole numbers."""
    cell, pixel = np.arange(cells)[:, None], np.arange(pixels)[None]
    return (pixel * cells < (cell + 1) * pixels) & ((pixel + 1) * cells > cell * pixels)
