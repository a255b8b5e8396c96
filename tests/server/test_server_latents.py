"""Latents are remembered by what they are, within a bound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from server.latents import LatentsStore, latents_id


def some(value: float) -> NDArray[np.float32]:
    return np.full(100, value, np.float32)  # 400 bytes


def test_the_id_says_what_the_latents_are_and_whose() -> None:
    store = LatentsStore(10_000)
    id = store.put("model-a", some(1))
    assert id == store.put("model-a", some(1)) == latents_id("model-a", some(1))
    assert len({id, store.put("model-a", some(2)), store.put("model-b", some(1))}) == 3
    found = store.get("model-a", id)
    assert found is not None
    np.testing.assert_array_equal(found, some(1))
    assert store.get("model-b", id) is None


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    store = LatentsStore(1_000)
    first, second = store.put("m", some(1)), store.put("m", some(2))
    store.get("m", first)
    third = store.put("m", some(3))
    assert store.get("m", second) is None
    assert store.get("m", first) is not None
    assert store.get("m", third) is not None


def test_the_newest_is_kept_whatever_its_size() -> None:
    store = LatentsStore(0)
    first, second = store.put("m", some(1)), store.put("m", some(2))
    assert (store.get("m", first), store.get("m", second) is None) == (None, False)


def test_changing_the_array_afterwards_changes_nothing() -> None:
    store, latents = LatentsStore(1_000), some(1)
    id = store.put("m", latents)
    latents[:] = 5
    found = store.get("m", id)
    assert found is not None
    assert found[0] == 1
    assert not found.flags.writeable


def test_the_image_that_was_encoded_is_remembered_with_its_latents() -> None:
    store = LatentsStore(1_000)
    image = np.full((10, 10, 1), 7, np.uint8)  # 100 bytes
    id = store.put("m", some(1), image)
    assert store.image("m", id) is image
    assert store.put("m", some(1)) == id
    assert store.image("m", id) is image, "putting the latents alone does not lose it"
    assert store.image("m", store.put("m", some(2))) is None
    assert store.image("m", "0" * 64) is None
    store.put("m", some(3))  # 500 + 400 + 400 bytes: the first goes
    assert store.image("m", id) is None
