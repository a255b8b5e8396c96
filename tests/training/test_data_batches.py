"""Batch k is a function of (seed, k), whatever was asked before; every image comes once an epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.batches import Batches, binarised, evaluation_batches
from training.data.config import Binarise

HOW: list[Binarise] = ["none", "dynamic", "threshold"]


def numbered(count: int) -> np.ndarray:
    """Images [count, 2, 3, 1] that show their own number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 2, 3, 1)).copy()


@given(count=st.integers(1, 60), size=st.integers(1, 90), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 5))
def test_every_epoch_has_every_image_once(count: int, size: int, seed: int, epoch: int) -> None:
    batches = Batches(numbered(count), size, seed)
    first, last = epoch * count, (epoch + 1) * count
    steps = range(first // size, -(-last // size))
    seen = np.concatenate([batches.indices(step) for step in steps])[first - steps[0] * size :][:count]
    assert sorted(seen) == list(range(count))


@given(seed=st.integers(0, 2**32), how=st.sampled_from(HOW), steps=st.permutations(range(6)))
def test_a_batch_is_the_same_whatever_was_asked_before(seed: int, how: Binarise, steps: list[int]) -> None:
    images = np.random.default_rng(1).integers(0, 256, (10, 4, 4, 3)).astype(np.uint8)
    one = Batches(images, 7, seed, flips=True, binarise=how)
    for step in steps:
        other = Batches(images, 7, seed, flips=True, binarise=how)
        np.testing.assert_array_equal(one.batch(step), other.batch(step))


def test_seeds_and_epochs_differ_in_their_order() -> None:
    images = numbered(200)
    orders = {tuple(Batches(images, 200, seed).indices(epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_the_order_is_pinned() -> None:
    """Changing it would silently break the resumption of every run there is."""
    assert Batches(numbered(10), 12, seed=1234).indices(1).tolist() == [5, 6, 4, 2, 8, 1, 7, 3, 7, 2, 6, 0]


def test_batches_do_not_touch_the_images() -> None:
    images = np.random.default_rng(1).integers(0, 256, (10, 4, 4, 3)).astype(np.uint8)
    images.flags.writeable = False
    batch = Batches(images, 5, 0, flips=True, binarise="dynamic").batch(0)
    assert batch.flags.writeable
    assert batch.dtype == np.uint8


def test_half_of_the_images_are_mirrored() -> None:
    images = np.zeros((1, 1, 2, 1), np.uint8)
    images[0, 0, 1] = 255
    batch = Batches(images, 10_000, 0, flips=True).batch(0)
    mirrored = batch[:, 0, 0, 0] == 255
    np.testing.assert_array_equal(batch[:, 0, 1, 0] == 0, mirrored)
    assert abs(mirrored.mean() - 0.5) < 0.02


@pytest.mark.parametrize("value", [0, 1, 77, 128, 254, 255])
def test_dynamic_binarisation_is_white_with_probability_value_over_255(value: int) -> None:
    batch = Batches(np.full((1, 20, 20, 1), value, np.uint8), 1000, 0, binarise="dynamic").batch(0)
    assert set(np.unique(batch)) <= {0, 255}
    white, p = (batch == 255).mean(), value / 255
    assert abs(white - p) <= 5 * np.sqrt(p * (1 - p) / batch.size)


def test_dynamic_binarisation_is_drawn_anew_at_each_access() -> None:
    batches = Batches(np.full((4, 8, 8, 1), 128, np.uint8), 4, 0, binarise="dynamic")
    drawn = {image.tobytes() for step in range(50) for image in batches.batch(step)}
    assert len(drawn) == 200


def test_threshold_is_white_from_128_on() -> None:
    images = np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    words = np.random.Philox(0)
    assert binarised(images, "threshold", words).ravel().tolist() == [0, 0, 255, 255]


@given(count=st.integers(1, 40), size=st.integers(1, 50), how=st.sampled_from(HOW), seed=st.integers(0, 2**32))
def test_evaluation_sees_each_image_once_and_the_same_whatever_the_batch_size(
    count: int, size: int, how: Binarise, seed: int
) -> None:
    images = np.random.default_rng(2).integers(0, 256, (count, 3, 3, 1)).astype(np.uint8)
    parts = list(evaluation_batches(images, size, how, seed))
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    whole = next(evaluation_batches(images, count, how, seed))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    if how == "none":
        np.testing.assert_array_equal(whole, images)


@pytest.mark.parametrize(("count", "size"), [(0, 4), (4, 0)])
def test_nothing_to_batch_is_an_error(count: int, size: int) -> None:
    with pytest.raises(ValueError, match="cannot make batches"):
        Batches(numbered(count), size, 0)
