"""PNG bytes that depend on nothing but the pixels and the texts, so that their SHA-256 names an image.

No timestamps, one order of chunks, no row filters and one compression level; the format is PNG (ISO/IEC 15948).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

RECIPE_KEY = "strata.recipe"
MODEL_KEY = "strata.model"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE = {1: 0, 3: 2}  # channels -> grey, RGB


def encode(image: Pixels, texts: Mapping[str, str], scale: int = 1) -> bytes:
    """[H, W, C] uint8 with C of 1 or 3 as a PNG, each pixel drawn `scale` x `scale` large."""
    image = image.repeat(scale, axis=0).repeat(scale, axis=1)
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0)
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row starts with its filter, 0 for none
    rows[:, 1:] = image.reshape(height, -1)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            *(_chunk(b"iTXt", key.encode() + b"\0\0\0\0\0" + text.encode()) for key, text in texts.items()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)),
            _chunk(b"IEND", b""),
        )
    )


def contact_sheet(images: Pixels) -> Pixels:
    """[B, H, W, C] side by side, rows first, nearly square; empty places are black. -> [rows*H, columns*W, C]."""
    count, height, width, channels = images.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    padded = np.zeros((rows * columns, height, width, channels), np.uint8)
    padded[:count] = images
    grid = padded.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)


def read_image(path: Path, channels: int) -> Pixels:
    """Any image file as [H, W, C] uint8."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
