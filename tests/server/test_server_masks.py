"""A mask lies over the image; each level sees it on its own grid."""

from __future__ import annotations

import numpy as np
import pytest

from model_zoo.manifest import Level
from server.edits import Mask
from server.masks import inside


def grid(rows: list[str], height: int, width: int, channels: int = 1) -> list[str]:
    level = Level(index=0, channels=channels, height=height, width=width, offset=0)
    flat = inside(Mask(resolution=len(rows), rows=tuple(rows)), level).reshape(channels, height, width)
    assert (flat == flat[:1]).all()
    return ["".join("01"[int(cell)] for cell in row) for row in flat[0]]


@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [
        (["10", "01"], 2, ["10", "01"]),
        (["10", "01"], 4, ["1100", "1100", "0011", "0011"]),  # enlarged: nearest neighbour
        (["0001", "0000", "0000", "0000"], 2, ["01", "00"]),  # reduced: any pixel
        (["0001", "0000", "0000", "0000"], 1, ["1"]),
        (["0000", "0000", "0000", "0000"], 1, ["0"]),
        (["10", "00"], 3, ["110", "110", "000"]),  # no whole multiple: whatever it touches
    ],
)
def test_an_element_is_inside_where_it_touches_the_mask(rows: list[str], size: int, expected: list[str]) -> None:
    assert grid(rows, size, size, channels=3) == expected


def test_a_level_need_not_be_square() -> None:
    assert grid(["10", "00"], 1, 4) == ["1100"]


def test_no_mask_is_everywhere() -> None:
    level = Level(index=0, channels=2, height=2, width=3, offset=0)
    np.testing.assert_array_equal(inside(None, level), np.ones(12, np.bool_))
