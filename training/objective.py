"""The negative ELBO of a batch, split into rate and distortion, and how much of the rate training has to pay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training import distributed
from training.latents import LatentShape
from training.likelihoods import Likelihood
from training.models.contract import HierarchicalVAE, PosteriorLevel
from training.recipe import Objective


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


class Loss(nn.Module):
    """What training minimises, as one module: the kind of thing that torch compiles and shares among processes."""

    def __init__(self, model: HierarchicalVAE, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        config = model.config
        dims = config.image_channels * config.image_size**2
        self.unit = dims if objective.unit == "nats/dim" else 1

    def forward(self, image: Tensor, noise: list[Tensor], weight: float) -> tuple[Tensor, Bound]:
        """The mean loss of a batch, `weight` being that of the rate, and the bound without it; see `bound`."""
        terms, _ = bound(self.model, self.model.config.likelihood, image, noise)
        rate = weighted_rate(terms.rates, weight, self.objective, self.model.shapes)
        return (terms.distortion + rate).mean() / self.unit, terms


def weighted_rate(rates: Tensor, weight: float, objective: Objective, shapes: Sequence[LatentShape]) -> Tensor:
    """The rate [B] as the loss counts it, from `rates` [B, L] and the KL warm-up's `weight` in 0..1.

    Free bits: a level costs at least so many nats whatever it says, so it gains nothing by falling silent.
    """
    if objective.balance_kl and weight < 1:
        rates = rates * balance(rates, shapes)
    if objective.free_bits:
        rates = rates.clamp(min=objective.free_bits)
    return weight * rates.sum(dim=1)


def balance(rates: Tensor, shapes: Sequence[LatentShape]) -> Tensor:
    """KL balancing: a factor [L] for each level, 1 on average (Vahdat & Kautz 2020, arXiv:2007.03898, section A).

    A level that says more than others of its resolution pays more. Resolution i from the top (of g_i levels) may
    say about alpha_i = 4^i / g_i times as much.
    """
    heights = [shape.height for shape in shapes]
    scales = sorted(set(heights))
    alphas = [4.0 ** scales.index(height) / heights.count(height) for height in heights]
    alpha = rates.new_tensor(alphas) / min(alphas)
    factor = (distributed.mean(rates.detach().abs().mean(dim=0)) + 0.01) / alpha
    return factor / factor.mean()
