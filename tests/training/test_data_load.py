"""From a recipe's data section to a split: no image in two splits, the published splits, errors that help."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from training.data.config import Data, Split
from training.data.images import DataError, ImageSet
from training.data.load import held_out, load


def npy_data(**changes: Any) -> Data:
    return Data.model_validate({"format": "npy", "path": ".", "name": "Toy", "train": "train.npy"} | changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """train.npy, twenty images that show their own number, and test.npy, three."""
    numbers = np.arange(20, dtype=np.uint8)
    np.save(tmp_path / "train.npy", np.broadcast_to(numbers[:, None, None, None], (20, 4, 4, 3)))
    np.save(tmp_path / "test.npy", np.full((3, 4, 4, 3), 255, np.uint8))
    return tmp_path


def shown(images: ImageSet) -> list[int]:
    return [int(number) for number in images.images[:][:, 0, 0, 0]]


@given(
    count=st.integers(1, 300),
    validation=st.integers(0, 100),
    test_images=st.integers(0, 100),
    seed=st.integers(0, 2**32 - 1),
    end=st.sampled_from(["start", "end"]),
)
def test_splits_share_no_image_and_lose_none(
    count: int, validation: int, test_images: int, seed: int, end: str
) -> None:
    data = npy_data(validation=validation, test_images=test_images, validation_seed=seed, validation_from=end)
    if count <= validation + test_images:
        with pytest.raises(DataError, match="leaves none"):
            held_out(count, data)
        return
    splits = held_out(count, data)
    assert len(splits["validation"]) == validation
    names: list[Split] = ["train", "validation", "test"] if test_images else ["train", "validation"]
    assert sorted(np.concatenate([splits[name] for name in names]).tolist()) == list(range(count))


def test_held_out_images_are_the_published_ones() -> None:
    """FFHQ-256 (seed 5, the end) as in openai/vdvae; CIFAR-10 (the start) as scikit-learn's train_test_split."""
    ffhq = held_out(70_000, npy_data(validation=7_000, validation_seed=5))
    np.random.seed(5)
    order = np.random.permutation(70_000)
    assert set(ffhq["validation"].tolist()) == set(order[-7_000:].tolist())
    assert ffhq["validation"][:3].tolist() == [10, 18, 20]
    cifar = Data(
        format="cifar10", path=".", name="CIFAR-10", validation=5_000, validation_seed=11172018, validation_from="start"
    )
    first = np.random.RandomState(11172018).permutation(50_000)[:5_000]
    assert set(held_out(50_000, cifar)["validation"].tolist()) == set(first.tolist())


def test_training_files_are_mapped_and_split(root: Path) -> None:
    data = npy_data(test="test.npy", validation=4)
    train, validation, test = (load(data, split, root) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (16, 4, 3)
    assert sorted(shown(train) + shown(validation)) == list(range(20))
    assert shown(test) == [255] * 3
    assert not isinstance(train.images, np.ndarray), "a big file stays on disk"
    np.testing.assert_array_equal(train.images[np.array([2, 0])], train.images[:3][[2, 0]])
    assert train.source == "Toy train: 16 of the 20 images of train.npy"


def test_without_test_files_the_validation_images_or_others_are_the_test(root: Path) -> None:
    shared_split, own_split = npy_data(validation=4), npy_data(validation=4, test_images=5)
    assert shown(load(shared_split, "test", root)) == shown(load(shared_split, "validation", root))
    assert len(load(own_split, "test", root)) == 5
    assert not set(shown(load(own_split, "test", root))) & set(shown(load(own_split, "validation", root)))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_that_is_not_there_says_how_to_have_it(root: Path, split: Split) -> None:
    with pytest.raises(DataError, match=rf"Toy has no {split} images: set data\."):
        load(npy_data(), split, root)


def test_shrink_takes_the_nearest_mean_of_each_square(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), np.uint8)
    np.save(tmp_path / "train.npy", images)
    loaded = load(npy_data(shrink=2), "train", tmp_path).images
    assert loaded.shape == (3, 2, 3, 3)
    means = images.astype(float).reshape(3, 2, 2, 3, 2, 3).mean(axis=(2, 4))
    assert np.abs(loaded[:] - means).max() <= 0.5
    assert loaded[1:2].shape == (1, 2, 3, 3)  # also when only some are read


def test_shrink_comes_before_the_quantisation(tmp_path: Path) -> None:
    square = np.array([[7, 9], [7, 9]], np.uint8)  # the mean keeps the bit that two of the pixels do not have
    np.save(tmp_path / "train.npy", square[None, :, :, None])
    assert load(npy_data(shrink=2, bits=5), "train", tmp_path).images[:].tolist() == [[[[8]]]]


