"""What a change amounts to: known images, known numbers."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from app.measure import Effect, Pixels, decode, distance, effects, heat_map, png_url, scale_of, strength, where


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


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (np.s_[:6, :], "at the top"),
        (np.s_[9:, :], "at the bottom"),
        (np.s_[:, :5], "on the left"),
        (np.s_[:, 10:], "on the right"),
        (np.s_[5:11, 5:11], "in the centre"),
        (np.s_[:, :], ""),
        (np.s_[:0, :], ""),
    ],
)
def test_a_place_is_named_where_most_of_a_change_is_there(place: tuple[slice, slice], said: str) -> None:
    change = np.zeros((16, 16))
    change[place] = 0.7
    assert where(change) == said


def test_a_frame_is_at_the_edges() -> None:
    change = np.ones((16, 16))
    change[2:-2, 2:-2] = 0
    assert where(change) == "at the edges"


def test_the_colours_of_a_map_tell_its_values() -> None:
    values = np.linspace(0, 1, 64).reshape(8, 8)
    png = base64.b64decode(heat_map(values, 1.0).partition(",")[2])
    assert strength(png) == pytest.approx(values, abs=0.01)  # 256 colours
