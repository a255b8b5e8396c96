"""Images from outside: refused before they cost anything, and canonical once they are in."""

from __future__ import annotations

import base64
import contextlib
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from model_zoo.manifest import Image
from server.images import ImageError, from_text, read, to_text

GREY = Image(height=16, width=16, channels=1, bits=8)
COLOUR = Image(height=16, width=16, channels=3, bits=8)


def file(image: Pillow.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(height: int, width: int, channels: int = 3) -> Pillow.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return Pillow.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_any_picture_gets_the_size_and_channels_of_the_model(kind: str, shape: Image) -> None:
    for height, width in ((16, 16), (40, 30), (3, 90), (1, 1)):
        pixels = read(file(picture(height, width), kind), shape)
        assert pixels.shape == (16, 16, shape.channels)
        assert pixels.dtype == np.uint8


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_the_canonical_png_put_in_again_is_the_same(shape: Image) -> None:
    text = to_text(read(file(picture(50, 70)), shape))
    assert to_text(from_text(text, shape)) == text


def test_a_picture_of_the_models_size_is_not_touched() -> None:
    image = picture(16, 16, 1)
    np.testing.assert_array_equal(read(file(image), GREY)[:, :, 0], np.asarray(image))


def test_the_middle_is_cut_out() -> None:
    pixels = np.zeros((16, 48), np.uint8)
    pixels[:, 16:32] = 255
    assert (read(file(Pillow.fromarray(pixels)), GREY) == 255).all()


def test_what_is_transparent_lies_over_black() -> None:
    white = Pillow.new("RGBA", (16, 16), (255, 255, 255, 0))
    assert not read(file(white), GREY).any()
    white.putalpha(51)
    assert (read(file(white), COLOUR) == 51).all()


def test_the_orientation_of_a_camera_is_applied() -> None:
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:4] = 255
    turned = Pillow.Exif()
    turned[0x0112] = 3  # upside down
    assert (read(file(Pillow.fromarray(pixels), exif=turned), GREY)[12:] == 255).all()


def test_sixteen_bits_are_not_clipped() -> None:
    deep = Pillow.fromarray(np.full((16, 16), 0x8000, np.uint16))
    assert (read(file(deep), GREY) == 0x80).all()


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP" + bytes(18), bytes(99)])
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(ImageError, match="no PNG, JPEG or WebP"):
        read(content, GREY)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_not_even_tried(kind: str) -> None:
    with pytest.raises(ImageError, match="no PNG, JPEG or WebP"):
        read(file(picture(16, 16), kind), GREY)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(1000)))


def webp_header(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sizes


@pytest.mark.parametrize("side", [5_000, 16_000])
@pytest.mark.parametrize("header", [png_header, webp_header])
def test_a_bomb_is_refused_by_its_header(header: Callable[[int, int], bytes], side: int) -> None:
    with pytest.raises(ImageError, match="16777216 pixels"):
        read(header(side, side), GREY)


@given(st.data(), st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_a_damaged_file_is_an_image_or_an_image_error(data: st.DataObject, kind: str) -> None:
    content = bytearray(file(picture(24, 20), kind))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        assert read(bytes(content[: data.draw(st.integers(1, len(content)))]), COLOUR).shape == (16, 16, 3)


@pytest.mark.parametrize("text", ["é", "A", "data:image/png;base64,AAAA", "AA AA"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match="base64"):
        from_text(text, GREY)


def test_base64_of_a_picture_is_the_picture() -> None:
    content = file(picture(20, 20))
    np.testing.assert_array_equal(from_text(base64.b64encode(content).decode(), COLOUR), read(content, COLOUR))