def test_shrink_must_divide_the_size(root: Path) -> None:
    with pytest.raises(DataError, match=r"data\.shrink is 3, which does not divide images of 4x4"):
        load(npy_data(shrink=3), "train", root)


@pytest.mark.parametrize(("bits", "value"), [(8, 219), (5, 216), (1, 128)])
def test_bits_keep_the_upper_ones(tmp_path: Path, bits: int, value: int) -> None:
    np.save(tmp_path / "train.npy", np.full((2, 4, 4, 3), 219, np.uint8))
    assert (load(npy_data(bits=bits), "train", tmp_path).images[:] == value).all()


def test_images_must_be_what_the_recipe_says(root: Path) -> None:
    with pytest.raises(DataError, match=r"image_size is 32, but train\.npy holds 4x4 images"):
        load(npy_data(image_size=32), "train", root)
    with pytest.raises(DataError, match=r"channels is 1, but the images of train\.npy have 3"):
        load(npy_data(channels=1), "train", root)


def test_folders_of_pictures_are_split_like_files(tmp_path: Path) -> None:
    for k in range(10):
        Image.new("L", (5 + k, 9), k).save(tmp_path / f"{k}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    data = Data(format="folder", path=".", name="Mine", image_size=8, channels=1, validation=2, test_images=3)
    sets = {split: load(data, split, tmp_path) for split in ("train", "validation", "test")}
    assert sorted(number for images in sets.values() for number in shown(images)) == list(range(10))
    assert sets["train"].images.shape == (5, 8, 8, 1)
    assert "notes.txt" in sets["train"].report


def test_missing_files_say_where_and_how_to_get_them(tmp_path: Path) -> None:
    mnist = Data(format="idx", path="mnist", name="MNIST")
    with pytest.raises(DataError, match=r"(?s)looked for train-images.* in .*mnist.*training\.data\.download mnist"):
        load(mnist, "train", tmp_path)
    fashion = Data(format="idx", path="fashion-mnist", name="Fashion-MNIST")
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        load(fashion, "train", tmp_path)
    with pytest.raises(DataError, match=r"^Toy: No train\.npy: looked in .*\.$"):
        load(npy_data(), "train", tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flip": True}, "Extra inputs"),
        ({"train": None}, "npy needs `train`"),
        ({"test": "test.npy", "test_images": 3}, "not both"),
        ({"format": "idx"}, "idx has fixed names"),
        ({"format": "folder"}, "folder needs image_size"),
        ({"label_names": ["a"]}, "label_names is for idx"),
        ({"bits": 9}, "less than or equal to 8"),
        ({"validation": -1}, "greater than or equal to 0"),
    ],
)
def test_data_sections_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        npy_data(**changes)


def test_real_mnist(shared: Path) -> None:
    data = Data(format="idx", path="mnist", name="MNIST", image_size=28, channels=1, validation=1000)
    train, test = load(data, "train", shared / "data"), load(data, "test", shared / "data")
    assert train.images.shape == (59_000, 28, 28, 1)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert test.labels is not None
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_truncated_mnist_is_reported(shared: Path, tmp_path: Path) -> None:
    """The published file, cut in the middle: as an interrupted copy leaves it."""
    content = (shared / "data/mnist/t10k-images-idx3-ubyte.gz").read_bytes()
    plain = tmp_path / "t10k-images-idx3-ubyte"
    plain.write_bytes(gzip.decompress(content)[:4_000_000])
    data = Data(format="idx", path=".", name="MNIST")
    words = "truncated: its header announces 10000 x 28 x 28 values, 7,840,016 bytes in all, and it holds 4,000,000"
    with pytest.raises(DataError, match=words):
        load(data, "test", tmp_path)
    plain.unlink()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(content[:1_000_000])
    with pytest.raises(DataError, match="truncated or damaged: its 1,000,000 bytes do not unpack"):
        load(data, "test", tmp_path)


def test_real_cifar10(shared: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(shared / "data/unpack.py"), str(tmp_path)], check=True, capture_output=True)
    try:
        data = Data(format="cifar10", path=".", name="CIFAR-10", image_size=32, channels=3, validation=5000)
        train, test = load(data, "train", tmp_path), load(data, "test", tmp_path)
        assert (len(train), len(test)) == (45_000, 10_000)
        assert test.label_names is not None
        assert test.label_names[6] == "frog"
        assert test.labels is not None
        assert np.bincount(test.labels).tolist() == [1000] * 10
        record = (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").read_bytes()[:3073]
        pixels = np.frombuffer(record, np.uint8, offset=1).reshape(3, 32, 32).transpose(1, 2, 0)
        np.testing.assert_array_equal(test.images[:1][0], pixels)
    finally:
        shutil.rmtree(tmp_path / "cifar-10-batches-bin")  # 180 MB
