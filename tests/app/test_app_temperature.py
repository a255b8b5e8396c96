"""The scale of the rail, and its presets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.temperature import KNOTS, PRESETS, TOP, clean, in_words, position, with_locks

TEMPERATURES = st.floats(0, TOP)


def test_the_scale_is_stretched_where_samples_change_most() -> None:
    middle = (position(1.1) - position(0.3)) / (1.1 - 0.3)
    assert middle > (position(0.3) - position(0.0)) / 0.3
    assert middle > (position(1.5) - position(1.1)) / (1.5 - 1.1)


@given(TEMPERATURES, TEMPERATURES)
def test_hotter_is_further_right(one: float, other: float) -> None:
    assert (one < other) == (position(one) < position(other)) or abs(one - other) < 1e-12


def test_the_knots_are_the_ends_of_the_pieces() -> None:
    assert [position(temperature) for temperature, _ in KNOTS] == [at for _, at in KNOTS]


@given(st.lists(st.floats(-10, 10), min_size=1))
def test_cleaned_values_are_on_the_scale_with_two_decimals(values: list[float]) -> None:
    for value in clean(values):
        assert 0 <= value <= TOP
        assert value == round(value, 2)
    assert "-0.0" not in map(str, clean(values))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("levels", [1, 2, 15, 66])
def test_every_preset_gives_one_temperature_a_level_and_never_rises(name: str, levels: int) -> None:
    values = PRESETS[name](levels, levels // 2)
    assert len(values) == levels
    assert clean(values) == values
    assert list(values) == sorted(values, reverse=True)


def test_linear_and_cosine_reach_both_ends() -> None:
    for name in ("linear", "cosine"):
        values = PRESETS[name](15, 0)
        assert (values[0], values[-1]) == (0.9, 0.6)


def test_mean_below_keeps_the_selected_level() -> None:
    assert PRESETS["mean_below"](4, 1) == (1.0, 1.0, 0.0, 0.0)


def test_locked_levels_stay() -> None:
    assert with_locks((0.1, 0.2, 0.3), (1.0, 1.1, 1.2), {1}) == (0.1, 1.1, 0.3)


def test_temperatures_in_words() -> None:
    assert in_words((0.9, 0.9)) == "0.90"
    assert in_words((0.9, 0.7, 0.6)) == "0.90 → 0.60"
    assert in_words((0.9, 0.2, 0.9)) == "0.20 to 0.90"
