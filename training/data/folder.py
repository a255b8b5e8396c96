"""A folder of pictures of any size: whatever Pillow opens, scaled and cropped to squares.

Below EAGER bytes all of it is decoded once, into memory. Above (FFHQ-1024 would take 200 GB) pictures are decoded
each time they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from training.data.images import DataError, Images, ImageSet

EAGER = 4 << 30  # bytes of decoded images
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
)  # what Pillow raises for what is no picture


@dataclass(frozen=True)
class Pictures:
    """uint8 [n, size, size, channels] of picture files, decoded when indexed."""

    files: tuple[Path, ...]
    size: int
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.files), self.size, self.size, self.channels)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: slice | NDArray[np.intp]) -> NDArray[np.uint8]:
        chosen = np.arange(len(self.files))[key]
        batch = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for k, index in enumerate(chosen):
            file = self.files[index]
            try:
                batch[k] = decode(file, self.size, self.channels)
            except UNREADABLE as error:
                raise DataError(f"{file} cannot be decoded ({error}): remove or replace it.") from error
        return batch


def read(folder: Path, size: int, channels: int, eager: int = EAGER) -> ImageSet:
    """All pictures in and below `folder` in the order of their paths, [n, size, size, channels].

    Labels are the subfolders directly below `folder`, if there are several and no picture lies beside them.
    Files that are no pictures, or damaged, are left out and listed in `ImageSet.skipped`; hidden files are not looked
    at. Raises DataError if no picture is left.
    """
    candidates = candidate_files(folder)
    images: Images
    if len(candidates) * size * size * channels <= eager:
        images, files, skipped = _decode_all(candidates, size, channels)
    else:
        files, skipped = _readable(candidates)
        images = Pictures(tuple(files), size, channels)
    skipped_names = tuple((path.relative_to(folder).as_posix(), reason) for path, reason in skipped)
    labels, names = _labels(folder, files)
    found = ImageSet(images, labels, names, folder.name, skipped_names)
    if not files:
        raise DataError(f"{folder} holds no picture that can be read{': ' + found.report if skipped else ''}.")
    return found


def candidate_files(folder: Path) -> list[Path]:
    """Every file in and below `folder` that is not hidden, in the order of their paths. Raises DataError."""
    if not folder.is_dir():
        raise DataError(f"No folder {folder}.")
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def decode(file: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """One picture as uint8 [size, size, channels]: upright, its middle square, scaled by Pillow's bilinear filter.

    (The filter of the published FFHQ-256 images.) Transparent parts become white, 16-bit values keep their upper 8.
    Raises OSError, ValueError or SyntaxError for what is no picture.
    """
    with Image.open(file) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I;16"):
            picture = Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
        if picture.mode in ("I", "F"):
            raise ValueError("32-bit values, whose black and white are unknown")
        if picture.has_transparency_data:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
        picture = picture.convert("L" if channels == 1 else "RGB")
        square = ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(square).reshape(size, size, channels)


Skipped = list[tuple[Path, str]]


def _decode_all(candidates: list[Path], size: int, channels: int) -> tuple[NDArray[np.uint8], list[Path], Skipped]:
    images = np.empty((len(candidates), size, size, channels), np.uint8)
    files: list[Path] = []
    skipped: Skipped = []
    for path in candidates:
        try:
            images[len(files)] = decode(path, size, channels)
            files.append(path)
        except UNREADABLE as error:
            skipped.append((path, reason(error)))
    return images[: len(files)], files, skipped


def _readable(candidates: Iterable[Path]) -> tuple[list[Path], Skipped]:
    """Which files begin like pictures: quick, but damage further inside shows only when they are decoded."""
    files: list[Path] = []
    skipped: Skipped = []
    for path in candidates:
        try:
            with Image.open(path):
                files.append(path)
        except UNREADABLE as error:
            skipped.append((path, reason(error)))
    return files, skipped


def reason(error: Exception) -> str:
    """Why a file was skipped, without its name, so that equal reasons are counted together."""
    if isinstance(error, UnidentifiedImageError):
        return "no picture that Pillow can read"
    if isinstance(error, Image.DecompressionBombError):
        return "too many pixels"
    if isinstance(error, ValueError):
        return str(error)
    return "truncated or damaged"


def _labels(folder: Path, files: list[Path]) -> tuple[NDArray[np.int64] | None, tuple[str, ...] | None]:
    parts = [path.relative_to(folder).parts for path in files]
    names = tuple(sorted({part[0] for part in parts}))
    if len(names) < 2 or any(len(part) == 1 for part in parts):
        return None, None
    number = {name: k for k, name in enumerate(names)}
    return np.array([number[part[0]] for part in parts], np.int64), names
