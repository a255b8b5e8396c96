"""Frames in a file: exact pixels, the right times, the same bytes each time."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from server.animation import MEDIA_TYPES, animate, has_video, milliseconds

SECONDS = [0.5, 0.1, 0.1, 0.3]


def pictures(channels: int, count: int = 4) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 7, channels), np.uint8)


def read(content: bytes, channels: int) -> tuple[NDArray[np.uint8], list[float]]:
    with Image.open(io.BytesIO(content)) as image:
        found = [
            (np.asarray(frame.convert("L" if channels == 1 else "RGB")), frame.info["duration"])
            for frame in ImageSequence.Iterator(image)
        ]
    pixels = np.stack([frame for frame, _ in found])
    return pixels.reshape(*pixels.shape[:3], channels), [time for _, time in found]


@pytest.mark.parametrize(("format", "channels"), [("apng", 1), ("apng", 3), ("webp", 1), ("webp", 3), ("gif", 1)])
def test_pixels_are_exact_enlarged_by_nearest_neighbour(format: Any, channels: int) -> None:
    images = pictures(channels)
    made = animate(images, SECONDS, format, 10, True, 3, {})
    found, times = read(made, channels)
    np.testing.assert_array_equal(found, images.repeat(3, axis=1).repeat(3, axis=2))
    assert times == [500, 100, 100, 300]


def test_gif_shows_colours_as_well_as_its_palette_can() -> None:
    """A palette of 256 for four frames of 42 random colours: none is off by more than 8 grey levels."""
    images = pictures(3)
    found, _ = read(animate(images, SECONDS, "gif", 10, True, 1, {}), 3)
    assert np.abs(found.astype(int) - images).max() <= 8


@pytest.mark.parametrize("format", ["apng", "webp", "gif"])
def test_the_same_frames_are_the_same_bytes(format: Any) -> None:
    first, second = (animate(pictures(3), SECONDS, format, 10, True, 2, {"strata.model": "x"}) for _ in range(2))
    assert first == second


def test_an_apng_carries_its_texts_and_how_often_it_plays() -> None:
    for loop, times in ((True, 0), (False, 1)):
        with Image.open(io.BytesIO(animate(pictures(1), SECONDS, "apng", 10, loop, 1, {"strata.model": "é"}))) as image:
            assert image.info["loop"] == times
            assert image.info["strata.model"] == "é"
            assert image.n_frames == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 6, 7), (3, 5, 6)])
def test_a_film_has_every_frame_for_its_time_and_even_sides(channels: int, height: int, width: int) -> None:
    """H.264 halves colour and loses detail: a flat picture stays within 6 grey levels."""
    av = pytest.importorskip("av")
    assert has_video()
    images = np.stack([np.full((height, width, channels), value, np.uint8) for value in (20, 120, 220)])
    with av.open(io.BytesIO(animate(images, [0.5, 0.1, 0.2], "mp4", 10, True, 8, {}))) as film:
        found = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(found) == 8
    assert {frame.shape for frame in found} == {(height * 8, width * 8, 3)}
    for frame, value in zip(found, [20] * 5 + [120] + [220] * 2, strict=True):
        assert np.abs(frame.astype(int) - value).max() <= 6
    with av.open(io.BytesIO(animate(images, [0.1] * 3, "mp4", 10, True, 1, {}))) as film:
        shape = next(film.decode(video=0)).to_ndarray(format="rgb24").shape
    assert shape == (height + height % 2, width + width % 2, 3)


@given(st.lists(st.floats(0.02, 5), min_size=1, max_size=200), st.sampled_from([1, 10]))
def test_rounded_times_do_not_drift(seconds: list[float], unit: int) -> None:
    made = milliseconds(seconds, unit)
    assert all(time > 0 and time % unit == 0 for time in made)
    assert sum(made) == pytest.approx(1000 * sum(seconds), abs=unit)


def test_every_format_has_a_media_type() -> None:
    assert set(MEDIA_TYPES) == {"apng", "webp", "gif", "mp4"}
