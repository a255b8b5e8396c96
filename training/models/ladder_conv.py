"""Convolutional ladder VAE, bidirectional, with gated residual blocks (after addtt/ladder-vae-pytorch).

Bottom-up, residual blocks leave one activation at each level. Top-down, a level reads the state from above twice:

    p(z|above) = conv(state)     q(z|above, image) = conv(merge(activation, state))
    state <- blocks(merge(conv(z), state))

so, other than in the dense ladder, a posterior is not a product of two Gaussians but what a network makes of both
directions, and a state carries what latents further up said past the levels in between (skip connections).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.distributions import kl_normal
from training.latents import LatentShape, choose
from training.models.batch_norm import BatchNorm2d
from training.models.contract import (
    Activations,
    HierarchicalVAE,
    ModelConfig,
    Normal,
    PosteriorLevel,
    PriorLevel,
)
from training.models.ladder_dense import DenseLadder


class ConvLadderConfig(ModelConfig):
    """Sizes from the top level down."""

    family: Literal["ladder"] = "ladder"
    network: Literal["conv"] = "conv"
    latents: tuple[int, ...] = Field(min_length=1, description="channels of each level's latent")
    widths: tuple[int, ...] = Field(min_length=1, description="channels of each level's states")
    halvings: tuple[int, ...] = Field(
        min_length=1,
        description="how often each level halves the resolution of the one below; the last, of half the image",
    )
    image_width: int = Field(gt=0, description="channels between the levels and the image, at half its resolution")
    blocks_per_level: int = Field(default=2, gt=0, description="residual blocks in each direction")
    image_blocks: int = Field(
        default=1, ge=0, description="residual blocks at the image's resolution; 0: a sub-pixel convolution instead"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1)
    pad: int = Field(default=0, ge=0, description="black pixels added on each side")

    @property
    def below(self) -> tuple[int, ...]:
        """Channels of what stands below each level: the next level, or the image."""
        return (*self.widths[1:], self.image_width)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Height and width of each level; the first convolution has halved the image once."""
        resolution, found = (self.image_size + 2 * self.pad) // 2, []
        for halvings in reversed(self.halvings):
            resolution //= 2**halvings
            found.append(resolution)
        return tuple(reversed(found))

    @model_validator(mode="after")
    def _check(self) -> ConvLadderConfig:
        if not len(self.latents) == len(self.widths) == len(self.halvings):
            raise ValueError(
                f"latents, widths and halvings have {len(self.latents)}, {len(self.widths)} and {len(self.halvings)} "
                "entries: give one of each a level"
            )
        if min(self.latents + self.widths) < 1 or min(self.halvings) < 0:
            raise ValueError("latents and widths are at least 1, halvings at least 0")
        side, total = self.image_size + 2 * self.pad, 1 + sum(self.halvings)
        if side % 2**total:
            raise ValueError(
                f"image_size {self.image_size} + 2 * pad {self.pad} is halved {total} times, once by the first "
                f"convolution; it must be a multiple of {2**total}"
            )
        return self


class Residual(nn.Module):
    """x + gate(conv(elu(norm(conv(elu(norm(x))))))), with dropout after each convolution."""

    def __init__(self, width: int, dropout: float, *, gated: bool = True) -> None:
        super().__init__()
        self.norm1, self.conv1 = BatchNorm2d(width), nn.Conv2d(width, width, 3, padding=1)
        self.norm2: nn.Module = BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.gate = nn.Conv2d(width, 2 * width, 1) if gated else None
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        h = self._drop(self.conv1(F.elu(self.norm1(x))))
        h = self._drop(self.conv2(F.elu(self.norm2(h))))
        if self.gate is not None:
            value, gate = self.gate(h).chunk(2, dim=1)
            h = F.elu(value) * gate.sigmoid()
        return x + h

    def _drop(self, h: Tensor) -> Tensor:
        return F.dropout2d(h, self.dropout, self.training) if self.dropout else h

    def fold(self) -> None:
        """The second norm follows a convolution and becomes part of it; an ELU stands between the first and its own."""
        if isinstance(self.norm2, nn.BatchNorm2d):
            self.conv1, self.norm2 = fuse_conv_bn_eval(self.conv1, self.norm2), nn.Identity()


