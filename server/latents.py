"""Latents that were made before, by an id that says what they are: a memory bounded in bytes, not a file store.

With latents that were encoded, the image is remembered, since its posterior cannot be had from them.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class _Remembered:
    latents: Floats
    image: Pixels | None

    @property
    def nbytes(self) -> int:
        return self.latents.nbytes + (0 if self.image is None else self.image.nbytes)


class LatentsStore:
    """The latents that were asked for last, [N] each, of all models together at most `max_bytes`.

    The newest are kept even if they are larger alone, so that the id of an encoding works at least once. May be used
    from several threads.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used = 0
        self._kept: OrderedDict[tuple[str, str], _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, digest: str, latents: Floats, image: Pixels | None = None) -> str:
        """Remember latents [N] of the model with this digest, and the image [H, W, C] that they are the posterior mean
        of; what was not used for longest is forgotten."""
        own = np.array(latents, np.float32)
        own.setflags(write=False)
        key = digest, latents_id(digest, own)
        with self._lock:
            if (before := self._kept.pop(key, None)) is not None:
                self._used -= before.nbytes
                image = before.image if image is None else image
            self._kept[key] = _Remembered(own, image)
            self._used += self._kept[key].nbytes
            while self._used > self._max_bytes and len(self._kept) > 1:
                self._used -= self._kept.popitem(last=False)[1].nbytes
        return key[1]

    def get(self, digest: str, id: str) -> Floats | None:
        """Latents [N] that this model encoded, or None if they are not remembered (any more)."""
        kept = self._find(digest, id)
        return None if kept is None else kept.latents

    def image(self, digest: str, id: str) -> Pixels | None:
        """The image [H, W, C] that was encoded to these latents, or None if there is none, or no memory of it."""
        kept = self._find(digest, id)
        return None if kept is None else kept.image

    def _find(self, digest: str, id: str) -> _Remembered | None:
        with self._lock:
            if (digest, id) in self._kept:
                self._kept.move_to_end((digest, id))
            return self._kept.get((digest, id))


def latents_id(digest: str, latents: Floats) -> str:
    """SHA-256 of the model's digest, as text, and the latents' bytes, little-endian float32."""
    return hashlib.sha256(digest.encode() + latents.astype("<f4").tobytes()).hexdigest()
