"""The divergence of two Gaussians: never negative, zero when equal, and the mean of the log ratio."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal as Reference
from torch.distributions import kl_divergence

from training.distributions import kl_normal, log_ratio
from training.models.contract import Normal, PosteriorLevel

means, log_scales = st.floats(-5, 5), st.floats(-4, 3)


def normal(mean: float, log_scale: float) -> Normal:
    return Normal(torch.tensor([mean], dtype=torch.float64), torch.tensor([log_scale], dtype=torch.float64))


@given(means, log_scales, means, log_scales)
def test_kl_is_not_negative_and_is_that_of_the_textbook(m1: float, s1: float, m2: float, s2: float) -> None:
    q, p = normal(m1, s1), normal(m2, s2)
    kl = kl_normal(q, p)
    assert kl.item() >= -1e-12
    expected = kl_divergence(Reference(q.mean, q.scale), Reference(p.mean, p.scale))
    torch.testing.assert_close(kl, expected, rtol=1e-9, atol=1e-9)


@given(means, log_scales)
def test_kl_of_a_gaussian_to_itself_is_zero(mean: float, log_scale: float) -> None:
    assert kl_normal(normal(mean, log_scale), normal(mean, log_scale)).item() == 0


@given(means, log_scales, means, log_scales, st.floats(-3, 3))
def test_log_ratio_is_the_difference_of_log_densities(m1: float, s1: float, m2: float, s2: float, eps: float) -> None:
    q, p = normal(m1, s1), normal(m2, s2)
    z = q.mean + q.scale * eps
    expected = Reference(q.mean, q.scale).log_prob(z) - Reference(p.mean, p.scale).log_prob(z)
    ratio = log_ratio(PosteriorLevel(z, p, q, kl_normal(q, p)))
    torch.testing.assert_close(ratio, expected, rtol=1e-6, atol=1e-6)


def test_mean_log_ratio_over_draws_is_the_kl() -> None:
    draws = 200_000
    q, p = normal(0.7, -0.5), normal(-0.2, 0.3)
    eps = torch.randn(draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ratios = log_ratio(PosteriorLevel(q.mean + q.scale * eps, p, q, kl_normal(q, p)))
    error = ratios.std().item() / draws**0.5
    assert ratios.mean().item() == pytest.approx(kl_normal(q, p).item(), abs=5 * error)
