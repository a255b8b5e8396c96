"""Images from outside: checked before they are decoded, and brought to the size and channels of a model.

What comes out is canonical: its PNG, put in again, gives the same pixels and the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from model_zoo.manifest import Image
from server.png import Pixels, encode

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
MAX_PIXELS = 1 << 24  # of an image before it is made smaller: 16 megapixels


class ImageError(ValueError):
    """Bytes that are no image which may be read here, with the reason."""


def read(content: bytes, shape: Image) -> Pixels:
    """A PNG, JPEG or WebP file as the model sees it, [H, W, C] uint8. Raises ImageError.

    Orientation of EXIF is applied, what is transparent lies over black, the first of several frames is taken. The
    largest part of the model's proportions is cut out of the middle and brought to its size (Lanczos).
    """
    if _webp_pixels(content) > MAX_PIXELS:  # Pillow's reader makes room for all of them when it opens the file
        raise _too_many()
    try:
        with Pillow.open(io.BytesIO(content), formats=tuple(FORMATS.values())) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_many()
            return _fit(image, shape)
    except ImageError:
        raise
    except Pillow.DecompressionBombError:  # Pillow's own limit, met as it reads the header
        raise _too_many() from None
    except Exception as error:  # broken files make Pillow's readers stumble in every way: OSError, SyntaxError, ...
        raise ImageError("This is no PNG, JPEG or WebP file that can be read to its end") from error


def from_text(text: str, shape: Image) -> Pixels:
    """The same for a file in base64. Raises ImageError."""
    try:
        content = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ImageError("An image is the base64 of a PNG, JPEG or WebP file, without a prefix or spaces") from None
    return read(content, shape)


def to_text(pixels: Pixels) -> str:
    """Base64 of the canonical PNG of [H, W, C] uint8."""
    return base64.b64encode(encode(pixels, {})).decode()


def _fit(image: Pillow.Image, shape: Image) -> Pixels:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits a pixel, of which Pillow would clip the upper half
        upright = Pillow.fromarray((np.asarray(upright).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        upright = Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, "black"), rgba)
    coloured = upright.convert("L" if shape.channels == 1 else "RGB")
    fitted = ImageOps.fit(coloured, (shape.width, shape.height), Pillow.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(shape.height, shape.width, shape.channels)


def _webp_pixels(content: bytes) -> int:
    """Width times height in the header of a WebP file (RFC 9649, sections 2.5 to 2.7); 0 for anything else."""
    if len(content) < 30 or content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return 0
    kind, number = content[12:16], int.from_bytes
    if kind == b"VP8X":
        return (number(content[24:27], "little") + 1) * (number(content[27:30], "little") + 1)
    if kind == b"VP8 ":
        return (number(content[26:28], "little") & 0x3FFF) * (number(content[28:30], "little") & 0x3FFF)
    sizes = number(content[21:25], "little")
    return ((sizes & 0x3FFF) + 1) * ((sizes >> 14 & 0x3FFF) + 1)


def _too_many() -> ImageError:
    return ImageError(f"An image may have {MAX_PIXELS} pixels; make it smaller first")
