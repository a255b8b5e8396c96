"""The negative ELBO of a batch, split into rate and distortion: the one number that all families are trained on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.likelihoods import Likelihood
from training.models.contract import HierarchicalVAE, PosteriorLevel


class Bound(NamedTuple):
    """-ELBO = distortion + rate, per image in nats."""

    distortion: Tensor  # [B], -log p(x|z)
    rates: Tensor  # [B, L], KL(q||p) of each level

    @property
    def rate(self) -> Tensor:
        return self.rates.sum(dim=1)

    @property
    def nats(self) -> Tensor:
        return self.distortion + self.rate


def bound(
    model: HierarchicalVAE, likelihood: Likelihood, image: Tensor, noise: list[Tensor]
) -> tuple[Bound, list[PosteriorLevel]]:
    """The negative ELBO with one posterior sample. `image` as the likelihood observes it, [B, C, H, W] in 0..255."""
    parameters, levels = model.encode(image, noise)
    rates = torch.stack([level.kl.sum(dim=(1, 2, 3)) for level in levels], dim=1)
    return Bound(likelihood.nats(parameters, image), rates), levels
