"""A look at a folder of pictures before anything is learned from it: how many, how large, grey or in colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.folder import UNREADABLE, candidate_files, decode, reason
from training.data.images import DataError, ImageSet

PROBE = 32  # each picture is looked at as a square of so many pixels on a side


@dataclass(frozen=True)
class Survey:
    """What the pictures of a folder have in common."""

    folder: Path
    count: int  # pictures that can be read
    shorter_sides: tuple[int, int, int]  # the smallest, the median and the largest, in pixels
    one_size: bool  # all are squares of the same size
    channels: int  # 1 if every picture is grey
    mean: float  # of all values, 0..255
    std: float
    skipped: tuple[tuple[str, str], ...]  # files that are no pictures or damaged, each with the reason

    @property
    def report(self) -> str:
        """The survey in words, the unreadable files by name."""
        smallest, median, largest = self.shorter_sides
        size = f"{median}x{median}" if self.one_size else f"shorter side {smallest} to {largest}, median {median}"
        found = f"{self.count:,} pictures, {'grey' if self.channels == 1 else 'colour'}, {size}"
        skipped = ImageSet(np.empty(0, np.uint8), None, None, "", self.skipped).report
        return "\n".join(part for part in (found, skipped) if part)


def survey(folder: Path) -> Survey:
    """Decode every picture in and below `folder` once. Raises DataError if none can be read."""
    sizes: list[tuple[int, int]] = []
    skipped: list[tuple[str, str]] = []
    grey, moments = True, np.zeros(2)
    for path in candidate_files(folder):
        try:
            with Image.open(path) as picture:
                size = picture.size
            pixels = decode(path, PROBE, 3)
        except UNREADABLE as error:
            skipped.append((path.relative_to(folder).as_posix(), reason(error)))
            continue
        sizes.append(size)
        grey = grey and bool((pixels == pixels[..., :1]).all())
        values = pixels.astype(np.float64)
        moments += values.mean(), np.square(values).mean()
    if not sizes:
        named = "".join(f" {file}: {why}." for file, why in skipped[:3])
        raise DataError(f"{folder} holds no picture that can be read.{named}")
    shorter = np.min(sizes, axis=1)
    mean, square = moments / len(sizes)
    return Survey(
        folder=folder,
        count=len(sizes),
        shorter_sides=(int(shorter.min()), int(np.median(shorter)), int(shorter.max())),
        one_size=len(set(sizes)) == 1 and sizes[0][0] == sizes[0][1],
        channels=1 if grey else 3,
        mean=float(mean),
        std=float(max(1.0, square - mean**2) ** 0.5),
        skipped=tuple(skipped),
    )
