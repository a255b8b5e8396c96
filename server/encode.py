"""From an image to its latents, and what they cost: rate by level, distortion, bits/dim, and the reconstruction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from server.engine import Engine
from server.likelihood import Pixels, mean_image
from server.log_likelihood import distortion
from server.noise import Address, normals
from server.plan import Floats

NOISE_SEED = 0  # of the posterior sample behind every ELBO estimate: an image has the same figures each time


@dataclass(frozen=True)
class Encoding:
    """An encoded image [H, W, C].

    `latents` is the posterior mean pass, [N]: what examples are encoded to, and what sources and edits take. `kl`,
    [N] nats, `posterior_mean` and `posterior_scale` are of the pass with one posterior sample, as is `distortion`,
    in nats: their sum is one sample of the negative ELBO.
    """

    image: Pixels
    reconstruction: Pixels
    latents: Floats
    posterior_mean: Floats
    posterior_scale: Floats
    kl: Floats
    rates: tuple[float, ...]
    distortion: float

    @property
    def nats(self) -> float:
        """The negative ELBO, in nats an image."""
        return sum(self.rates) + self.distortion

    @property
    def bits_per_dim(self) -> float:
        return self.nats / math.log(2) / self.image.size

    @property
    def psnr(self) -> float | None:
        """Of the mean image of the posterior mean, in dB (peak 255); None where it is the image itself."""
        return psnr(mean_square_error(self.image, self.reconstruction))


def mean_square_error(original: Pixels, image: Pixels) -> float:
    """Of the grey levels, 0 to 255, of two images."""
    return float(np.square(original.astype(np.float64) - image).mean())


def psnr(error: float) -> float | None:
    """In dB (peak 255), from a mean square error; None where there is none."""
    return None if error == 0 else float(10 * np.log10(255**2 / error))


def encode(engine: Engine, image: Pixels) -> Encoding:
    """Encode one image [H, W, C] of the model's own size: once to the posterior mean, once with a posterior sample."""
    manifest = engine.manifest
    zeros = np.zeros((1, manifest.latents), np.float32)
    mean = engine.encode(image[None], zeros, ("latents", "likelihood"))
    noise = normals(NOISE_SEED, [Address(level.index, 0, level.size) for level in manifest.levels])
    outputs = engine.encode(image[None], noise[None], ("posterior_mean", "posterior_scale", "kl", "likelihood"))
    kl = outputs["kl"][0]
    rates = [kl[level.offset : level.offset + level.size].sum(dtype=np.float64) for level in manifest.levels]
    return Encoding(
        image=image,
        reconstruction=mean_image(mean["likelihood"], manifest.likelihood, manifest.image.channels)[0],
        latents=mean["latents"][0],
        posterior_mean=outputs["posterior_mean"][0],
        posterior_scale=outputs["posterior_scale"][0],
        kl=kl,
        rates=tuple(float(rate) for rate in rates),
        distortion=float(distortion(outputs["likelihood"], image[None], manifest.likelihood)[0]),
    )
