"""IDX files, the format of MNIST and Fashion-MNIST, plain or gzipped.

An IDX file is a big-endian header (two zero bytes, a type code, the number of dimensions, then one uint32 for each
dimension) followed by the values. Described at http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.images import DataError, ImageSet

UINT8 = 0x08
PREFIX = {"train": "train", "test": "t10k"}


def read(folder: Path, split: Literal["train", "test"]) -> ImageSet:
    """The official training or test images of `folder`, [n, H, W, 1], and their labels if that file is there.

    Raises DataError for a file that is missing, damaged, or disagrees with its neighbour.
    """
    images_path = _find(folder, f"{PREFIX[split]}-images-idx3-ubyte")
    if images_path is None:
        names = f"{PREFIX[split]}-images-idx3-ubyte or {PREFIX[split]}-images-idx3-ubyte.gz"
        where = folder if folder.is_dir() else f"{folder}, which is not a folder"
        raise DataError(f"No {split} images: looked for {names} in {where}.")
    images = read_file(images_path, dimensions=3)
    labels_path = _find(folder, f"{PREFIX[split]}-labels-idx1-ubyte")
    labels = None
    if labels_path is not None:
        labels = read_file(labels_path, dimensions=1).astype(np.int64)
        if len(labels) != len(images):
            raise DataError(f"{labels_path} has {len(labels):,} labels, {images_path.name} has {len(images):,} images.")
    return ImageSet(images[..., None], labels, None, images_path.name)


def read_file(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The uint8 array that one IDX file holds. Raises DataError saying what is wrong with the file."""
    content = _content(path)
    magic = bytes([0, 0, UINT8, dimensions])
    if content[:4] != magic:
        raise DataError(
            f"{path} is not an IDX file of unsigned bytes in {dimensions} dimensions: "
            f"it starts with {content[:4].hex() or 'nothing'}, not {magic.hex()}."
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{path} is truncated: {len(content):,} bytes, and its header alone takes {header}.")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, offset=4))
    expected = header + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        problem = "truncated" if len(content) < expected else "damaged"
        raise DataError(
            f"{path} is {problem}: its header announces {' x '.join(map(str, shape))} values, {expected:,} bytes "
            f"in all, and it holds {len(content):,}{' (unpacked)' if path.suffix == '.gz' else ''}."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _content(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        size = path.stat().st_size
        raise DataError(f"{path} is truncated or damaged: its {size:,} bytes do not unpack ({error}).") from error