class Merge(nn.Module):
    """Two states of one level to one."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * width, width, 1)
        self.block = Residual(width, dropout)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.block(self.conv(torch.cat([a, b], dim=1)))


def resample(conv: Callable[[int, int], nn.Module], inputs: int, outputs: int, times: int) -> nn.Sequential:
    """`conv` halves (or doubles) the resolution, `times` times; an empty chain if nothing changes at all."""
    chain = nn.Sequential()
    for _ in range(times):
        chain.append(conv(inputs, outputs))
        inputs = outputs
    if inputs != outputs:
        chain.append(nn.Conv2d(inputs, outputs, 1))
    return chain


def halve(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


def double(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


def _normal(parameters: Tensor) -> Normal:
    """[B, 2Z, H, W], means and log variances."""
    mean, log_variance = parameters.float().chunk(2, dim=1)
    return Normal(mean, 0.5 * log_variance)


class Level(nn.Module):
    """One level: its prior, its posterior, and what its latent does to the state."""

    def __init__(self, config: ConvLadderConfig, index: int) -> None:
        super().__init__()
        width, below, zdim = config.widths[index], config.below[index], config.latents[index]
        resolution, top = config.resolutions[index], index == 0
        self.top = nn.Parameter(torch.zeros(1, 2 * zdim, resolution, resolution)) if top else None
        self.prior = None if top else nn.Conv2d(width, 2 * zdim, 3, padding=1)
        self.merge = None if top else Merge(width, config.dropout)
        self.posterior = nn.Conv2d(width, 2 * zdim, 3, padding=1)
        self.enter = nn.Conv2d(zdim, width, 3, padding=1)
        self.skip = None if top else Merge(width, config.dropout)
        self.leave = resample(double, width, below, config.halvings[index])
        self.leave.extend(Residual(below, config.dropout) for _ in range(config.blocks_per_level))

    def p(self, state: Tensor | None, batch: int) -> Normal:
        """The prior of z, [B, Z, R, R]: learned at the top, elsewhere from the state above."""
        if self.prior is None:
            assert self.top is not None
            return _normal(self.top.expand(batch, -1, -1, -1))
        return _normal(self.prior(state))

    def q(self, state: Tensor | None, activation: Tensor) -> Normal:
        """The posterior of z, from both directions."""
        return _normal(self.posterior(activation if self.merge is None else self.merge(activation, state)))

    def forward(self, state: Tensor | None, z: Tensor) -> Tensor:
        """The state that the level below reads."""
        x = self.enter(z)
        return self.leave(x if self.skip is None else self.skip(x, state))


class ConvLadder(HierarchicalVAE):
    """The model: keeps the contract of `training.models.contract`."""

    citation = DenseLadder.citation
    blocks = (Residual,)
    config: ConvLadderConfig

    def __init__(self, config: ConvLadderConfig) -> None:
        super().__init__()
        self.config = config
        widths, channels = config.widths, config.image_channels
        self.shapes = [LatentShape(z, r, r) for z, r in zip(config.latents, config.resolutions, strict=True)]
        self.stem = nn.Sequential(
            nn.Conv2d(channels, config.image_width, 5, stride=2, padding=2),
            nn.ELU(),
            Residual(config.image_width, config.dropout, gated=False),
        )
        self.up = nn.ModuleList()
        for below, width, halvings in zip(config.below, widths, config.halvings, strict=True):
            blocks = (Residual(width, config.dropout) for _ in range(config.blocks_per_level))
            self.up.append(resample(halve, below, width, halvings).extend(blocks))
        self.levels = nn.ModuleList(Level(config, index) for index in range(len(widths)))
        self.image = self._head(config.image_width, config.likelihood.parameters(channels))

    def _head(self, width: int, parameters: int) -> nn.Sequential:
        """[B, width, H / 2, W / 2] -> [B, parameters, H, W]."""
        if not self.config.image_blocks:
            return nn.Sequential(nn.Conv2d(width, 4 * parameters, 3, padding=1), nn.PixelShuffle(2))
        blocks = (Residual(width, self.config.dropout) for _ in range(self.config.image_blocks))
        up = nn.Upsample(scale_factor=2, mode="bilinear")
        return nn.Sequential(up, *blocks, nn.Conv2d(width, parameters, 3, padding=1))

    def bottom_up(self, image: Tensor) -> Activations:
        x = F.pad(image, (self.config.pad,) * 4) if self.config.pad else image
        x = self.stem(x / 127.5 - 1)
        activations = {}
        for index in reversed(range(len(self.up))):
            x = self.up[index](x)
            activations[index] = x
        return activations

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        state: Tensor | None = None
        levels = []
        for index, level in enumerate(self._levels()):
            p, q = level.p(state, noise[0].shape[0]), level.q(state, activations[index])
            z = q.mean + q.scale * noise[index]
            state = level(state, z)
            levels.append(PosteriorLevel(z, p, q, kl_normal(q, p)))
        return self._to_image(state), levels

    def decode(
        self, noise: list[Tensor], given: list[Tensor], keep: list[Tensor], temperature: Tensor
    ) -> tuple[Tensor, list[PriorLevel]]:
        state: Tensor | None = None
        levels = []
        temperatures = temperature[:, :, None, None].split(1, dim=1)  # [B, 1, 1, 1] each, by one operator
        for index, level in enumerate(self._levels()):
            p = level.p(state, temperature.shape[0])
            z = choose(p.mean, p.scale, noise[index], given[index], keep[index], temperatures[index])
            state = level(state, z)
            levels.append(PriorLevel(z, p))
        return self._to_image(state), levels

    def _levels(self) -> list[Level]:
        return cast(list[Level], list(self.levels))

    def _to_image(self, state: Tensor | None) -> Tensor:
        """The lowest state -> raw parameters of p(x|z), [B, P, H, W] float32."""
        x = self.image(state).float()
        pad = self.config.pad
        return x[:, :, pad:-pad, pad:-pad] if pad else x

    def folded(self) -> ConvLadder:
        """Each batch norm that follows a convolution becomes part of it; the others stay."""
        copy = ConvLadder(self.config).eval()
        copy.load_state_dict(self.state_dict())
        for module in copy.modules():
            if isinstance(module, Residual):
                module.fold()
        return copy
