"""The smallest hierarchical VAE: a chain of Gaussian latents of two numbers each, for points of the plane.

It shows what depth does without images, convolutions or states (`depth.py`). Models of several seeds are trained side
by side, for speed; nothing couples them. Tensors are [seeds, n, 2].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.distributions import kl_normal, log_ratio
from training.models.contract import Normal, PosteriorLevel

COARSEST, FINEST = 1.5, 0.1  # between these the noise of the levels is spread when training begins
TOP_SCALE = 1.5  # of z_0's prior then
CHUNK = 20_000  # importance samples in memory at once


class Perceptrons(nn.Module):
    """A perceptron with two hidden layers for each seed, side by side: [seeds, n, inputs] -> [seeds, n, 4].

    It returns a shift and a change of log scale of two numbers each; both are 0 before training.
    """

    def __init__(self, seeds: int, inputs: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = ((inputs, width), (width, width))
        draws = [torch.randn(seeds, fan_in, fan_out, generator=generator) / fan_in**0.5 for fan_in, fan_out in sizes]
        self.weights = nn.ParameterList([*draws, torch.zeros(seeds, width, 4)])
        biases = [torch.randn(seeds, 1, width, generator=generator) for _ in sizes]
        self.biases = nn.ParameterList([*biases, torch.zeros(seeds, 1, 4)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = F.silu(torch.baddbmm(bias, x, weight))
        shift, log_scale = torch.baddbmm(self.biases[-1], x, self.weights[-1]).chunk(2, dim=-1)
        return shift, log_scale


class Chain(nn.Module):
    """A VAE of the plane: z_0 from the top, z_l given z_l-1, and the point x given the last; all Gaussian.

        p(z_0) = N(0, s^2),   p(z_l | z_l-1) = N(z_l-1 + f(z_l-1), s(z_l-1)^2),   p(x | z_L-1) of the same form
        q(z_l | z_l-1, x)     = N(z_l-1 + g_l (x - z_l-1) + f(z_l-1, x), s(z_l-1, x)^2)

    f and s are Perceptrons. The constants g_l and the first scales make the posterior begin as z_l = x + sigma_l eps,
    with less noise at each level; from there everything is learned.
    """

    def __init__(self, levels: int, width: int, seeds: int, generator: torch.Generator) -> None:
        super().__init__()
        sigmas = [COARSEST * (FINEST / COARSEST) ** ((level + 0.5) / levels) for level in range(levels)]
        ratios = [b / a for a, b in zip(sigmas, sigmas[1:], strict=False)]
        self.gains = [1.0, *(1 - ratio**2 for ratio in ratios)]
        finer = [sigma * (1 - ratio**2) ** 0.5 for sigma, ratio in zip(sigmas[1:], ratios, strict=True)]
        self.log_scales_q = [math.log(scale) for scale in (sigmas[0], *finer)]
        self.log_scales_p = [*self.log_scales_q[1:], math.log(sigmas[-1])]  # of z_1, z_2, ... and x
        self.top_log_scale = nn.Parameter(torch.full((seeds, 1, 2), math.log(TOP_SCALE)))
        self.priors = nn.ModuleList([Perceptrons(seeds, 2, width, generator) for _ in range(levels)])
        self.posteriors = nn.ModuleList([Perceptrons(seeds, 4, width, generator) for _ in range(levels)])

    def top(self, like: Tensor) -> Normal:
        return Normal(torch.zeros_like(like), self.top_log_scale.expand_as(like))

    def below(self, level: int, z: Tensor) -> Normal:
        """p of what is directly below the latent z of `level`: the next latent, or x."""
        shift, log_scale = self.priors[level](z)
        return Normal(z + shift, self.log_scales_p[level] + log_scale)

    def encode(self, x: Tensor, noise: Sequence[Tensor]) -> tuple[Normal, list[PosteriorLevel]]:
        """Posterior pass: p(x | z) and the levels."""
        levels: list[PosteriorLevel] = []
        prior, above = self.top(x), torch.zeros_like(x)
        for level, epsilon in enumerate(noise):
            shift, log_scale = self.posteriors[level](torch.cat([above, x], dim=-1))
            mean = above + self.gains[level] * (x - above) + shift
            posterior = Normal(mean, self.log_scales_q[level] + log_scale)
            z = posterior.mean + posterior.scale * epsilon
            levels.append(PosteriorLevel(z, prior, posterior, kl_normal(posterior, prior)))
            prior, above = self.below(level, z), z
        return prior, levels

    def sample(self, noise: Sequence[Tensor]) -> Tensor:
        """Points, from noise of every level and of x."""
        distribution = self.top(noise[0])
        for level, epsilon in enumerate(noise[:-1]):
            distribution = self.below(level, distribution.mean + distribution.scale * epsilon)
        return distribution.mean + distribution.scale * noise[-1]


def log_normal(x: Tensor, distribution: Normal) -> Tensor:
    """log N(x) of points [..., 2], in nats."""
    standardised = (x - distribution.mean) / distribution.scale
    return -(0.5 * standardised.square() + distribution.log_scale + 0.5 * math.log(2 * math.pi)).sum(-1)


def draw_noise(levels: int, shape: tuple[int, ...], generator: torch.Generator) -> list[Tensor]:
    return [torch.randn(*shape, 2, generator=generator) for _ in range(levels)]


def width_for(parameters: int) -> int:
    """The hidden width w with which one level, of 2 w^2 + 18 w + 10 parameters, has about so many."""
    return round((-9 + math.sqrt(81 + 2 * (parameters - 10))) / 2)


class Bounds(NamedTuple):
    """Lower bounds on log p(x) in nats, [seeds, n]."""

    importance_weighted: Tensor
    elbo: Tensor


@torch.inference_mode()
def bound(model: Chain, x: Tensor, k: int, generator: torch.Generator) -> Bounds:
    """IW-k (Burda et al. 2016) of points x [seeds, n, 2], and the ELBO as the mean of the same log weights."""
    seeds, n = x.shape[:2]
    log_sum = torch.full((seeds, n), -math.inf, dtype=torch.float64)
    total = torch.zeros((seeds, n), dtype=torch.float64)
    done = 0
    while done < k:
        count = min(max(1, CHUNK // n), k - done)
        repeated = x.repeat_interleave(count, dim=1)
        likelihood, levels = model.encode(repeated, draw_noise(len(model.priors), (seeds, n * count), generator))
        ratio = torch.stack([log_ratio(level).sum(-1) for level in levels]).sum(0)
        log_weights = (log_normal(repeated, likelihood) - ratio).double().unflatten(1, (n, count))
        log_sum = torch.logaddexp(log_sum, log_weights.logsumexp(-1))
        total += log_weights.sum(-1)
        done += count
    return Bounds(log_sum - math.log(k), total / k)
