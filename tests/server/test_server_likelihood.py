"""The mean image is the expectation, and samples have the distribution, of p(x|z)."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import pytest

from model_zoo.manifest import Likelihood
from server.likelihood import mean_image, sample_image, uniforms_per_pixel

BERNOULLI = Likelihood(kind="bernoulli", bits=1)
EdgeRule = Literal["exact", "reference-vdvae", "reference-nvae"]


def dmol(mixtures: int, bits: int = 8, edge_rule: EdgeRule = "exact") -> Likelihood:
    return Likelihood(kind="dmol", mixtures=mixtures, bits=bits, edge_rule=edge_rule)


def parameters(mixtures: int, channels: int, seed: int = 0, log_scale: float = -3.0) -> Any:
    """[1, P, 1, 1] raw parameters with separate means and moderate widths."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(0, 0.4, (channels, 1, mixtures)), np.full((channels, 1, mixtures), log_scale)]
    if channels == 3:
        parts.append(rng.normal(0, 0.7, (channels, 1, mixtures)))
    blocks = np.concatenate(parts, axis=1).reshape(-1)
    return np.concatenate([rng.normal(0, 1, mixtures), blocks]).astype(np.float32)[None, :, None, None]


def probabilities(raw: Any, mixtures: int, bits: int) -> Any:
    """p(value) of one grey pixel by the definition: differences of the logistic CDF, tails at both ends."""
    logits, means, log_scales = raw.reshape(3, mixtures).astype(np.float64)
    top = 2**bits - 1
    edges = (np.arange(1, top + 1) - 0.5) / top * 2 - 1
    cdf = 1 / (1 + np.exp(-(edges[:, None] - means) / np.exp(log_scales)))
    cdf = np.concatenate([np.zeros((1, mixtures)), cdf, np.ones((1, mixtures))])
    weights = np.exp(logits) / np.exp(logits).sum()
    return (np.diff(cdf, axis=0) * weights).sum(axis=1)


def spread(raw: Any, count: int) -> Any:
    """The same pixel `count` times, side by side."""
    return np.repeat(raw, count, axis=3)


def uniforms(likelihood: Likelihood, channels: int, count: int) -> Any:
    return np.random.default_rng(1).random((1, uniforms_per_pixel(likelihood, channels), 1, count))


def test_bernoulli_mean_is_the_probability_of_white() -> None:
    logits = np.array([-np.inf, -100, 0, np.log(3), 100, np.inf], np.float32).reshape(1, 1, 2, 3)
    assert mean_image(logits, BERNOULLI, 1)[0, :, :, 0].tolist() == [[0, 0, 128], [191, 255, 255]]


def test_bernoulli_sample_is_white_where_the_uniform_is_below_the_probability() -> None:
    logits = np.zeros((1, 1, 1, 4), np.float32)
    u = np.array([0.1, 0.49, 0.51, 0.9]).reshape(1, 1, 1, 4)
    assert sample_image(logits, u, BERNOULLI, 1)[0, 0, :, 0].tolist() == [255, 255, 0, 0]


@pytest.mark.parametrize("bits", [3, 5, 8])
def test_exact_samples_have_the_probabilities_of_the_definition(bits: int) -> None:
    likelihood, count = dmol(3, bits), 200_000
    raw = parameters(3, 1)
    drawn = sample_image(spread(raw, count), uniforms(likelihood, 1, count), likelihood, 1)
    top = 2**bits - 1
    expected = probabilities(raw, 3, bits)
    values = np.round(np.arange(top + 1) * 255 / top).astype(int)
    actual = np.bincount(drawn.reshape(-1), minlength=256)[values] / count
    assert expected.sum() == pytest.approx(1)
    assert actual.sum() == pytest.approx(1)
    np.testing.assert_allclose(actual, expected, atol=4 * np.sqrt(expected.max() / count))


def test_the_grey_mean_is_the_expectation() -> None:
    raw = parameters(3, 1)
    expected = probabilities(raw, 3, 8) @ np.arange(256)
    assert int(mean_image(raw, dmol(3), 1)[0, 0, 0, 0]) == pytest.approx(expected, abs=0.6)


