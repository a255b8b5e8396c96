"""What a change amounts to: known images, known numbers."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from app.measure import Effect, Pixels, decode, distance, effects, heat_map, png_url, scale_of


def image(*values: float) -> Pixels:
    return np.array(values, dtype=np.float64).reshape(1, -1, 1)


def test_an_effect_is_a_share_of_ink_or_in_colour_grey_levels() -> None:
    arrays = {
        "ink_moved": np.array([0.25, np.nan]),
        "mean_change": np.array([7.0, 9.0]),
        "deviation": np.array([[[51.0]], [[255.0]]], np.float32),
    }
    grey, colour = effects(arrays, 16)
    assert (grey.moved, colour.moved, grey.draws) == (0.25, 9.0, 16)
    assert [effect.deviation.tolist() for effect in (grey, colour)] == [[[pytest.approx(0.2)]], [[1.0]]]


def test_distance_is_the_root_mean_square() -> None:
    assert distance(image(0, 0), image(3, 4)) == pytest.approx(np.sqrt(12.5))


def test_the_scale_ends_at_the_next_twentieth_and_is_never_empty() -> None:
    assert scale_of([]) == 0.05
    assert scale_of([Effect(0.5, np.array([[0.1, 0.3]]), 16)]) == pytest.approx(0.3)
    assert scale_of([Effect(0.5, np.array([[0.1, 0.301]]), 16)]) == pytest.approx(0.35)


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
