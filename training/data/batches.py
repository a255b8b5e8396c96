"""The stream of batches: batch k is a pure function of (seed, k).

So nothing has to be saved to resume a run but the step. All randomness is raw words of Philox, a counter-based
generator (Salmon et al. 2011) whose words NumPy keeps stable across versions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.data.config import Binarise
from training.data.images import Images

# What a stream of words is for. Streams of one seed differ in this part of Philox's counter and never meet.
SHUFFLE, BINARISE, FLIP, EVALUATE = range(4)


class Batches:
    """Endless training batches of `images`, uint8 [n, H, W, C].

    The images are visited in one random order after another, a new one each epoch, and batches are cut from that
    sequence without a gap: a batch may straddle two epochs and no image is dropped.
    """

    def __init__(self, images: Images, batch_size: int, seed: int, flips: bool = False, binarise: Binarise = "none"):
        if batch_size < 1 or len(images) == 0:
            raise ValueError(f"cannot make batches of {batch_size} from {len(images)} images")
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.flips = flips
        self.binarise = binarise
        self._order: tuple[int, NDArray[np.intp]] = (-1, np.empty(0, np.intp))  # the epoch looked at last

    def batch(self, step: int) -> NDArray[np.uint8]:
        """Batch number `step` (from 0), uint8 [batch_size, H, W, C]: always the same for the same seed."""
        batch = self.images[self.indices(step)]
        if self.flips:
            mirrored = (_words(self.seed, step, FLIP).random_raw(len(batch)) & 1).astype(bool)
            batch[mirrored] = batch[mirrored, :, ::-1]
        return binarised(batch, self.binarise, _words(self.seed, step, BINARISE))

    def indices(self, step: int) -> NDArray[np.intp]:
        """Which images batch `step` is made of, [batch_size]."""
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, places = np.divmod(positions, len(self.images))
        parts = [self._epoch(epoch)[places[epochs == epoch]] for epoch in range(epochs[0], epochs[-1] + 1)]
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> NDArray[np.intp]:
        cached, order = self._order
        if cached != epoch:
            order = _words(self.seed, epoch, SHUFFLE).random_raw(len(self.images)).argsort(kind="stable")
            self._order = (epoch, order)
        return order


def evaluation_batches(
    images: Images, batch_size: int, binarise: Binarise = "none", seed: int = 0
) -> Iterator[NDArray[np.uint8]]:
    """All images once, in order, uint8 [B, H, W, C]; the last batch may be smaller.

    Dynamic binarisation is the same at every call, whatever the batch size.
    """
    words = _words(seed, 0, EVALUATE)
    for start in range(0, len(images), batch_size):
        yield binarised(images[start : start + batch_size], binarise, words)


def binarised(images: NDArray[np.uint8], how: Binarise, words: np.random.Philox) -> NDArray[np.uint8]:
    """Black and white (0 and 255) images of grey ones: see `Data.binarise`. Each image uses up whole words."""
    if how == "none":
        return images
    if how == "threshold":
        return np.where(images >= 128, np.uint8(255), np.uint8(0))
    pixels = images[0].size if len(images) else 0
    drawn = words.random_raw(len(images) * -(-pixels // 2)).astype("<u8", copy=False).view("<u4")
    drawn = drawn.reshape(len(images), -1)[:, :pixels].reshape(images.shape)
    # 2^32 = 1 mod 255, so the remainder is uniform on 0..254 to one part in 2^32; 0 stays black and 255 white.
    return np.where(drawn % 255 < images, np.uint8(255), np.uint8(0))


def _words(seed: int, index: int, purpose: int) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, index], np.uint64), counter=np.array([0, 0, 0, purpose], np.uint64))
