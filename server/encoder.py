"""The encoder, which remembers what it encoded: the same example is the source of one request after another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from server.cancel import Cancel
from server.chain import Run, stopping
from server.plan import Floats
from server.states import StateCache

EncoderOutput = Literal["latents", "posterior_mean", "posterior_scale", "kl", "likelihood"]


@dataclass(frozen=True)
class Encoder:
    """Runs the encoder of the model with this digest."""

    run: Run
    digest: str
    cache: StateCache

    def encode(
        self, images: NDArray[np.uint8], noise: Floats, outputs: tuple[EncoderOutput, ...], cancel: Cancel
    ) -> dict[EncoderOutput, Floats]:
        """Encode `images` [B, H, W, C] with `noise` [B, N]. Raises Cancelled soon after `cancel` is switched on."""
        prefix = f"encode {self.digest} {'+'.join(outputs)}".encode()
        keys = [
            hashlib.blake2b(prefix + image.tobytes() + eps.tobytes(), digest_size=16).digest()
            for image, eps in zip(images, noise, strict=True)
        ]
        with stopping(cancel) as options:
            remembered = self.cache.all_of(keys)
            if remembered is not None:
                return {name: remembered[name] for name in outputs}
            arrays = dict(zip(outputs, self.run(outputs, {"image": images, "noise": noise}, options), strict=True))
        self.cache.put(keys, {str(name): array for name, array in arrays.items()})
        return arrays
