"""What every reader returns: a set of uint8 images, and the one error that all of them raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class DataError(Exception):
    """Image files that are missing, damaged or of the wrong kind; the message says which, where and what now."""


class LazyImages(Protocol):
    """Images that are read when indexed. What batches need of an array, and no more."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice | NDArray[np.intp]) -> NDArray[np.uint8]: ...


# uint8 [n, H, W, C]: an array, a memory map, or something that reads files when it is indexed.
Images = NDArray[np.uint8] | LazyImages


@dataclass(frozen=True)
class Rows:
    """The images `index` of others, shrunk and quantised to `bits`, read only when indexed: a memory map stays on disk.

    Raises DataError if `shrink` does not divide their size.
    """

    images: Images  # [N, H, W, C]
    index: NDArray[np.intp]  # [n], rows of `images`
    bits: int = 8
    shrink: int = 1

    def __post_init__(self) -> None:
        height, width = self.images.shape[1:3]
        if height % self.shrink or width % self.shrink:
            raise DataError(f"data.shrink is {self.shrink}, which does not divide images of {height}x{width}.")

    @property
    def shape(self) -> tuple[int, ...]:
        _, height, width, channels = self.images.shape
        return (len(self.index), height // self.shrink, width // self.shrink, channels)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: slice | NDArray[np.intp]) -> NDArray[np.uint8]:
        chosen = np.asarray(self.images[self.index[key]])
        chosen = shrunk(chosen, self.shrink) if self.shrink > 1 else chosen
        return chosen if self.bits == 8 else chosen & np.uint8(256 - (1 << (8 - self.bits)))


def shrunk(images: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    """The mean of each square of `by` x `by` pixels, to the nearest: [n, H, W, C] -> [n, H / by, W / by, C]."""
    count, height, width, channels = images.shape
    squares = images.reshape(count, height // by, by, width // by, by, channels)
    area = by * by
    return ((squares.sum(axis=(2, 4), dtype=np.uint32) + area // 2) // area).astype(np.uint8)


@dataclass(frozen=True)
class ImageSet:
    """One split of a data set."""

    images: Images  # uint8 [n, H, W, C]
    labels: NDArray[np.int64] | None  # [n]
    label_names: tuple[str, ...] | None  # what label k is called
    source: str  # where the images came from, in words, for logs and cards
    skipped: tuple[tuple[str, str], ...] = ()  # files that are not among them, each with the reason

    def __len__(self) -> int:
        return len(self.images)

    @property
    def report(self) -> str:
        """What was skipped and why, one line for each reason with a few of the files; empty if nothing was."""
        reasons: dict[str, list[str]] = {}
        for file, reason in self.skipped:
            reasons.setdefault(reason, []).append(file)
        lines = [
            f"  {reason}: {len(files):,} ({', '.join(files[:3])}{', ...' if len(files) > 3 else ''})"
            for reason, files in sorted(reasons.items(), key=lambda item: -len(item[1]))
        ]
        count = len(self.skipped)
        return "\n".join([f"skipped {count:,} file{'s' * (count != 1)}", *lines]) if lines else ""
