"""Latents that were encoded before, by an id that says what they are: a memory bounded in bytes, not a file store."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class LatentsStore:
    """The latents that were asked for last, [N] each, of all models together at most `max_bytes`.

    The newest are kept even if they are larger alone, so that the id of an encoding works at least once. May be used
    from several threads.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used = 0
        self._latents: OrderedDict[tuple[str, str], Floats] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, digest: str, latents: Floats) -> str:
        """Remember latents [N] of the model with this digest; what was not used for longest is forgotten."""
        own = np.array(latents, np.float32)
        own.setflags(write=False)
        key = digest, latents_id(digest, own)
        with self._lock:
            if key not in self._latents:
                self._used += own.nbytes
            self._latents[key] = own
            self._latents.move_to_end(key)
            while self._used > self._max_bytes and len(self._latents) > 1:
                self._used -= self._latents.popitem(last=False)[1].nbytes
        return key[1]

    def get(self, digest: str, id: str) -> Floats | None:
        """Latents [N] that this model encoded, or None if they are not remembered (any more)."""
        with self._lock:
            if (digest, id) in self._latents:
                self._latents.move_to_end((digest, id))
            return self._latents.get((digest, id))


def latents_id(digest: str, latents: Floats) -> str:
    """SHA-256 of the model's digest, as text, and the latents' bytes, little-endian float32."""
    return hashlib.sha256(digest.encode() + latents.astype("<f4").tobytes()).hexdigest()
