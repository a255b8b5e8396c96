"""Very Deep VAE (Child 2021, arXiv:2011.10650), as published in openai/vdvae, weights and keys included.

A bottom-up encoder leaves one activation at each resolution. The decoder keeps one state x at each resolution and
walks through its blocks from 1x1 upwards; every block is one level of latents:

    p(z|x), feature = prior(x)          q(z|x, image) = posterior(x, activation)
    x <- x + feature + W z
    x <- x + resnet(x)

Block strings: "8x5" is five blocks at resolution 8; "8m4" one block at 8 that first adds the upsampled state of 4;
"8d2" (encoder only) one block at 8, then average pooling by 2; "8" one block.

Beyond the published model, `pad` and `patch` fit small grey images: pixels are padded with black, then each
patch x patch square becomes channels, so that the finest level works at (image_size + 2 pad) / patch.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.distributions import kl_normal
from training.latents import LatentShape, choose
from training.models.contract import (
    Activations,
    HierarchicalVAE,
    ModelConfig,
    Normal,
    PosteriorLevel,
    PriorLevel,
)


class BlockSpec(NamedTuple):
    """One block of a block string."""

    resolution: int
    mixin: int | None = None  # decoder: resolution whose state is added first
    down: int | None = None  # encoder: average pooling after the block


def parse_blocks(text: str) -> list[BlockSpec]:
    """Parse a block string. Raises ValueError naming the part that makes no sense."""
    blocks: list[BlockSpec] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([1-9]\d*)(?:([xmd])([1-9]\d*))?\s*", part)
        if match is None:
            raise ValueError(f"cannot read block '{part}'; write e.g. '8x5', '8m4', '8d2' or '8'")
        resolution, kind, number = int(match[1]), match[2], int(match[3] or 1)
        if kind == "m":
            blocks.append(BlockSpec(resolution, mixin=number))
        elif kind == "d":
            blocks.append(BlockSpec(resolution, down=number))
        else:
            blocks += [BlockSpec(resolution)] * number
    return blocks


class VDVAEConfig(ModelConfig):
    """Everything that fixes the network. Names are those of the published hyper-parameters."""

    family: Literal["vdvae"] = "vdvae"
    image_channels: Literal[1, 3] = 3
    width: int = Field(gt=0)
    custom_width_str: str = ""  # "resolution:width,..." where it differs from `width`
    zdim: int = Field(default=16, gt=0)
    bottleneck_multiple: float = Field(default=0.25, gt=0)
    no_bias_above: int = 64  # resolutions above it start from zeros instead of a learned state
    enc_blocks: str
    dec_blocks: str
    pad: int = Field(default=0, ge=0)  # black pixels added on each side
    patch: int = Field(default=1, gt=0)  # pixels on the side of one position of the finest level
    shift: float  # network input = (value in 0..255 + shift) * scale
    scale: float

    @property
    def finest_resolution(self) -> int:
        """The finest resolution of the hierarchy."""
        return (self.image_size + 2 * self.pad) // self.patch

    @property
    def widths(self) -> dict[int, int]:
        """Channels of the states and activations by resolution."""
        blocks = (*parse_blocks(self.enc_blocks), *parse_blocks(self.dec_blocks))
        resolutions = {r for b in blocks for r in (b.resolution, b.resolution // (b.down or 1))}
        custom = dict(part.split(":") for part in self.custom_width_str.split(",") if part)
        return {r: int(custom.get(str(r), self.width)) for r in sorted(resolutions)}

    @model_validator(mode="after")
    def _check(self) -> VDVAEConfig:
        if (self.image_size + 2 * self.pad) % self.patch:
            raise ValueError(f"image_size {self.image_size} + 2 * pad {self.pad} is no multiple of patch {self.patch}")
        if not re.fullmatch(r"(\d+:[1-9]\d*(,\d+:[1-9]\d*)*)?", self.custom_width_str):
            raise ValueError(f"custom_width_str '{self.custom_width_str}': write 'resolution:width,resolution:width'")
        encoded = self._check_encoder()
        self._check_decoder(encoded)
        self._check_widths(encoded)
        return self

    def _check_encoder(self) -> set[int]:
        resolution, seen = self.finest_resolution, {self.finest_resolution}
        for block in parse_blocks(self.enc_blocks):
            if block.mixin is not None:
                raise ValueError(f"enc_blocks: '{block.resolution}m{block.mixin}': only the decoder mixes in")
            if block.resolution != resolution:
                raise ValueError(
                    f"enc_blocks: a block at {block.resolution} cannot follow when the activation is at {resolution}"
                )
            if block.down is not None:
                if resolution % block.down:
                    raise ValueError(f"enc_blocks: '{resolution}d{block.down}': {resolution} is no multiple of it")
                resolution //= block.down
                seen.add(resolution)
        return seen

    def _check_decoder(self, encoded: set[int]) -> None:
        widths, done = self.widths, set[int]()
        for block in parse_blocks(self.dec_blocks):
            r, mixin = block.resolution, block.mixin
            if block.down is not None:
                raise ValueError(f"dec_blocks: '{r}d{block.down}': only the encoder pools")
            if r not in encoded:
                raise ValueError(f"dec_blocks: resolution {r} has no encoder activation; there are {sorted(encoded)}")
            if mixin is not None and mixin not in done:
                raise ValueError(f"dec_blocks: '{r}m{mixin}' mixes in resolution {mixin}, which no block has made yet")
            if mixin is not None and r % mixin:
                raise ValueError(f"dec_blocks: '{r}m{mixin}': {r} is no multiple of {mixin}")
            if mixin is not None and widths[mixin] < widths[r]:
                raise ValueError(
                    f"dec_blocks: '{r}m{mixin}': width {widths[mixin]} at {mixin} is below {widths[r]} at {r}"
                )
            if done and r < max(done):
                raise ValueError(f"dec_blocks: resolution {r} comes after {max(done)}; go from coarse to fine")
            if mixin is None and r not in done and r > self.no_bias_above:
                raise ValueError(
                    f"dec_blocks: the first block at {r} starts from nothing: no_bias_above is {self.no_bias_above}, "
                    f"so mix in a coarser resolution, e.g. '{r}m{max(done, default=1)}'"
                )
            done.add(r)
        if self.finest_resolution not in done:
            raise ValueError(f"dec_blocks: no block at {self.finest_resolution}, the finest resolution of the image")

    def _check_widths(self, encoded: set[int]) -> None:
        widths = self.widths
        custom = {int(part.split(":")[0]) for part in self.custom_width_str.split(",") if part}
        if unused := sorted(custom - widths.keys()):
            raise ValueError(f"custom_width_str: no block works at {unused}; blocks work at {list(widths)}")
        for resolution, width in widths.items():
            if int(width * self.bottleneck_multiple) < 1:
                raise ValueError(f"width {width} at {resolution} times bottleneck_multiple leaves no channel")
        for coarse, fine in pairwise(sorted(encoded)):
            if widths[coarse] < widths[fine]:
                raise ValueError(
                    f"enc_blocks: width {widths[coarse]} at {coarse} is below {widths[fine]} at {fine}; "
                    "the encoder only adds channels on its way down"
                )


class Block(nn.Module):
    """Bottleneck of four convolutions, GELU before each; 3x3 in the middle where the resolution allows."""

    def __init__(
        self,
        inputs: int,
        middle: int,
        outputs: int,
        resolution: int,
        *,
        residual: bool = False,
        down: int | None = None,  # average pooling after the block
    ) -> None:
        super().__init__()
        kernel = 3 if resolution > 2 else 1
        self.residual, self.down = residual, down
        self.c1 = nn.Conv2d(inputs, middle, 1)
        self.c2 = nn.Conv2d(middle, middle, kernel, padding=kernel // 2)
        self.c3 = nn.Conv2d(middle, middle, kernel, padding=kernel // 2)
        self.c4 = nn.Conv2d(middle, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for conv in (self.c1, self.c2, self.c3, self.c4):
            h = conv(F.gelu(h))
        if self.residual:
            h = x + h
        return h if self.down is None else F.avg_pool2d(h, self.down)


class Encoder(nn.Module):
    """Bottom-up pass: the image [B, C, R, R] -> the last activation at each resolution."""

    def __init__(self, config: VDVAEConfig) -> None:
        super().__init__()
        self.widths = config.widths
        specs = parse_blocks(config.enc_blocks)
        channels = config.image_channels * config.patch**2
        self.in_conv = nn.Conv2d(channels, self.widths[config.finest_resolution], 3, padding=1)
        self.enc_blocks = nn.ModuleList()
        for spec in specs:
            width = self.widths[spec.resolution]
            middle = int(width * config.bottleneck_multiple)
            block = Block(width, middle, width, spec.resolution, residual=True, down=spec.down)
            block.c4.weight.data *= math.sqrt(1 / len(specs))
            self.enc_blocks.append(block)

    def forward(self, x: Tensor) -> Activations:
        x = self.in_conv(x)
        activations = {x.shape[2]: x}
        for block in self.enc_blocks:
            x = block(x)
            resolution = x.shape[2]
            grow = self.widths[resolution] - x.shape[1]
            x = F.pad(x, (0, 0, 0, 0, 0, grow)) if grow else x  # a wider resolution starts with empty channels
            activations[resolution] = x
        return activations


class DecoderBlock(nn.Module):
    """One level: its prior, its posterior, and what its latent does to the state."""

    def __init__(self, config: VDVAEConfig, spec: BlockSpec, blocks: int) -> None:
        super().__init__()
        resolution, width, zdim = spec.resolution, config.widths[spec.resolution], config.zdim
        middle = int(width * config.bottleneck_multiple)
        self.resolution, self.mixin, self.zdim, self.width = resolution, spec.mixin, zdim, width
        self.enc = Block(2 * width, middle, 2 * zdim, resolution)
        self.prior = Block(width, middle, 2 * zdim + width, resolution)
        self.z_proj = nn.Conv2d(zdim, width, 1)
        self.resnet = Block(width, middle, width, resolution, residual=True)
        self.prior.c4.weight.data.zero_()  # every level starts as N(0, 1)
        self.z_proj.weight.data *= math.sqrt(1 / blocks)
        self.resnet.c4.weight.data *= math.sqrt(1 / blocks)

    def enter(self, states: dict[int, Tensor]) -> Tensor:
        """The state this level starts from, [B, W, R, R]."""
        x = states.get(self.resolution)
        if self.mixin is None:
            assert x is not None, "the configuration was checked: a state without bias needs a mixin"
            return x
        up = F.interpolate(states[self.mixin][:, : self.width], scale_factor=self.resolution // self.mixin)
        return up if x is None else x + up

    def p(self, x: Tensor) -> tuple[Normal, Tensor]:
        """Prior of z [B, Z, R, R], and the feature [B, W, R, R] that the state gains whatever z is."""
        mean, log_scale, feature = self.prior(x).split([self.zdim, self.zdim, self.width], dim=1)
        return Normal(mean.float(), log_scale.float()), feature

    def q(self, x: Tensor, activation: Tensor) -> Normal:
        """Posterior of z, from the state before the prior's feature was added."""
        mean, log_scale = self.enc(torch.cat([x, activation], dim=1)).chunk(2, dim=1)
        return Normal(mean.float(), log_scale.float())

    def leave(self, x: Tensor, feature: Tensor, z: Tensor) -> Tensor:
        return self.resnet(x + feature + self.z_proj(z))