def test_a_component_beyond_the_range_gives_the_edge_value() -> None:
    raw = np.array([0, 3.0, -5.0], np.float32).reshape(1, 3, 1, 1)
    assert mean_image(raw, dmol(1), 1).item() == 255


@pytest.mark.parametrize("edge_rule", ["exact", "reference-vdvae", "reference-nvae"])
def test_the_colour_mean_agrees_with_many_samples(edge_rule: EdgeRule) -> None:
    likelihood, count = dmol(4, edge_rule=edge_rule), 100_000
    raw = parameters(4, 3)
    drawn = sample_image(spread(raw, count), uniforms(likelihood, 3, count), likelihood, 3)
    truncated = 0.5 if edge_rule == "reference-vdvae" else 0.0
    expected = mean_image(raw, likelihood, 3)[0, 0, 0].astype(float) - truncated
    np.testing.assert_allclose(drawn.reshape(-1, 3).mean(axis=0), expected, atol=1.0)


def test_green_follows_red_and_blue_follows_both() -> None:
    """Parameters of one component: per colour mean, log scale, coefficient before tanh."""
    half = np.arctanh(0.5)
    raw = np.array([0, 0.41, -7, half, 0.1, -7, -half, 0.0, -7, half], np.float32).reshape(1, 10, 1, 1)
    red, green = 0.41, 0.1 + 0.5 * 0.41
    blue = 0.0 - 0.5 * red + 0.5 * green
    expected = np.round((np.array([red, green, blue]) + 1) * 127.5)
    assert mean_image(raw, dmol(1), 3).reshape(-1).tolist() == expected.tolist()


def test_scales_do_not_fall_below_the_published_floor() -> None:
    """At u = 0.9 a logistic lies log(9) scales above its mean."""
    raw = np.array([0, 0.0, -50.0], np.float32).reshape(1, 3, 1, 1)
    u = np.array([0.5, 1 - 1e-9]).reshape(1, 2, 1, 1)
    offset = np.exp(-7) * np.log((1 - 1e-9) / 1e-9)
    assert sample_image(raw, u, dmol(1), 1).item() == round((offset + 1) * 127.5)


@pytest.mark.parametrize("bits", [3, 8])
def test_gaussian_samples_have_the_probabilities_of_the_definition(bits: int) -> None:
    likelihood, count, top = Likelihood(kind="normal", bits=bits), 200_000, 2**bits - 1
    raw = np.array([0.4, -1.0], np.float32).reshape(1, 2, 1, 1)
    drawn = sample_image(spread(raw, count), uniforms(likelihood, 1, count), likelihood, 1)
    gaussian = NormalDist(5 * np.tanh(0.4 / 5), np.exp(5 * np.tanh(-1.0 / 5)) + 0.01)
    edges = (np.arange(1, top + 1) - 0.5) / top * 2 - 1
    expected = np.diff([0.0, *map(gaussian.cdf, edges), 1.0])
    values = np.round(np.arange(top + 1) * 255 / top).astype(int)
    actual = np.bincount(drawn.reshape(-1), minlength=256)[values] / count
    assert actual.sum() == pytest.approx(1)
    np.testing.assert_allclose(actual, expected, atol=4 * np.sqrt(expected.max() / count))


def test_the_gaussian_mean_is_its_mean_channel_by_channel() -> None:
    raw = np.array([-9.0, 0.0, 9.0, 1.0, 1.0, 1.0], np.float32).reshape(1, 6, 1, 1)
    assert mean_image(raw, Likelihood(kind="normal", bits=8), 3).reshape(-1).tolist() == [0, 128, 255]


def test_published_vdvae_samples_are_truncated() -> None:
    raw = np.array([0, 0.9 / 127.5, -50.0], np.float32).reshape(1, 3, 1, 1)  # 128.4 grey levels
    u = np.full((1, 2, 1, 1), 0.5)
    assert sample_image(raw, u, dmol(1), 1).item() == 128
    raw[0, 1] = 0.4 / 127.5  # 127.9
    assert sample_image(raw, u, dmol(1), 1).item() == 128
    assert sample_image(raw, u, dmol(1, edge_rule="reference-vdvae"), 1).item() == 127
