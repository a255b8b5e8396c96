""".npy files are mapped, and checked before anything is read from them."""

from pathlib import Path

import numpy as np
import pytest

from training.data import npy
from training.data.images import DataError


@pytest.mark.parametrize("shape", [(5, 4, 4, 3), (5, 4, 6, 1), (5, 4, 4)])
def test_images_are_mapped_not_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.save(tmp_path / "train.npy", images)
    found = npy.read(tmp_path / "train.npy").images
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, images.reshape(*shape[:3], -1))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No train\.npy: looked in .*" + tmp_path.name):
        npy.read(tmp_path / "train.npy")


def test_truncated_file_gives_expected_and_actual_bytes(tmp_path: Path) -> None:
    file = tmp_path / "train.npy"
    np.save(file, np.zeros((5, 4, 4, 3), np.uint8))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="truncated: its header announces 368 bytes, and it holds 367"):
        npy.read(file)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\x10\x00{'descr': oops"]
)
def test_files_of_other_kinds_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"not a \.npy file, or its header is damaged"):
        npy.read(tmp_path / "train.npy")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 3, 4, 4), np.uint8),  # planes, not pixels
        np.zeros((5, 4, 4, 3), np.float32),
        np.array([{}, []], dtype=object),  # would be unpickled
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "train.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=r"should hold uint8 images \[n, height, width, 1 or 3\]"):
        npy.read(tmp_path / "train.npy")
