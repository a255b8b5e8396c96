"""Images in .npy files, as the published ImageNet-32, ImageNet-64 and FFHQ-256 set-ups keep them.

These files hold up to 16 GB, so they are mapped into memory, never read whole.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from training.data.images import DataError, ImageSet


def read(file: Path) -> ImageSet:
    """The images of one file, mapped: uint8 [n, H, W, C], or [n, H, W] for grey ones.

    Raises DataError if the file is missing, truncated, or holds anything else.
    """
    if not file.is_file():
        raise DataError(f"No {file.name}: looked in {file.parent}.")
    shape, dtype, size = _announced(file)
    if dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))):
        raise DataError(f"{file} holds {dtype} {shape}, and should hold uint8 images [n, height, width, 1 or 3].")
    actual = file.stat().st_size
    if actual != size:
        problem = "truncated" if actual < size else "damaged"
        raise DataError(f"{file} is {problem}: its header announces {size:,} bytes, and it holds {actual:,}.")
    images = npy_format.open_memmap(file, mode="r")
    return ImageSet(images[..., None] if images.ndim == 3 else images, None, None, file.name)


def _announced(file: Path) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    """Shape, type and size in bytes that the header announces. A header is a literal: nothing in it is executed."""
    with file.open("rb") as stream:
        try:
            version = npy_format.read_magic(stream)
            read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, dtype = read_header(stream)
        except ValueError as error:
            raise DataError(f"{file} is not a .npy file, or its header is damaged: {error}.") from error
        return shape, dtype, stream.tell() + math.prod(shape) * dtype.itemsize
