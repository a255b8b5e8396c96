"""Likelihoods p(x|z) of uint8 images, from the raw parameters [B, P, H, W] that a model's image head emits.

`observe` turns stored images into what the model may see, `nats` is -log p(x|z), `mean` the expected image.

The published codes disagree on the mixture of discretised logistics (facts in docs/mathematics.md): each quirk is an
`edge_rule`, kept for imported checkpoints; `exact` is a proper distribution that sums to one over all values.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class Bernoulli(BaseModel):
    """Binary pixels: one logit for each. Grey images are thresholded; dynamic binarisation is the data's business."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["bernoulli"] = "bernoulli"

    def parameters(self, channels: int) -> int:
        """How many parameters a pixel has."""
        return channels

    def observe(self, image: Tensor) -> Tensor:
        """uint8 [B, H, W, C] -> float [B, C, H, W], 0 or 255."""
        return (image.permute(0, 3, 1, 2) > 127).float() * 255

    def nats(self, parameters: Tensor, image: Tensor) -> Tensor:
        """-log p(x|z) [B] in nats an image; `image` as `observe` gives it."""
        return F.binary_cross_entropy_with_logits(parameters, image / 255, reduction="none").sum(dim=(1, 2, 3))

    def mean(self, parameters: Tensor) -> Tensor:
        """E[x|z] as uint8 [B, H, W, C]."""
        return (parameters.sigmoid() * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


class DMOL(BaseModel):
    """Mixture of discretised logistics with channel autoregression (PixelCNN++, Salimans et al. 2017).

    Raw parameters of a pixel: M mixture logits, then for each image channel M means, M log scales and, for colour,
    M coefficients. Values are x = 2 v / (2^bits - 1) - 1, each with half a bin on both sides.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["dmol"] = "dmol"
    mixtures: int = Field(default=10, gt=0)
    bits: int = Field(default=8, ge=1, le=8)
    edge_rule: Literal["exact", "reference-vdvae", "reference-nvae"] = "exact"

    def parameters(self, channels: int) -> int:
        return self.mixtures * (1 + channels * (3 if channels == 3 else 2))

    def observe(self, image: Tensor) -> Tensor:
        """uint8 [B, H, W, C] -> float [B, C, H, W] in 0..255: all 8 bits, only the target loses some.

        NVAE's network sees no more than its target: its 2^bits values, spread evenly over 0..255.
        """
        pixels = image.permute(0, 3, 1, 2).float()
        return quantise(pixels, self.bits) if self.edge_rule == "reference-nvae" else pixels

    def nats(self, parameters: Tensor, image: Tensor) -> Tensor:
        x = self._target(image)  # [B, C, H, W] in -1..1
        logits, means, log_scales = self._components(parameters, x)  # [B, M, H, W], [B, C, M, H, W] twice
        x = x[:, :, None]  # [B, C, 1, H, W]
        log_p = self._log_bin(x - means, log_scales, x).sum(dim=1)  # channels are independent given the means
        return -torch.logsumexp(log_p + logits.log_softmax(dim=1), dim=1).sum(dim=(1, 2))

    def mean(self, parameters: Tensor) -> Tensor:
        """E[x|z] as uint8 [B, H, W, C]: the mean of each component, channel by channel, then of the mixture."""
        logits, means, _, coefficients = self._split(parameters, self._channels(parameters.shape[1]))
        red = means[:, 0].clamp(-1, 1)
        parts = [red]
        if means.shape[1] == 3:
            green = (means[:, 1] + coefficients[:, 0] * red).clamp(-1, 1)
            blue = (means[:, 2] + coefficients[:, 1] * red + coefficients[:, 2] * green).clamp(-1, 1)
            parts = [red, green, blue]
        x = (logits.softmax(dim=1)[:, None] * torch.stack(parts, dim=1)).sum(dim=2)
        return ((x + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)

    def _channels(self, count: int) -> int:
        return 3 if count == self.parameters(3) else 1

    def _target(self, image: Tensor) -> Tensor:
        if self.edge_rule == "reference-vdvae":  # published 5-bit target: floor to multiples of 8, then the 8-bit scale
            step = 2 ** (8 - self.bits)
            return ((image / step).floor() * step - 127.5) / 127.5
        return quantise(image, self.bits) / 127.5 - 1

    def _split(self, parameters: Tensor, channels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits [B, M, H, W]; means, log scales, coefficients [B, C, M, H, W] (no coefficients for grey images)."""
        m = self.mixtures
        rest = parameters[:, m:].unflatten(1, (channels, -1))  # [B, C, 2M or 3M, H, W]
        means, log_scales, coefficients = rest[:, :, :m], rest[:, :, m : 2 * m], rest[:, :, 2 * m :]
        return parameters[:, :m], means, log_scales.clamp(min=-7), coefficients.tanh()

    def _components(self, parameters: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and log scales given the image x [B, C, H, W]: green knows red, blue knows both."""
        logits, means, log_scales, coefficients = self._split(parameters, x.shape[1])
        if x.shape[1] == 3:
            red, green = x[:, 0:1], x[:, 1:2]
            means = torch.stack(
                [
                    means[:, 0],
                    means[:, 1] + coefficients[:, 0] * red,
                    means[:, 2] + coefficients[:, 1] * red + coefficients[:, 2] * green,
                ],
                dim=1,
            )
        return logits, means, log_scales

    def _log_bin(self, centred: Tensor, log_scales: Tensor, x: Tensor) -> Tensor:
        """log P(bin of x) under each component, [B, C, M, H, W]."""
        half_bin = 1 / (2**self.bits - 1)
        inverse = (-log_scales).exp()
        plus, minus = inverse * (centred + half_bin), inverse * (centred - half_bin)
        left, right = F.logsigmoid(plus), F.logsigmoid(-minus)  # mass up to the bin's end, mass from its start
        if self.edge_rule == "exact":
            # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no cancellation, no threshold
            inside = left + right + (-torch.expm1(-2 * half_bin * inverse)).log()
            lowest, highest = x < -1 + half_bin, x > 1 - half_bin
        else:
            mass = plus.sigmoid() - minus.sigmoid()
            scaled = inverse * centred
            density = scaled - log_scales - 2 * F.softplus(scaled) - math.log((2**self.bits - 1) / 2)
            inside = torch.where(mass > 1e-5, mass.clamp(min=1e-12).log(), density)
            lowest, highest = x < -0.999, x > (0.99 if self.edge_rule == "reference-nvae" else 0.999)
        return torch.where(lowest, left, torch.where(highest, right, inside))


class Normal(BaseModel):
    """A Gaussian for each channel, as in NVAE's `NormalDecoder`, made a distribution over the 2^bits values.

    Raw parameters of a pixel: C means m, then C log scales s; with soft(a) = 5 tanh(a / 5),

        mu = soft(m),    sigma = exp(soft(s)) + 0.01    (Vahdat & Kautz 2020, published code)

    A value has the mass of its bin, half a bin on both sides, the lowest and the highest what lies beyond: it sums to
    one. (The published code reports the density at the value instead, which no figure in bits compares with.)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["normal"] = "normal"
    bits: int = Field(default=8, ge=1, le=8)

    def parameters(self, channels: int) -> int:
        return 2 * channels

    def observe(self, image: Tensor) -> Tensor:
        """uint8 [B, H, W, C] -> float [B, C, H, W]: the 2^bits values, spread evenly over 0..255."""
        return quantise(image.permute(0, 3, 1, 2).float(), self.bits)

    def nats(self, parameters: Tensor, image: Tensor) -> Tensor:
        mean, scale = self._split(parameters.double())  # bins are thin under a wide Gaussian: float32 would cancel
        x = quantise(image.double(), self.bits) / 127.5 - 1
        half_bin = 1 / (2**self.bits - 1)
        upper, lower = (x + half_bin - mean) / scale, (x - half_bin - mean) / scale
        up_to, from_on = torch.special.log_ndtr(upper), torch.special.log_ndtr(-lower)
        # The bin as a difference of two tails, taken on the side of the mean where both are small.
        left = x < mean
        larger = torch.where(left, up_to, from_on)
        smaller = torch.special.log_ndtr(torch.where(left, lower, -upper))
        inside = larger + torch.log1p(-(smaller - larger).exp())
        log_p = torch.where(x < -1 + half_bin, up_to, torch.where(x > 1 - half_bin, from_on, inside))
        return -log_p.sum(dim=(1, 2, 3)).to(parameters.dtype)

    def mean(self, parameters: Tensor) -> Tensor:
        """mu within the range, as uint8 [B, H, W, C]."""
        mean, _ = self._split(parameters)
        return ((mean.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """mu and sigma on the scale -1..1, [B, C, H, W]."""
        mean, log_scale = (5 * (raw / 5).tanh() for raw in parameters.chunk(2, dim=1))
        return mean, log_scale.exp() + 1e-2


def quantise(image: Tensor, bits: int) -> Tensor:
    """0..255 -> the value 255 k / (2^bits - 1) whose k are the first `bits` bits; does not change it twice."""
    return (image / 2 ** (8 - bits)).floor() * (255 / (2**bits - 1))


Likelihood = Annotated[Bernoulli | DMOL | Normal, Field(discriminator="kind")]
