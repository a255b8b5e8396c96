"""PNG files carry exactly the pixels and texts, and are the same bytes each time."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from server.png import contact_sheet, encode, read_image

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))


@given(npst.arrays(np.uint8, shapes), st.integers(1, 4))
def test_pixels_come_back_enlarged_by_whole_blocks(pixels: np.ndarray, scale: int) -> None:
    with Image.open(io.BytesIO(encode(pixels, {}, scale))) as image:
        assert image.mode == ("L" if pixels.shape[2] == 1 else "RGB")
        read = np.asarray(image).reshape(pixels.shape[0] * scale, pixels.shape[1] * scale, -1)
    for offset in (0, scale - 1):
        np.testing.assert_array_equal(read[offset::scale, offset::scale], pixels)


def test_texts_come_back() -> None:
    texts = {"strata.model": "vdvae-mnist", "strata.recipe": '{"n":1}'}
    with Image.open(io.BytesIO(encode(np.zeros((2, 2, 1), np.uint8), texts))) as image:
        assert image.info == texts


def test_bytes_are_pinned() -> None:
    png = encode(np.arange(48, dtype=np.uint8).reshape(4, 4, 3), {"strata.recipe": "{}"}, scale=2)
    assert hashlib.sha256(png).hexdigest() == "735776872beaf779bcd6c032acc10696de1721607c8dff84ec3b92cc8c01d7d0"


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (5, 2, 3), (16, 4, 4)])
def test_a_contact_sheet_is_nearly_square_and_reads_like_text(count: int, rows: int, columns: int) -> None:
    images = np.arange(1, count + 1, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    sheet = contact_sheet(images)
    assert sheet.shape == (2 * rows, 3 * columns, 1)
    firsts = sheet[::2, ::3, 0].reshape(-1).tolist()
    assert firsts == [*range(1, count + 1)] + [0] * (rows * columns - count)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_file_is_read_with_the_channels_of_the_model(tmp_path: Path, channels: int) -> None:
    Image.fromarray(np.full((4, 5, 3), 77, np.uint8)).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png", channels).shape == (4, 5, channels)
    assert (read_image(tmp_path / "grey.png", channels) == 77).all()
