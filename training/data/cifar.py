"""CIFAR-10 batches, binary or Python: https://www.cs.toronto.edu/~kriz/cifar.html.

A binary record is one label byte and 3,072 bytes of pixels; a Python batch is a pickled dictionary with the same
pixels as an array. Either way a file holds 10,000 images, each as planes R, G, B of 32x32.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.data.images import DataError, ImageSet

RECORDS = 10_000  # in each file
PIXELS = 3 * 32 * 32
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def read(folder: Path, split: Literal["train", "test"], records: int = RECORDS) -> ImageSet:
    """The official training or test images, [n, 32, 32, 3], from the binary or else the Python batches in `folder`.

    Raises DataError for a file that is missing or does not hold `records` images.
    """
    binary, python = folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"
    if not binary.is_dir() and not python.is_dir():
        raise DataError(f"No CIFAR-10 batches: looked for {binary.name} or {python.name} in {folder}.")
    form, suffix, read_file = (binary, ".bin", _binary) if binary.is_dir() else (python, "", _python)
    files = [form / f"{name}{suffix}" for name in BATCHES[split]]
    if missing := [file.name for file in files if not file.is_file()]:
        raise DataError(f"{form} has no {', '.join(missing)}.")

    pixels = np.empty((len(files), records, 3, 32, 32), np.uint8)
    labels = np.empty((len(files), records), np.int64)
    for k, file in enumerate(files):
        labels[k], flat = read_file(file, records)
        pixels[k] = flat.reshape(-1, 3, 32, 32)
        if labels[k].max() > 9 or labels[k].min() < 0:
            raise DataError(f"{file} is damaged: a label is {labels[k].max()}, and CIFAR-10 has labels 0 to 9.")
    images = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    source = f"{form.name}/{BATCHES[split][0]}{' to 5' if split == 'train' else ''}"
    return ImageSet(images, labels.reshape(-1), _label_names(form), source)


def load_pickle(file: Path) -> Any:
    """The content of a pickle made of nothing but containers, numbers, bytes and NumPy arrays.

    Unpickling calls what the file names, so a pickle from elsewhere can run anything; this one refuses every name
    but the three that NumPy arrays are built with. Raises DataError for a refused name or a damaged file.
    """
    with file.open("rb") as stream:
        try:
            return _Plain(stream, encoding="bytes").load()
        except DataError:
            raise
        except Exception as error:  # damaged pickles raise anything: EOFError, KeyError, UnicodeDecodeError, ...
            size = file.stat().st_size
            raise DataError(f"{file} is truncated or damaged: its {size:,} bytes are no pickle ({error}).") from error


class _Plain(pickle.Unpickler):
    """Builds NumPy arrays and plain containers only, under the names that NumPy 1 and 2 give to the builders."""

    # What NumPy itself says that it rebuilds an array with; its module was renamed between NumPy 1 and 2.
    allowed = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise DataError(
                f"Refused to unpickle: the file wants {module}.{name}, and CIFAR-10 batches need NumPy arrays only. "
                "Do not trust it; the binary batches hold the same images."
            )
        return self.allowed[module, name]


def _binary(file: Path, records: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    content = np.fromfile(file, np.uint8)
    expected = records * (1 + PIXELS)
    if len(content) != expected:
        problem = "truncated" if len(content) < expected else "not a CIFAR-10 batch"
        raise DataError(
            f"{file} is {problem}: {records:,} images take {expected:,} bytes, and it holds {len(content):,}."
        )
    table = content.reshape(records, 1 + PIXELS)
    return table[:, 0].astype(np.int64), table[:, 1:]


def _python(file: Path, records: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    batch = load_pickle(file)
    if not isinstance(batch, dict) or b"data" not in batch or b"labels" not in batch:
        raise DataError(f"{file} is not a CIFAR-10 batch: it should be a dictionary with data and labels.")
    data, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
    if data.dtype != np.uint8 or data.shape != (records, PIXELS):
        raise DataError(f"{file}: data is {data.dtype} {data.shape}, and should be uint8 {(records, PIXELS)}.")
    if labels.dtype.kind not in "iu" or labels.shape != (records,):
        raise DataError(f"{file}: labels are {labels.dtype} {labels.shape}, and should be integers {(records,)}.")
    return labels.astype(np.int64), data


def _label_names(form: Path) -> tuple[str, ...] | None:
    text, pickled = form / "batches.meta.txt", form / "batches.meta"
    if text.is_file():
        return tuple(text.read_text("utf-8").split())
    if pickled.is_file():
        names = load_pickle(pickled)[b"label_names"]
        return tuple(name.decode() for name in names)
    return None
