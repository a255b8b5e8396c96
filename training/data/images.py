"""What every reader returns: a set of uint8 images, and the one error that all of them raise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class DataError(Exception):
    """Image files that are missing, damaged or of the wrong kind; the message says which, where and what now."""


@dataclass(frozen=True)
class Rows:
    """Some images of a big array, in a given order, read only when indexed (a memory map stays on disk).

    It answers what a batch needs of an array: `len`, `shape`, `dtype`, and `rows[i]` with an int, a slice or an
    integer array, which copies just those images.
    """

    array: NDArray[np.uint8]  # [N, H, W, C]
    index: NDArray[np.intp]  # [n], rows of `array`

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.index), *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        return self.array.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: int | slice | NDArray[np.integer]) -> NDArray[np.uint8]:
        return np.asarray(self.array[self.index[key]])


Images = NDArray[np.uint8] | Rows


@dataclass(frozen=True)
class ImageSet:
    """One split of a data set."""

    images: Images  # uint8 [n, H, W, C]; a memory map, or Rows of one, where the file is big
    labels: NDArray[np.int64] | None  # [n]
    label_names: tuple[str, ...] | None  # what label k is called
    source: str  # where the images came from, in words, for logs and cards

    def __len__(self) -> int:
        return len(self.images)
