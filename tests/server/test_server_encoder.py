"""An image that was encoded before is not encoded again, and nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from server.cancel import Cancel
from server.encoder import Encoder
from server.models import Model
from server.states import Arrays, StateCache


def counting(model: Model) -> tuple[Encoder, list[int]]:
    """The model's encoder with a cache of its own, and how many images each of its runs had."""
    runs: list[int] = []

    def run(names: Sequence[str], feed: Arrays, options: onnxruntime.RunOptions) -> list[NDArray[Any]]:
        runs.append(len(feed["image"]))
        return model.engine.encoder.run(names, feed, options)

    return Encoder(run, model.bundle.digest, StateCache(1 << 20)), runs


def test_the_same_images_are_encoded_once_in_whatever_order(toy: Model) -> None:
    encoder, runs = counting(toy)
    noise = np.zeros((3, toy.bundle.manifest.latents), np.float32)
    first = encoder.encode(toy.examples, noise, ("latents", "kl"), Cancel())
    again = encoder.encode(toy.examples[::-1], noise, ("latents", "kl"), Cancel())
    assert runs == [3]
    np.testing.assert_array_equal(again["latents"], first["latents"][::-1])
    np.testing.assert_array_equal(again["kl"], first["kl"][::-1])


def test_other_noise_other_outputs_or_another_image_is_another_encoding(toy: Model) -> None:
    encoder, runs = counting(toy)
    zeros = np.zeros((1, toy.bundle.manifest.latents), np.float32)
    encoder.encode(toy.examples[:1], zeros, ("latents",), Cancel())
    encoder.encode(toy.examples[:1], zeros + 1, ("latents",), Cancel())
    encoder.encode(toy.examples[:1], zeros, ("latents", "kl"), Cancel())
    encoder.encode(toy.examples[1:2], zeros, ("latents",), Cancel())
    assert runs == [1, 1, 1, 1]
