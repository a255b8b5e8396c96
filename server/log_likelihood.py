"""-log p(x|z) of uint8 images in nats, from the raw parameters of p(x|z): the distortion half of the ELBO.

The same distributions as `training.likelihoods`, which the tests compare with: Bernoulli of thresholded pixels, the
mixture of discretised logistics of PixelCNN++ (Salimans et al., 2017, arXiv:1701.05517) under each edge rule, and
NVAE's Gaussian, discretised.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Likelihood
from server.likelihood import Floats, Pixels, gaussian, mixture

_erfc = np.frompyfunc(math.erfc, 1, 1)  # NumPy has none; only the Gaussian takes this path


def distortion(parameters: NDArray[np.float32], images: Pixels, likelihood: Likelihood) -> Floats:
    """-log p(x|z) in nats, [B]. `parameters` [B, P, H, W], `images` [B, H, W, C]."""
    raw, pixels = parameters.astype(np.float64), images.transpose(0, 3, 1, 2).astype(np.float64)
    if likelihood.kind == "bernoulli":
        return np.logaddexp(0.0, np.where(pixels > 127, -raw, raw)).sum(axis=(1, 2, 3))
    if likelihood.kind == "normal":
        return -_gaussian_bins(raw, _levels(pixels, likelihood.bits), likelihood.bits).sum(axis=(1, 2, 3))
    if likelihood.edge_rule == "reference-vdvae":  # the published 5-bit target: multiples of 8, on the 8-bit scale
        step = 2 ** (8 - likelihood.bits)
        x = (np.floor(pixels / step) * step - 127.5) / 127.5
    else:
        x = _levels(pixels, likelihood.bits)
    logits, means, log_scales, coefficients = mixture(raw, likelihood, x.shape[1])
    if x.shape[1] == 3:
        red, green = x[:, 0, None], x[:, 1, None]
        shifts = (0, coefficients[:, 0] * red, coefficients[:, 1] * red + coefficients[:, 2] * green)
        means = np.stack([means[:, channel] + shift for channel, shift in enumerate(shifts)], axis=1)
    log_p = _logistic_bins(x[:, :, None], means, log_scales, likelihood).sum(axis=1)  # channels, given the means
    return -(_logsumexp(log_p + logits) - _logsumexp(logits)).sum(axis=(1, 2))


def _levels(pixels: Floats, bits: int) -> Floats:
    """0..255 -> the first `bits` bits as values spread evenly over -1..1."""
    return np.floor(pixels / 2 ** (8 - bits)) * (2 / (2**bits - 1)) - 1


def _logistic_bins(x: Floats, means: Floats, log_scales: Floats, likelihood: Likelihood) -> Floats:
    """log P(bin of x) under each component, [B, C, M, H, W]."""
    half_bin = 1 / (2**likelihood.bits - 1)
    centred, inverse = x - means, np.exp(-log_scales)
    plus, minus = inverse * (centred + half_bin), inverse * (centred - half_bin)
    left, right = -np.logaddexp(0.0, -plus), -np.logaddexp(0.0, minus)  # mass up to the bin's end, and from its start
    if likelihood.edge_rule == "exact":
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no cancellation, no threshold
        inside = left + right + np.log(-np.expm1(-2 * half_bin * inverse))
        lowest, highest = x < -1 + half_bin, x > 1 - half_bin
    else:
        mass = np.exp(left) - np.exp(-np.logaddexp(0.0, -minus))
        scaled = inverse * centred
        density = scaled - log_scales - 2 * np.logaddexp(0.0, scaled) - math.log((2**likelihood.bits - 1) / 2)
        inside = np.where(mass > 1e-5, np.log(np.maximum(mass, 1e-12)), density)
        lowest, highest = x < -0.999, x > (0.99 if likelihood.edge_rule == "reference-nvae" else 0.999)
    return np.where(lowest, left, np.where(highest, right, inside))


def _gaussian_bins(raw: Floats, x: Floats, bits: int) -> Floats:
    """log P(bin of x), [B, C, H, W]: a difference of two tails, on the side of the mean where both are small."""
    mean, scale = gaussian(raw)
    half_bin = 1 / (2**bits - 1)
    upper, lower = (x + half_bin - mean) / scale, (x - half_bin - mean) / scale
    up_to, from_on = _log_normal_cdf(upper), _log_normal_cdf(-lower)
    left = x < mean
    larger = np.where(left, up_to, from_on)
    smaller = _log_normal_cdf(np.where(left, lower, -upper))
    inside = larger + np.log1p(-np.exp(smaller - larger))
    return np.where(x < -1 + half_bin, up_to, np.where(x > 1 - half_bin, from_on, inside))


def _log_normal_cdf(x: Floats) -> Floats:
    """log Phi(x); far out on the left, where Phi itself would vanish, by its asymptotic series."""
    far = np.minimum(x, -20.0)
    square = far**-2
    series = -(far**2) / 2 - np.log(-far) - math.log(2 * math.pi) / 2 + np.log1p(-square * (1 - 3 * square))
    near = np.asarray(_erfc(-np.maximum(x, -20.0) / math.sqrt(2)), np.float64)
    return np.where(x < -20.0, series, np.log(near / 2))


def _logsumexp(values: Floats) -> Floats:
    """Over axis 1."""
    top = values.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(values - top).sum(axis=1, keepdims=True)))[:, 0]
