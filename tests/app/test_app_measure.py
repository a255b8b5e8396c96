"""What a change amounts to: known images, known numbers."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.measure import Pixels, decode, distance, effect, grey_levels, heat_map, ink_moved, png_url, scale_of


def image(*values: float) -> Pixels:
    return np.array(values, dtype=np.float64).reshape(1, -1, 1)


def test_ink_that_stays_has_not_moved_and_ink_that_leaves_has() -> None:
    assert ink_moved(image(1, 0), image(1, 0)) == 0
    assert ink_moved(image(1, 0), image(0, 1)) == 1
    assert ink_moved(image(1, 1, 0), image(0, 1, 1)) == pytest.approx(2 / 3)
    assert ink_moved(image(0, 0), image(0, 0)) == 0


PIXELS = st.lists(st.floats(0, 1), min_size=4, max_size=4).map(lambda values: image(*values))


@given(PIXELS, PIXELS)
def test_moved_ink_is_a_share_and_has_no_direction(one: Pixels, other: Pixels) -> None:
    assert 0 <= ink_moved(one, other) <= 1
    assert ink_moved(one, other) == pytest.approx(ink_moved(other, one))


def test_colour_is_measured_in_grey_levels() -> None:
    assert grey_levels(image(0, 0), image(1, 0)) == pytest.approx(127.5)
    colours = np.zeros((2, 2, 3))
    assert effect(colours, [colours + 0.2]).moved == pytest.approx(51)


def test_an_effect_is_the_mean_over_draws_and_its_map_their_deviation() -> None:
    measured = effect(image(1, 0), [image(1, 0), image(0, 1)])
    assert measured.moved == pytest.approx(0.5)
    assert measured.deviation.tolist() == [[0.5, 0.5]]
    assert measured.draws == 2


def test_distance_is_the_root_mean_square() -> None:
    assert distance(image(0, 0), image(3, 4)) == pytest.approx(np.sqrt(12.5))


def test_the_scale_ends_at_the_next_twentieth_and_is_never_empty() -> None:
    assert scale_of([]) == 0.05
    assert scale_of([effect(image(0, 0), [image(0.0, 1), image(0.0, 0.4)])]) == pytest.approx(0.3)
    assert scale_of([effect(image(0, 0), [image(0.0, 1), image(0.0, 0.39)])]) == pytest.approx(0.35)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA", "1"])
def test_any_png_decodes_to_one_channel_or_three(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new("L", (5, 3), 255).convert(mode).save(buffer, format="PNG")
    pixels = decode(buffer.getvalue())
    assert pixels.shape[:2] == (3, 5)
    assert pixels.shape[2] in (1, 3)
    assert pixels.max() == 1.0


def test_a_png_comes_back_as_it_was() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    png = base64.b64decode(png_url(values).removeprefix("data:image/png;base64,"))
    assert (decode(png)[..., 0] * 255).round().astype(int).tolist() == values.tolist()


def test_a_map_is_viridis_from_dark_to_yellow() -> None:
    url = heat_map(np.array([[0.0, 0.5, 2.0]]), top=0.5)
    low, high, beyond = decode(base64.b64decode(url.partition(",")[2]))[0]
    assert low.tolist() == pytest.approx(np.array([68, 1, 84]) / 255)
    assert high.tolist() == beyond.tolist() == pytest.approx(np.array([253, 231, 37]) / 255)
