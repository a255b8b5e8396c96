"""Painted cells: a level's own grid as text, as a mask, and as a place that other grids share."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app import painting
from app.client import Level


def level(height: int, width: int) -> Level:
    return Level(index=0, channels=2, height=height, width=width, group=f"{height}x{width}")


LEVELS = st.builds(level, st.integers(1, 9), st.integers(1, 9))
PAINTED = LEVELS.flatmap(
    lambda one: st.tuples(st.just(one), st.text("01", min_size=one.height * one.width, max_size=one.height * one.width))
)


@given(PAINTED)
def test_a_mask_says_exactly_these_cells(painted: tuple[Level, str]) -> None:
    on, cells = painted
    mask = painting.mask_of(cells, on)
    assert painting.under(mask, on) == cells
    assert (mask is None) == ("0" not in cells)
    if mask is not None:
        assert [len(row) for row in mask["rows"]] == [mask["resolution"]] * mask["resolution"]


@given(PAINTED, LEVELS)
def test_a_cell_is_under_a_mask_where_its_area_touches_a_pixel_of_it(painted: tuple[Level, str], other: Level) -> None:
    side = painted[0].height * painted[0].width
    rows = ["".join("1" if (y * 7 + x) % 5 == 0 else "0" for x in range(side)) for y in range(side)]
    found = painting.grid(painting.under({"resolution": side, "rows": rows}, other), other)
    for row, column in product(range(other.height), range(other.width)):
        touched = [
            rows[y][x] == "1"
            for y, x in product(range(side), range(side))
            if y * other.height < (row + 1) * side and (y + 1) * other.height > row * side
            if x * other.width < (column + 1) * side and (x + 1) * other.width > column * side
        ]
        assert found[row, column] == any(touched)


@given(PAINTED)
def test_a_link_brings_the_cells_back_to_their_own_grid_only(painted: tuple[Level, str]) -> None:
    on, cells = painted
    assert painting.from_text(painting.to_text(cells), on) == cells
    assert painting.from_text(painting.to_text(cells), level(on.height, on.width + 1)) is None


def test_what_is_no_link_is_nothing() -> None:
    for text in ("", "?", "AAAA", painting.to_text("012345678"), painting.to_text("1" * 100_000)):
        assert painting.from_text(text, level(3, 3)) is None


@given(PAINTED)
def test_a_place_stays_where_it_is_on_the_same_and_on_a_finer_grid(painted: tuple[Level, str]) -> None:
    on, cells = painted
    finer = level(3 * on.height, 3 * on.width)
    assert painting.moved(cells, on, on) == cells
    fine = painting.moved(cells, on, finer)
    assert (painting.area(cells, on, 90, 90) == painting.area(fine, finer, 90, 90)).all()
    assert painting.moved(fine, finer, on) == cells


def test_a_place_too_small_for_a_grid_takes_the_cell_that_it_touches() -> None:
    one = "1" + "0" * 63
    assert painting.moved(one, level(8, 8), level(2, 2)) == "1000"
    assert painting.moved(one, level(8, 8), level(1, 1)) == "1"


def test_a_place_lies_over_the_pixels_of_its_cells() -> None:
    found = painting.area("0100", level(2, 2), 4, 6)
    assert np.argwhere(found).tolist() == [[y, x] for y in (0, 1) for x in (3, 4, 5)]


def test_filling_and_the_middle() -> None:
    assert painting.filled("0110", "all") == "1111"
    assert painting.filled("0110", "none") == "0000"
    assert painting.filled("0110", "invert") == "1001"
    assert painting.middle(level(4, 4)) == "0000" + "0110" * 2 + "0000"
    assert painting.middle(level(2, 2)) == "1111"
    assert not painting.has_grid(level(1, 1))
    assert not painting.fits("012", level(1, 3))


def test_a_grid_that_no_mask_divides_is_edited_whole() -> None:
    assert painting.mask_of("0" + "1" * (255 * 2 - 1), level(255, 2)) is None
