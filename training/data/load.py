"""From the data section of a recipe to one split of its images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data import cifar, folder, idx, npy
from training.data.config import Data, Split
from training.data.images import DataError, ImageSet, Rows
from training.data.sources import how_to_get

__all__ = ["DataError", "ImageSet", "load"]


def load(data: Data, split: Split, root: Path) -> ImageSet:
    """The images of `split`, uint8 [n, H, W, C], of the files under `root / data.path`.

    Splits never overlap, with the one exception that `Data.test_images` explains. Neither flips nor binarisation
    happen here, they belong to the batches; `data.shrink` and the quantisation of `data.bits` do.
    Raises DataError if a file is missing or damaged, or holds images other than `data` says.
    """
    own_test_files = data.format in ("idx", "cifar10") or data.test is not None
    files_of: Literal["train", "test"] = "test" if split == "test" and own_test_files else "train"
    try:
        files = _read(data, files_of, root / data.path)
    except DataError as error:
        raise DataError(f"{data.name}: {error} {how_to_get(data.name, root)}".rstrip()) from error
    _check_shape(data, files)
    index = np.arange(len(files)) if files_of == "test" else held_out(len(files), data)[split]
    if len(index) == 0:
        key = "data.validation" if split == "validation" else "data.test, data.test_images or data.validation"
        raise DataError(f"{data.name} has no {split} images: set {key} in the recipe.")
    rows = Rows(files.images, index, data.bits, data.shrink)
    return ImageSet(
        images=rows[:] if type(files.images) is np.ndarray else rows,
        labels=None if files.labels is None else files.labels[index],
        label_names=files.label_names or data.label_names,
        source=f"{data.name} {split}: {len(index):,} of the {len(files):,} images of {files.source}",
        skipped=files.skipped,
    )


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
    if data.validation_from == "start":
        order = order[::-1]
    train, test, validation = (np.sort(part) for part in np.split(order, [kept, kept + data.test_images]))
    return {"train": train, "validation": validation, "test": test if data.test_images else validation}


def _read(data: Data, split: Literal["train", "test"], path: Path) -> ImageSet:
    name = (data.train if split == "train" else data.test) or ""
    match data.format:
        case "idx":
            return idx.read(path, split)
        case "cifar10":
            return cifar.read(path, split)
        case "npy":
            return npy.read(path / name)
        case "folder":
            assert data.image_size is not None  # Data makes sure
            return folder.read(path / name, data.image_size, data.channels or 3)


def _check_shape(data: Data, files: ImageSet) -> None:
    height, width, channels = files.images.shape[1:]
    if data.image_size is not None and (height, width) != (data.image_size, data.image_size):
        raise DataError(f"data.image_size is {data.image_size}, but {files.source} holds {height}x{width} images.")
    if data.channels is not None and channels != data.channels:
        raise DataError(f"data.channels is {data.channels}, but the images of {files.source} have {channels}.")
