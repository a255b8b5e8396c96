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
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan  # a loop that can be exported; it has no public name yet

from training.latents import LatentShape, pack
from training.likelihoods import Bernoulli
from training.models.contract import (
    Activations,
    HierarchicalVAE,
    ModelConfig,
    Normal,
    PosteriorLevel,
    PriorLevel,
)
from training.models.vdvae import VDVAE

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

    inside: Tensor
    places: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, size: int, *, sees_itself: bool) -> None:
        super().__init__()
        self.reach, self.columns = kernel // 2, kernel
        self.taps = self.reach * kernel + self.reach + sees_itself
        back = self.reach * size + self.reach  # how many pixels back the first tap is
        self.memory = back + sees_itself  # how many pixels have to be remembered
        self.weight = nn.Parameter(torch.randn(outputs, inputs, self.taps) / math.sqrt(inputs * max(1, self.taps)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        down, right = torch.arange(self.taps) // kernel - self.reach, torch.arange(self.taps) % kernel - self.reach
        row, column = torch.arange(size * size) // size, torch.arange(size * size) % size
        seen = row[:, None] + down >= 0, column[:, None] + right >= 0, column[:, None] + right < size
        self.register_buffer("inside", torch.stack(seen).all(dim=0).float(), persistent=False)  # [pixels, taps]
        self.register_buffer("places", back + down * size + right, persistent=False)  # [taps], see `at_pixel`

    def forward(self, x: Tensor) -> Tensor:
        """All pixels at once, [B, inputs, H, W] -> [B, outputs, H, W]."""
        rows = self.reach + 1
        weight = F.pad(self.weight, (0, rows * self.columns - self.taps)).unflatten(2, (rows, self.columns))
        return F.conv2d(F.pad(x, (self.reach, self.reach, self.reach, 0)), weight, self.bias)

    def at_pixel(self, past: Tensor, inside: Tensor) -> Tensor:
        """One pixel, whose inputs so far are `past` [B, inputs, memory] -> [B, outputs].

        `inside` [taps] is 0 where a tap is beyond the edge of the image.
        """
        seen = past.index_select(2, self.places) * inside
        return F.linear(seen.flatten(1), self.weight.flatten(1), self.bias)


class Block(nn.Module):
    """A residual block: a causal convolution, GELU, and back to the state."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.conv = CausalConv(config.width, config.middle, config.kernel, config.image_size, sees_itself=True)
        self.out = nn.Conv2d(config.middle, config.width, 1, bias=False)
        self.out.weight.data *= math.sqrt(1 / config.blocks)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(F.gelu(self.conv(x)))


class Pixel(NamedTuple):
    """What the prior pass is told of one pixel; of all pixels, with one more dimension in front."""

    threshold: Tensor  # [B, 1]: drawn white where the logit is above
    keep: Tensor  # [B, 1] bool
    given: Tensor  # [B, 1]
    bias: Tensor  # [width]: what the network knows of the place
    inside: list[Tensor]  # [taps] of each convolution


# What the prior pass remembers between two pixels: the past inputs [B, inputs, memory] of each convolution.
Memory = list[Tensor]
Step = Callable[[Memory, Pixel], tuple[Memory, tuple[Tensor, Tensor]]]


class Network(nn.Module):
    """Pixels -> the logit of each, given those before it."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        size, width = config.image_size, config.width
        self.first = CausalConv(1, width, config.first_kernel, size, sees_itself=False)
        self.place = nn.Parameter(torch.zeros(width, size, size))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels [B, 1, H, W] in {0, 1} -> logits [B, 1, H, W]."""
        x = self.first(pixels) + self.place
        for block in self.blocks:
            x = block(x)
        return cast(Tensor, self.head(F.gelu(x)))

    @property
    def residual(self) -> list[Block]:
        return cast(list[Block], list(self.blocks))

    @property
    def convs(self) -> list[CausalConv]:
        return [self.first, *(block.conv for block in self.residual)]

    def memory(self, like: Tensor) -> Memory:
        """Before the first pixel there is nothing; the batch is that of `like` [B, ...]."""
        return [like.new_zeros(like.shape[0], conv.weight.shape[1], conv.memory) for conv in self.convs]

    def step(self, memory: Memory, pixel: Pixel) -> tuple[Memory, tuple[Tensor, Tensor]]:
        """The memory after one pixel, the pixel's logit and its value [B, 1]: the same as `forward`, in pieces."""
        x = self.first.at_pixel(memory[0], pixel.inside[0]) + pixel.bias
        pasts = []
        for block, past, inside in zip(self.residual, memory[1:], pixel.inside[1:], strict=True):
            past = torch.cat([past[:, :, 1:], x[:, :, None]], dim=2)
            x = x + F.linear(F.gelu(block.conv.at_pixel(past, inside)), block.out.weight.flatten(1))
            pasts.append(past)
        logit = F.linear(F.gelu(x), self.head.weight.flatten(1), self.head.bias)
        value = torch.where(pixel.keep, pixel.given, (pixel.threshold < logit).to(logit.dtype))
        return [torch.cat([memory[0][:, :, 1:], value[:, :, None]], dim=2), *pasts], (logit, value)


class Autoregressive(HierarchicalVAE):
    """The model: keeps the contract of `training.models.contract`, with level i the pixel i in raster order."""

    citation = VDVAE.citation
    config: AutoregressiveConfig
    prior: ClassVar[Literal["normal", "bernoulli"]] = "bernoulli"

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Network(config)
        size = config.image_size
        self.shapes = [LatentShape(1, 1, 1)] * size**2
        self.labels = [f"row {row}, column {column}" for row in range(size) for column in range(size)]

    def bottom_up(self, image: Tensor) -> Activations:
        return {0: image / 255}

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        """The noise is not used: the posterior is the image itself."""
        pixels = activations[0]
        logits = self.network(pixels).float()
        nats = F.softplus((1 - 2 * pixels) * logits)  # -log p of what the pixel is
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
        pixels = Pixel(
            threshold=(temperature * logit_of_normal(pack(noise))).T[:, :, None],
            keep=pack(keep).T[:, :, None],
            given=pack(given).T[:, :, None],
            bias=self.network.place.flatten(1).T,
            inside=[conv.inside for conv in self.network.convs],
        )
        logits, z = _walk(self.network.step, self.network.memory(temperature), pixels)
        size = self.config.image_size
        z = z.squeeze(2).T.unflatten(1, (1, size, size))
        priors = self._priors(logits.squeeze(2).T[:, :, None, None])
        levels = [PriorLevel(z_i, prior) for z_i, prior in zip(self._levels(z), priors, strict=True)]
        return self._image(z), levels

    def _priors(self, logits: Tensor) -> list[Normal]:
        """The mean p and the scale sqrt(p (1 - p)) of each level.

        By softplus, as the rates are: a logarithm of ONNX Runtime's sigmoid, which is 0 from -17 on, would not do.
        """
        log_scale = -(F.softplus(logits) + F.softplus(-logits)) / 2
        return [Normal(*pair) for pair in zip(self._levels(logits.sigmoid()), self._levels(log_scale), strict=True)]

    @staticmethod
    def _levels(pixels: Tensor) -> tuple[Tensor, ...]:
        """[B, 1, H, W] or [B, N, 1, 1] -> N levels [B, 1, 1, 1], in raster order."""
        return pixels.flatten(1)[:, :, None, None].split(1, dim=1)

    @staticmethod
    def _image(z: Tensor) -> Tensor:
        """Latents [B, 1, H, W] -> the logits of p(x|z), which is sure of them."""
        return CERTAIN * (2 * z - 1)


def logit_of_normal(eps: Tensor) -> Tensor:
    """log Phi(eps) - log(1 - Phi(eps)), Phi the cumulative distribution of the standard normal."""
    probability = (0.5 * (1 + torch.erf(eps * math.sqrt(0.5)))).clamp(SMALLEST, 1 - SMALLEST)
    return torch.log(probability) - torch.log1p(-probability)


def _walk(step: Step, memory: Memory, pixels: Pixel) -> tuple[Tensor, Tensor]:
    """`step` from pixel to pixel: what it says of each, [N, B, 1] twice.

    A graph gets one loop (ONNX's Scan), where unrolling would write the network down 196 times and take minutes.
    """
    if torch.compiler.is_exporting():
        logits, values = scan(step, memory, pixels)[1]
        return logits, values
    said = []
    for index in range(len(pixels.bias)):
        threshold, keep, given, bias = (field[index] for field in pixels[:4])
        inside = [taps[index] for taps in pixels.inside]
        memory, of_pixel = step(memory, Pixel(threshold, keep, given, bias, inside))
        said.append(of_pixel)
    logits, values = (torch.stack(parts) for parts in zip(*said, strict=True))
    return logits, values