class OutNet(nn.Module):
    """The image head: a 1x1 convolution to the raw parameters of p(x|z)."""

    def __init__(self, width: int, parameters: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(width, parameters, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_conv(x)


class Decoder(nn.Module):
    """Top-down pass: learned states, one block a level, and the image head."""

    def __init__(self, config: VDVAEConfig) -> None:
        super().__init__()
        specs, widths = parse_blocks(config.dec_blocks), config.widths
        width = widths[config.finest_resolution]
        self.dec_blocks = nn.ModuleList(DecoderBlock(config, spec, len(specs)) for spec in specs)
        used = {spec.resolution for spec in specs}
        self.bias_resolutions = [r for r in sorted(used) if r <= config.no_bias_above]
        self.bias_xs = nn.ParameterList(nn.Parameter(torch.zeros(1, widths[r], r, r)) for r in self.bias_resolutions)
        self.gain = nn.Parameter(torch.ones(1, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.out_net = OutNet(width, config.likelihood.parameters(config.image_channels) * config.patch**2)

    @property
    def levels(self) -> list[DecoderBlock]:
        """The blocks from the top, one a level."""
        return cast(list[DecoderBlock], list(self.dec_blocks))

    def start(self, batch: int) -> dict[int, Tensor]:
        """The learned states, [batch, W, R, R] by resolution."""
        return {r: x.expand(batch, -1, -1, -1) for r, x in zip(self.bias_resolutions, self.bias_xs, strict=True)}

    def head(self, x: Tensor) -> Tensor:
        return self.out_net(x * self.gain + self.bias)


class VDVAE(HierarchicalVAE):
    """The model: keeps the contract of `training.models.contract`."""

    citation = "Child, R. Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images. ICLR 2021."
    blocks = (Block,)
    config: VDVAEConfig

    def __init__(self, config: VDVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                module.bias.data.zero_()
        self.shapes = [LatentShape(b.zdim, b.resolution, b.resolution) for b in self.decoder.levels]

    def bottom_up(self, image: Tensor) -> Activations:
        return self.encoder(self._to_network(image))

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        states = self.decoder.start(noise[0].shape[0])
        levels = []
        for block, eps in zip(self.decoder.levels, noise, strict=True):
            x = block.enter(states)
            p, feature = block.p(x)
            q = block.q(x, activations[block.resolution])
            z = q.mean + q.scale * eps
            states[block.resolution] = block.leave(x, feature, z)
            levels.append(PosteriorLevel(z, p, q, kl_normal(q, p)))
        return self._to_image(states), levels

    def decode(
        self, noise: list[Tensor], given: list[Tensor], keep: list[Tensor], temperature: Tensor
    ) -> tuple[Tensor, list[PriorLevel]]:
        states = self.decoder.start(temperature.shape[0])
        temperatures = temperature[:, :, None, None].split(1, dim=1)  # [B, 1, 1, 1] each, by one operator
        levels = []
        for index, block in enumerate(self.decoder.levels):
            x = block.enter(states)
            p, feature = block.p(x)
            z = choose(p.mean, p.scale, noise[index], given[index], keep[index], temperatures[index])
            states[block.resolution] = block.leave(x, feature, z)
            levels.append(PriorLevel(z, p))
        return self._to_image(states), levels

    def _to_network(self, image: Tensor) -> Tensor:
        """[B, C, H, W] in 0..255 -> [B, C * patch^2, R, R]."""
        x = F.pad(image, (self.config.pad,) * 4) if self.config.pad else image
        x = (x + self.config.shift) * self.config.scale
        return F.pixel_unshuffle(x, self.config.patch) if self.config.patch > 1 else x

    def _to_image(self, states: dict[int, Tensor]) -> Tensor:
        """The finest state -> raw parameters of p(x|z), [B, P, H, W] float32."""
        x = self.decoder.head(states[self.config.finest_resolution]).float()
        x = F.pixel_shuffle(x, self.config.patch) if self.config.patch > 1 else x
        pad = self.config.pad
        return x[:, :, pad:-pad, pad:-pad] if pad else x
