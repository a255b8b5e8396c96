"""CIFAR-10: both published forms give the same images, and no pickle runs code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.data import cifar
from training.data.images import DataError

N = 4  # images in a file; the published ones have 10,000
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
Batch = dict[bytes, Any]


def python2(value: Any) -> bytes:
    """`value` pickled with the opcodes that Python 2 and NumPy 1 wrote the published files with."""

    def number(n: int) -> bytes:
        return b"J" + n.to_bytes(4, "little", signed=True)

    def code(value: Any) -> bytes:
        match value:
            case bytes():
                return b"T" + len(value).to_bytes(4, "little") + value
            case int():
                return number(value)
            case list():
                return b"](" + b"".join(map(code, value)) + b"e"
            case dict():
                return b"}(" + b"".join(code(k) + code(v) for k, v in value.items()) + b"u"
            case np.ndarray():
                empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + code(b"b") + b"\x87R"
                dtype = b"cnumpy\ndtype\n" + code(b"u1") + b"K\x00K\x01\x87R"
                dtype += b"(K\x03" + code(b"|") + b"NNN" + number(-1) + number(-1) + b"K\x00tb"
                shape = b"(" + b"".join(map(number, value.shape)) + b"t"
                return empty + b"(K\x01" + shape + dtype + b"\x89" + code(value.tobytes()) + b"tb"
        raise TypeError(type(value))

    return b"\x80\x02" + code(value) + b"."


@pytest.fixture
def batches() -> dict[str, Batch]:
    rng = np.random.default_rng(0)
    return {
        name: {b"labels": rng.integers(0, 10, N).tolist(), b"data": rng.integers(0, 256, (N, 3072)).astype(np.uint8)}
        for name in [*cifar.BATCHES["train"], *cifar.BATCHES["test"]]
    }


@pytest.fixture
def python(tmp_path: Path, batches: dict[str, Batch]) -> Path:
    folder = tmp_path / "python" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, batch in batches.items():
        (folder / name).write_bytes(python2(batch))
    (folder / "batches.meta").write_bytes(python2({b"label_names": [name.encode() for name in CLASSES]}))
    return folder.parent


@pytest.fixture
def binary(tmp_path: Path, batches: dict[str, Batch]) -> Path:
    folder = tmp_path / "binary" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, batch in batches.items():
        records = np.column_stack([np.array(batch[b"labels"], np.uint8), batch[b"data"]])
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    return folder.parent


@pytest.mark.parametrize("form", ["binary", "python"])
def test_planes_become_pixels_and_files_follow_each_other(
    form: str, request: pytest.FixtureRequest, batches: dict[str, Batch]
) -> None:
    train = cifar.read(request.getfixturevalue(form), "train", records=N)
    assert train.images.shape == (5 * N, 32, 32, 3)
    third = batches["data_batch_1"][b"data"][2]
    np.testing.assert_array_equal(train.images[2:3][0, 5, 7], third.reshape(3, 32, 32)[:, 5, 7])
    assert train.labels is not None
    assert train.labels.tolist() == [label for i in range(1, 6) for label in batches[f"data_batch_{i}"][b"labels"]]
    assert train.label_names == CLASSES


def test_both_forms_hold_the_same_test_images(binary: Path, python: Path) -> None:
    a, b = cifar.read(binary, "test", records=N), cifar.read(python, "test", records=N)
    np.testing.assert_array_equal(a.images[:], b.images[:])


def test_missing_folder_and_file_are_named(binary: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"looked for cifar-10-batches-bin or cifar-10-batches-py in .*empty"):
        cifar.read(tmp_path / "empty", "train")
    (binary / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"has no data_batch_3\.bin"):
        cifar.read(binary, "train", records=N)


def test_truncated_binary_batch_gives_expected_and_actual_bytes(binary: Path) -> None:
    file = binary / "cifar-10-batches-bin" / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-3073])
    with pytest.raises(DataError, match=r"test_batch\.bin is truncated: 4 images take 12,292 bytes, .* holds 9,219"):
        cifar.read(binary, "test", records=N)


def test_labels_beyond_nine_are_damage(binary: Path) -> None:
    file = binary / "cifar-10-batches-bin" / "test_batch.bin"
    file.write_bytes(b"\x0a" + file.read_bytes()[1:])
    with pytest.raises(DataError, match="a label is 10"):
        cifar.read(binary, "test", records=N)


@pytest.mark.parametrize("cut", [1, 3000, 12000])
def test_truncated_python_batch_is_reported(python: Path, cut: int) -> None:
    file = python / "cifar-10-batches-py" / "test_batch"
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(DataError, match="test_batch is truncated or damaged"):
        cifar.read(python, "test", records=N)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([], "should be a dictionary with data and labels"),
        ({b"data": np.zeros((N, 9), np.uint8), b"labels": [0] * N}, r"data is uint8 \(4, 9\), and should be"),
        ({b"data": np.zeros((N, 3072), np.uint8), b"labels": [0]}, r"labels are int64 \(1,\), and should be"),
    ],
)
def test_other_content_is_refused(python: Path, batch: Any, words: str) -> None:
    (python / "cifar-10-batches-py" / "test_batch").write_bytes(python2(batch))
    with pytest.raises(DataError, match=words):
        cifar.read(python, "test", records=N)


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    file, target = tmp_path / "test_batch", tmp_path / "made-by-the-pickle"
    file.write_bytes(pickle.dumps({"data": Evil(target)}, protocol))
    with pytest.raises(DataError, match=r"Refused to unpickle: the file wants (posix|nt)\.mkdir"):
        cifar.load_pickle(file)
    assert not target.exists()


@pytest.mark.parametrize("name", [b"builtins\neval", b"builtins\ngetattr", b"numpy\nload", b"numpy\nfromfile"])
def test_names_that_could_reach_code_are_refused(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "batch").write_bytes(b"\x80\x02c" + name + b"\n.")
    with pytest.raises(DataError, match="Refused to unpickle"):
        cifar.load_pickle(tmp_path / "batch")
