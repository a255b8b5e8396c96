"""From the raw parameters of p(x|z) to uint8 images: its mean, or a sample made from explicit uniforms.

Three kinds: Bernoulli; the mixture of discretised logistics of PixelCNN++ (Salimans et al., 2017, arXiv:1701.05517,
section 2), in which green depends on red, and blue on both; and NVAE's Gaussian for each channel, discretised.
Parameters are [B, P, H, W] float32, images [B, H, W, C] uint8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Likelihood

Floats = NDArray[np.floating]
Pixels = NDArray[np.uint8]

MIN_LOG_SCALE = -7.0
REFERENCE_MARGIN = 1e-5  # the published samplers draw their uniforms from [1e-5, 1 - 1e-5]


def uniforms_per_pixel(likelihood: Likelihood, channels: int) -> int:
    """How many uniforms U a sample takes at each pixel.

    One a channel, and one a mixture component to choose it; a Gaussian takes two a channel.
    """
    return 2 * channels if likelihood.kind == "normal" else channels + (likelihood.mixtures or 0)


def mean_image(parameters: NDArray[np.float32], likelihood: Likelihood, channels: int) -> Pixels:
    """E[x|z], rounded to the nearest of 256 grey levels. [B, P, H, W] -> [B, H, W, C]."""
    return _bytes(_expected(parameters, likelihood, channels))


def mean_values(parameters: NDArray[np.float32], likelihood: Likelihood, channels: int) -> Floats:
    """The same before it is rounded, in grey levels from 0 to 255: what is too small to show can still be measured."""
    return _expected(parameters, likelihood, channels).transpose(0, 2, 3, 1)


def _expected(parameters: NDArray[np.float32], likelihood: Likelihood, channels: int) -> Floats:
    """E[x|z] from 0 to 255, [B, C, H, W]."""
    raw = parameters.astype(np.float64)
    if likelihood.kind == "bernoulli":
        return _sigmoid(raw) * 255.0
    if likelihood.kind == "normal":
        return (np.clip(gaussian(raw)[0], -1.0, 1.0) + 1.0) * 127.5
    logits, means, _, coefficients = mixture(raw, likelihood, channels)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    expected = (weights[:, None] * _condition(means, coefficients)).sum(axis=2)
    return (expected + 1.0) * 127.5


def sample_image(
    parameters: NDArray[np.float32], uniforms: NDArray[np.float64], likelihood: Likelihood, channels: int
) -> Pixels:
    """A sample of p(x|z). `uniforms` is [B, U, H, W] in (0, 1), U from `uniforms_per_pixel`. -> [B, H, W, C].

    Bernoulli: white where u < p. Mixture: the first M uniforms choose a component by the Gumbel-max trick, the
    others draw each channel by inversion, red first. Gaussian: two uniforms a channel become its noise (Box and
    Muller), and the nearest value is taken.
    """
    raw = parameters.astype(np.float64)
    if likelihood.kind == "bernoulli":
        return _bytes(np.where(uniforms < _sigmoid(raw), 255.0, 0.0))
    if likelihood.kind == "normal":
        mean, scale = gaussian(raw)
        noise = np.sqrt(-2.0 * np.log(uniforms[:, :channels])) * np.cos(2.0 * np.pi * uniforms[:, channels:])
        return _bytes((_nearest(mean + scale * noise, 2**likelihood.bits - 1) + 1.0) * 127.5)
    logits, means, log_scales, coefficients = mixture(raw, likelihood, channels)
    mixtures = logits.shape[1]
    if likelihood.edge_rule != "exact":
        uniforms = REFERENCE_MARGIN + (1.0 - 2.0 * REFERENCE_MARGIN) * uniforms
    gumbel = -np.log(-np.log(uniforms[:, :mixtures]))
    chosen = (logits + gumbel).argmax(axis=1)[:, None, None]
    pick = [np.take_along_axis(part, chosen, axis=2)[:, :, 0] for part in (means, log_scales, coefficients)]
    u = uniforms[:, mixtures:]
    offsets = np.exp(pick[1]) * (np.log(u) - np.log1p(-u))
    top = 2**likelihood.bits - 1 if likelihood.edge_rule == "exact" else None
    x = _condition(pick[0][:, :, None], pick[2][:, :, None], offsets[:, :, None], top)[:, :, 0]
    if likelihood.edge_rule == "reference-vdvae":  # the published code truncates
        return _bytes(np.floor((x + 1.0) * 127.5))
    return _bytes((x + 1.0) * 127.5)


def mixture(raw: Floats, likelihood: Likelihood, channels: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Logits [B, M, H, W]; means, log scales and coefficients [B, C, M, H, W], coefficients zero without colour."""
    assert likelihood.mixtures is not None  # the manifest holds this for every mixture
    batch, _, height, width = raw.shape
    mixtures, parts = likelihood.mixtures, 3 if channels == 3 else 2
    logits = raw[:, :mixtures]
    rest = raw[:, mixtures:].reshape(batch, channels, parts, mixtures, height, width)
    coefficients = np.tanh(rest[:, :, 2]) if parts == 3 else np.zeros_like(rest[:, :, 0])
    return logits, rest[:, :, 0], np.maximum(rest[:, :, 1], MIN_LOG_SCALE), coefficients


def _condition(means: Floats, coefficients: Floats, offsets: Floats | None = None, top: int | None = None) -> Floats:
    """Fix channel after channel, each shifted by those before it. All [B, C, M, H, W], values in [-1, 1].

    With `offsets` from its mean a channel becomes a sample, without it stays the mean of its component. With `top`
    samples are rounded to the top + 1 values that an image can have, before the next channel sees them.
    """
    offsets = np.zeros_like(means) if offsets is None else offsets

    def fix(channel: int, mean: Floats) -> Floats:
        x = np.clip(mean + offsets[:, channel], -1.0, 1.0)
        return x if top is None else _nearest(x, top)

    red = fix(0, means[:, 0])
    if means.shape[1] == 1:
        return red[:, None]
    green = fix(1, means[:, 1] + coefficients[:, 0] * red)
    blue = fix(2, means[:, 2] + coefficients[:, 1] * red + coefficients[:, 2] * green)
    return np.stack([red, green, blue], axis=1)


def gaussian(raw: Floats) -> tuple[Floats, Floats]:
    """Mean and scale of each channel, [B, C, H, W], softly clamped as NVAE does."""
    mean, log_scale = np.split(5.0 * np.tanh(raw / 5.0), 2, axis=1)
    return mean, np.exp(log_scale) + 1e-2


def _nearest(x: Floats, top: int) -> Floats:
    """The nearest of the top + 1 values that an image can have, evenly from -1 to 1."""
    return np.round((np.clip(x, -1.0, 1.0) + 1.0) / 2.0 * top) / top * 2.0 - 1.0


def _sigmoid(x: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -x))


def _bytes(image: Floats) -> Pixels:
    return np.round(image).clip(0.0, 255.0).astype(np.uint8).transpose(0, 2, 3, 1)
