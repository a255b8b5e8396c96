"""Dense ladder VAE (Sønderby et al. 2016, arXiv:1602.02282), and the two models that it is to be measured against.

Bottom-up, a chain of two-layer perceptrons leaves one hidden state at each level; top-down, each level's prior comes
from the latent above alone, so the levels are a Markov chain:

    p(z_L) = N(0, 1)     p(z_l | z_above) = N(mu_p, var_p)     p(x | z_lowest) = Bernoulli

`inference: ladder` merges both directions by precision (eq. 11 to 13), so the posterior corrects the prior:

    1/var_q = 1/var_up + 1/var_p     mu_q = (mu_up / var_up + mu_p / var_p) var_q

`inference: bottom-up` is the plain hierarchical VAE with the same networks: each posterior is drawn from the latent
below, with no word from above (eq. 1 to 3). With one level both are the VAE of Kingma & Welling (2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.distributions import kl_normal
from training.latents import LatentShape, choose
from training.models.batch_norm import BatchNorm1d
from training.models.contract import (
    Activations,
    HierarchicalVAE,
    ModelConfig,
    Normal,
    PosteriorLevel,
    PriorLevel,
)

SLOPE = 0.1  # of the leaky rectifier max(x, 0.1 x)


class DenseLadderConfig(ModelConfig):
    """Sizes from the top level down."""

    family: Literal["ladder"] = "ladder"
    network: Literal["dense"] = "dense"
    inference: Literal["ladder", "bottom-up"] = "ladder"
    latents: tuple[int, ...] = Field(min_length=1, description="numbers in each level's latent")
    hidden: tuple[int, ...] = Field(min_length=1, description="width of each level's perceptrons")

    @model_validator(mode="after")
    def _check(self) -> DenseLadderConfig:
        if len(self.latents) != len(self.hidden):
            raise ValueError(
                f"latents has {len(self.latents)} levels, hidden {len(self.hidden)}: give one width a level"
            )
        if min(self.latents + self.hidden) < 1:
            raise ValueError("latents and hidden are sizes: each at least 1")
        return self


def perceptron(inputs: int, hidden: int) -> nn.Sequential:
    """Two dense layers, each with batch norm and a leaky rectifier: [B, inputs] -> [B, hidden]."""
    layers: list[nn.Module] = []
    for size in (inputs, hidden):
        layers += [nn.Linear(size, hidden), BatchNorm1d(hidden), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


class Gaussian(nn.Module):
    """A dense layer to the mean and variance of one level: [B, inputs] -> two times [B, outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Normal:
        mean, raw = self.linear(x).float().chunk(2, dim=1)
        return Normal(mean, 0.5 * (F.softplus(raw) + 1e-6).log())


def merge(up: Normal, p: Normal) -> Normal:
    """The product of two Gaussians, normalised: means weighted by precision (Sønderby et al. 2016, eq. 11 and 12)."""
    precision_up, precision_p = (-2 * up.log_scale).exp(), (-2 * p.log_scale).exp()
    precision = precision_up + precision_p
    return Normal((up.mean * precision_up + p.mean * precision_p) / precision, -0.5 * precision.log())


def _flat(latents: Sequence[Tensor]) -> list[Tensor]:
    return [z.flatten(1) for z in latents]


def _spatial(normal: Normal) -> Normal:
    """[B, C] -> [B, C, 1, 1]."""
    return Normal(normal.mean[..., None, None], normal.log_scale[..., None, None])


class DenseLadder(HierarchicalVAE):
    """The model: keeps the contract of `training.models.contract`; a level of C latents has the shape C x 1 x 1."""

    citation = (
        "Sønderby, C. K., Raiko, T., Maaløe, L., Sønderby, S. K. and Winther, O. Ladder Variational Autoencoders. "
        "NeurIPS 2016."
    )
    config: DenseLadderConfig

    def __init__(self, config: DenseLadderConfig) -> None:
        super().__init__()
        self.config = config
        latents, hidden = config.latents, config.hidden
        self.levels = len(latents)
        self.shapes = [LatentShape(size, 1, 1) for size in latents]
        self.pixels = config.image_channels * config.image_size**2
        # Index l is a level from the top. Bottom-up: from the image, then from the state (or the latent) below.
        below = latents[1:] if config.inference == "bottom-up" else hidden[1:]
        self.up = nn.ModuleList(map(perceptron, (*below, self.pixels), hidden))
        self.up_gaussian = nn.ModuleList(map(Gaussian, hidden, latents))
        # Top-down: entry l reads the latent of level l and makes the prior below it, or the image.
        self.down = nn.ModuleList(map(perceptron, latents, hidden[1:] + hidden[-1:]))
        self.down_gaussian = nn.ModuleList(map(Gaussian, hidden[1:], latents[1:]))
        self.image = nn.Linear(hidden[-1], config.likelihood.parameters(config.image_channels) * config.image_size**2)

    def bottom_up(self, image: Tensor) -> Activations:
        """Ladder: the hidden state of every level. Bottom-up inference: only of the lowest, above it needs latents."""
        state = image.flatten(1) / 127.5 - 1
        activations = {}
        lowest = self.levels - 1
        for level in range(lowest, -1 if self.config.inference == "ladder" else lowest - 1, -1):
            state = self.up[level](state)
            activations[level] = state
        return activations

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        eps = _flat(noise)
        ups: list[Normal] = []
        zs: list[Tensor] = []
        if self.config.inference == "ladder":
            ups = [self.up_gaussian[level](activations[level]) for level in range(self.levels)]
        else:
            ups, zs = self._draw_upwards(activations[self.levels - 1], eps)
        p = self._top_prior(eps[0].shape[0], eps[0])
        levels = []
        state = eps[0]
        for level in range(self.levels):
            if level:
                p = self.down_gaussian[level - 1](state)
            if self.config.inference == "ladder":
                q = merge(ups[level], p) if level else ups[0]
                z = q.mean + q.scale * eps[level]
            else:
                q, z = ups[level], zs[level]
            state = self.down[level](z)
            kl = kl_normal(q, p)[..., None, None]
            levels.append(PosteriorLevel(z[..., None, None], _spatial(p), _spatial(q), kl))
        return self._to_image(state), levels

    def decode(
        self, noise: list[Tensor], given: list[Tensor], keep: list[Tensor], temperature: Tensor
    ) -> tuple[Tensor, list[PriorLevel]]:
        p = self._top_prior(temperature.shape[0], noise[0])
        levels = []
        state = temperature
        for level in range(self.levels):
            if level:
                p = self.down_gaussian[level - 1](state)
            spatial = _spatial(p)
            tau = temperature[:, level, None, None, None]
            z = choose(spatial.mean, spatial.scale, noise[level], given[level], keep[level], tau)
            state = self.down[level](z.flatten(1))
            levels.append(PriorLevel(z, spatial))
        return self._to_image(state), levels

    def _draw_upwards(self, state: Tensor, eps: list[Tensor]) -> tuple[list[Normal], list[Tensor]]:
        """Posteriors and latents of the plain hierarchical VAE, drawn from the lowest level up, listed from the top."""
        qs: list[Normal] = []
        zs: list[Tensor] = []
        for level in range(self.levels - 1, -1, -1):
            q = self.up_gaussian[level](state)
            zs.insert(0, q.mean + q.scale * eps[level])
            qs.insert(0, q)
            if level:
                state = self.up[level - 1](zs[0])
        return qs, zs

    def _top_prior(self, batch: int, like: Tensor) -> Normal:
        zeros = like.new_zeros(1, self.config.latents[0]).expand(batch, -1)
        return Normal(zeros, zeros)

    def _to_image(self, state: Tensor) -> Tensor:
        """[B, hidden] -> raw parameters of p(x|z), [B, P, H, W] float32."""
        size = self.config.image_size
        return self.image(state).float().unflatten(1, (-1, size, size))

    def folded(self) -> DenseLadder:
        """Batch norm becomes part of the dense layer before it."""
        copy = DenseLadder(self.config).eval()
        copy.load_state_dict(self.state_dict())
        for chain in (*copy.up, *copy.down):
            assert isinstance(chain, nn.Sequential)
            for index in (0, 3):
                linear, norm = chain[index], chain[index + 1]
                assert isinstance(linear, nn.Linear)
                assert isinstance(norm, nn.BatchNorm1d)
                chain[index] = torch.nn.utils.fuse_linear_bn_eval(linear, norm)
                chain[index + 1] = nn.Identity()
        return copy
