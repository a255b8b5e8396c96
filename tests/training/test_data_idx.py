"""IDX files: both forms are read, and every kind of damage gets a sentence that names it."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from training.data import idx
from training.data.images import DataError


def content(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 4, 5)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, images: np.ndarray) -> Path:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content(images))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(content(np.arange(7, dtype=np.uint8)))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(content(images[:3])))
    return tmp_path


def test_plain_and_gzipped_files_hold_the_same_images(folder: Path, images: np.ndarray) -> None:
    train, test = idx.read(folder, "train"), idx.read(folder, "test")
    np.testing.assert_array_equal(train.images, images[..., None])
    np.testing.assert_array_equal(test.images, images[:3, ..., None])
    assert train.labels is not None
    assert train.labels.tolist() == list(range(7))
    assert test.labels is None, "labels are optional: nothing but a picture of samples uses them"


def test_missing_file_is_named_with_the_place_looked_in(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz in .*" + tmp_path.name):
        idx.read(tmp_path, "train")


@pytest.mark.parametrize(
    ("cut", "words"),
    [(1, "156 bytes in all, and it holds 155"), (150, "6 bytes, and its header alone takes 16"), (156, "with nothing")],
)
def test_truncated_file_gives_expected_and_actual_bytes(folder: Path, cut: int, words: str) -> None:
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=words):
        idx.read(folder, "train")


def test_truncated_gzip_file_is_reported(folder: Path) -> None:
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte.gz is truncated"):
        idx.read(folder, "test")


def test_other_magic_is_refused(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match="starts with 3c68746d, not 00000803"):
        idx.read(folder, "train")


def test_labels_must_match_images(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte").write_bytes(content(np.arange(6, dtype=np.uint8)))
    with pytest.raises(DataError, match="6 labels, train-images-idx3-ubyte has 7 images"):
        idx.read(folder, "train")
