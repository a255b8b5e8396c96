"""Divergences between the Gaussians of the levels."""

from __future__ import annotations

from torch import Tensor

from training.models.contract import Normal, PosteriorLevel


def kl_normal(q: Normal, p: Normal) -> Tensor:
    """KL(q||p) in nats, element-wise, of two diagonal Gaussians (Child 2021, published code)."""
    variance_ratio = (2 * (q.log_scale - p.log_scale)).exp()
    mean_shift = (q.mean - p.mean) * (-p.log_scale).exp()
    return p.log_scale - q.log_scale + 0.5 * (variance_ratio + mean_shift.square() - 1)


def log_ratio(level: PosteriorLevel) -> Tensor:
    """log q(z|x) - log p(z) at the latent that was drawn, in nats, element-wise: what importance weights are made of.

    Its mean over draws is the KL; the KL itself would bias an importance-weighted bound.
    """
    if not level.analytic:
        return level.kl
    q, p, z = level.posterior, level.prior, level.z
    from_q = (z - q.mean) * (-q.log_scale).exp()
    from_p = (z - p.mean) * (-p.log_scale).exp()
    return p.log_scale - q.log_scale + 0.5 * (from_p.square() - from_q.square())
