"""An autoregressive model as a hierarchical VAE: Proposition 1 of Child (2021, arXiv:2011.10650), executable.

A PixelCNN (van den Oord et al. 2016, arXiv:1601.06759) of binary images, p(x) = prod_i p(x_i | x_<i) over the pixels in
raster order, becomes a hierarchical VAE with one level for each pixel, of one latent each:

    p(z_i | z_<i) = Bernoulli(p_i), the network's      q(z_i | x) = [z_i = x_i]      p(x|z) = [x = z]

The posterior is a point mass at the image, so the rate of level i is -log p(x_i | x_<i), the distortion is 0, and the
ELBO is the exact log-likelihood. The network is small and its causal convolutions keep no weight of a pixel that comes
later; the posterior pass runs it on all pixels at once, the prior pass pixel by pixel on what it remembers.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from training.latents import LatentShape
from training.likelihoods import Bernoulli
from training.models.contract import (
    Activations,
    HierarchicalVAE,
    ModelConfig,
    Normal,
    PosteriorLevel,
    PriorLevel,
)

CERTAIN = 40.0  # the logit of a pixel that is known: exp(-40) is nothing beside 1 in float32
SMALLEST = 1e-7  # probabilities closer to 0 or 1 are nothing in float32


class AutoregressiveConfig(ModelConfig):
    """Everything that fixes the network."""

    family: Literal["autoregressive"] = "autoregressive"
    image_channels: Literal[1] = 1
    likelihood: Bernoulli = Bernoulli()
    width: int = Field(gt=0)  # channels of the state of a pixel
    middle: int = Field(gt=0)  # channels inside a block
    blocks: int = Field(ge=0)
    first_kernel: int = Field(default=7, gt=0)  # of the convolution that reads the pixels
    kernel: int = Field(default=5, gt=0)  # of the blocks

    @field_validator("first_kernel", "kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"{value} has no middle: a kernel is odd")
        return value


class CausalConv(nn.Module):
    """A convolution that sees the pixels before its own in raster order, and its own only if it `sees_itself`.

    Those are the first taps of the kernel's upper half, so no others are kept: weight [outputs, inputs, taps].
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, sees_itself: bool) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.rows = self.reach + 1
        self.taps = self.reach * kernel + self.reach + sees_itself
        self.weight = nn.Parameter(torch.randn(outputs, inputs, self.taps) / math.sqrt(inputs * max(1, self.taps)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """All pixels at once, [B, inputs, H, W] -> [B, outputs, H, W]."""
        columns = 2 * self.reach + 1
        weight = F.pad(self.weight, (0, self.rows * columns - self.taps)).unflatten(2, (self.rows, columns))
        return F.conv2d(F.pad(x, (self.reach, self.reach, self.reach, 0)), weight, self.bias)

    def matrix(self) -> Tensor:
        """The weights of one pixel's neighbours, side by side as `neighbours` lists them: [taps * inputs, outputs]."""
        return self.weight.permute(2, 1, 0).flatten(0, 1)

    def neighbours(self, pixel: int, size: int) -> list[int | None]:
        """The pixels that each tap sees, None beyond the edge of the image."""
        row, column = divmod(pixel, size)
        places = [divmod(tap, 2 * self.reach + 1) for tap in range(self.taps)]
        seen = [(row + down - self.reach, column + right - self.reach) for down, right in places]
        return [r * size + c if r >= 0 and 0 <= c < size else None for r, c in seen]


class Block(nn.Module):
    """A residual block: a causal convolution, GELU, and back to the state."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.conv = CausalConv(config.width, config.middle, config.kernel, sees_itself=True)
        self.out = nn.Conv2d(config.middle, config.width, 1, bias=False)
        self.out.weight.data *= math.sqrt(1 / config.blocks)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(F.gelu(self.conv(x)))


class Network(nn.Module):
    """Pixels -> the logit of each, given those before it."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        size, width = config.image_size, config.width
        self.size = size
        self.first = CausalConv(1, width, config.first_kernel, sees_itself=False)
        self.place = nn.Parameter(torch.zeros(width, size, size))  # what is known before any pixel is seen
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels [B, 1, H, W] in {0, 1} -> logits [B, 1, H, W]."""
        x = self.first(pixels) + self.place
        for block in self.blocks:
            x = block(x)
        return cast(Tensor, self.head(F.gelu(x)))


class Memory:
    """The network one pixel at a time: it remembers the state of every pixel before each block, [B, C] each.

    A convolution at one pixel is one product of its neighbours' states with a matrix.
    """

    def __init__(self, network: Network, batch: Tensor) -> None:
        """`batch` is any tensor [B, ...]: the states are of its batch, type and device."""
        self.size = network.size
        self.pixels: list[Tensor] = []
        self.places = network.place.flatten(1).T.split(1)  # [1, C] each
        self.convs = [network.first, *(cast(Block, block).conv for block in network.blocks)]
        self.matrices = [conv.matrix() for conv in self.convs]
        self.returns = [cast(Block, block).out.weight.flatten(1).T for block in network.blocks]
        self.head, self.head_bias = network.head.weight.flatten(1).T, network.head.bias
        self.states: list[list[Tensor]] = [[] for _ in self.returns]
        self.beyond = [batch.new_zeros(len(batch), conv.weight.shape[1]) for conv in self.convs]

    def next_logit(self) -> Tensor:
        """The logit of the next pixel given `pixels`, [B, 1]; append the pixel that was chosen to `pixels`."""
        pixel = len(self.pixels)
        x = self._conv(0, self.pixels, pixel) + self.places[pixel]
        for index, matrix in enumerate(self.returns):
            states = self.states[index]
            states.append(x)
            x = torch.addmm(x, F.gelu(self._conv(index + 1, states, pixel)), matrix)
        return torch.addmm(self.head_bias, F.gelu(x), self.head)

    def _conv(self, index: int, before: list[Tensor], pixel: int) -> Tensor:
        conv, beyond = self.convs[index], self.beyond[index]
        seen = conv.neighbours(pixel, self.size)
        inputs = torch.cat([beyond if place is None else before[place] for place in seen], dim=1)
        return torch.addmm(conv.bias, inputs, self.matrices[index])


class Autoregressive(HierarchicalVAE):
    """The model: keeps the contract of `training.models.contract`, with level i the pixel i in raster order."""

    config: AutoregressiveConfig
    prior: ClassVar[Literal["normal", "bernoulli"]] = "bernoulli"

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Network(config)
        self.shapes = [LatentShape(1, 1, 1)] * config.image_size**2

    def bottom_up(self, image: Tensor) -> Activations:
        return {0: image / 255}

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        """The noise is not used: the posterior is the image itself."""
        pixels = activations[0]
        logits = self.network(pixels).float()
        nats = F.binary_cross_entropy_with_logits(logits, pixels, reduction="none")
        priors, z = self._priors(logits), self._levels(pixels)
        nowhere_else = torch.full_like(z[0], -math.inf)  # the log scale of a point mass
        levels = [
            PosteriorLevel(z_i, prior, Normal(z_i, nowhere_else), kl, analytic=False)
            for z_i, prior, kl in zip(z, priors, self._levels(nats), strict=True)
        ]
        return self._image(pixels), levels

    def decode(
        self, noise: list[Tensor], given: list[Tensor], keep: list[Tensor], temperature: Tensor
    ) -> tuple[Tensor, list[PriorLevel]]:
        """The inverse of the cumulative distribution: z = 1 where Phi(eps) < sigmoid(logit p / tau).

        That is where tau * logit Phi(eps) < logit p, which at tau = 0 is p > 1/2 whatever the noise.
        """
        thresholds = (temperature * logit_of_normal(_packed(noise))).split(1, dim=1)  # [B, 1] each, as all below
        kept, pixels = _packed(keep).split(1, dim=1), _packed(given).split(1, dim=1)
        memory, logits = Memory(self.network, temperature), []
        for threshold, is_kept, pixel in zip(thresholds, kept, pixels, strict=True):
            logits.append(memory.next_logit())
            drawn = (threshold < logits[-1]).to(pixel.dtype)
            memory.pixels.append(torch.where(is_kept, pixel, drawn))
        z = torch.cat(memory.pixels, dim=1)[:, :, None, None]
        priors = self._priors(torch.cat(logits, dim=1)[:, :, None, None])
        levels = [PriorLevel(z_i, prior) for z_i, prior in zip(self._levels(z), priors, strict=True)]
        size = self.config.image_size
        return self._image(z.flatten(1).unflatten(1, (1, size, size))), levels

    def _priors(self, logits: Tensor) -> list[Normal]:
        """The mean p and the scale sqrt(p (1 - p)) of each level."""
        log_scale = (F.logsigmoid(logits) + F.logsigmoid(-logits)) / 2
        return [Normal(*pair) for pair in zip(self._levels(logits.sigmoid()), self._levels(log_scale), strict=True)]

    @staticmethod
    def _levels(pixels: Tensor) -> tuple[Tensor, ...]:
        """[B, 1, H, W] or [B, N, 1, 1] -> N levels [B, 1, 1, 1], in raster order."""
        return pixels.flatten(1)[:, :, None, None].split(1, dim=1)

    @staticmethod
    def _image(z: Tensor) -> Tensor:
        """Latents [B, 1, H, W] -> the logits of p(x|z), which is sure of them."""
        return CERTAIN * (2 * z - 1)


def _packed(levels: list[Tensor]) -> Tensor:
    """Levels [B, 1, 1, 1] -> [B, N]."""
    return torch.cat(levels, dim=1).flatten(1)


def logit_of_normal(eps: Tensor) -> Tensor:
    """log Phi(eps) - log(1 - Phi(eps)), Phi the cumulative distribution of the standard normal."""
    probability = (0.5 * (1 + torch.erf(eps * math.sqrt(0.5)))).clamp(SMALLEST, 1 - SMALLEST)
    return torch.log(probability) - torch.log1p(-probability)
