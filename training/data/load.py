"""From the data section of a recipe to one split of its images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data import idx
from training.data.config import Data, Split
from training.data.images import DataError, Images, ImageSet, Rows

__all__ = ["DataError", "ImageSet", "Rows", "load"]


def load(data: Data, split: Split, root: Path) -> ImageSet:
    """The images of `split`, uint8 [n, H, W, C], of the files under `root / data.path`.

    Splits never overlap, with the one exception that `Data.test_images` explains. Neither flips nor binarisation
    happen here, they belong to the batches; the quantisation of `data.bits` does.
    Raises DataError if a file is missing or damaged, or holds images other than `data` says.
    """
    files = _read(data, "test" if split == "test" else "train", root / data.path)
    _check_shape(data, files)
    if split != "test":
        chosen = held_out(len(files), data)[split]
        files = _take(files, chosen)
    if len(files) == 0:
        raise DataError(f"{data.name} has no {split} images: set data.validation to the number to hold out.")
    source = f"{data.name} {split}: {len(files):,} images of {files.source}"
    return ImageSet(_quantise(files.images, data.bits), files.labels, files.label_names or data.label_names, source)


def held_out(count: int, data: Data) -> dict[Split, NDArray[np.intp]]:
    """Which of `count` images of the training files belong to which split: the rule in the docstring of Data.

    RandomState, not Generator: its streams are frozen for ever, and the published splits were made with it.
    """
    kept = count - data.validation - data.test_images
    if kept <= 0:
        raise DataError(
            f"{data.name} has {count:,} training images: holding out {data.validation:,} for validation and "
            f"{data.test_images:,} for the test leaves none."
        )
    order = np.random.RandomState(data.validation_seed).permutation(count)
    train, test, validation = np.split(order, [kept, kept + data.test_images])
    return {"train": np.sort(train), "test": np.sort(test), "validation": np.sort(validation)}


def _read(data: Data, split: Literal["train", "test"], folder: Path) -> ImageSet:
    match data.format:
        case "idx":
            return idx.read(folder, split)
        case _:
            raise DataError(f"data.format {data.format} cannot be read yet.")


def _check_shape(data: Data, files: ImageSet) -> None:
    height, width, channels = files.images.shape[1:]
    if data.image_size not in (None, height) or data.image_size not in (None, width):
        raise DataError(f"data.image_size is {data.image_size}, and {files.source} holds images of {height}x{width}.")
    if data.channels not in (None, channels):
        raise DataError(f"data.channels is {data.channels}, and {files.source} holds images of {channels} channels.")


def _take(files: ImageSet, index: NDArray[np.intp]) -> ImageSet:
    if len(index) == len(files):
        return files
    images = Rows(files.images, index) if isinstance(files.images, np.memmap) else files.images[index]
    labels = None if files.labels is None else files.labels[index]
    return ImageSet(images, labels, files.label_names, files.source)


def _quantise(images: Images, bits: int) -> Images:
    if bits == 8:
        return images
    return images[:] & np.uint8(256 - (1 << (8 - bits)))
