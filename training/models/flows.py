"""Inverse autoregressive flow on the latents of one group (Kingma et al. 2016; NVAE, arXiv:2007.03898, section 3.3).

A cell maps z -> z - mu(z), where mu at one channel and position sees only channels and positions before it: the
Jacobian is triangular with ones on its diagonal, so log q(z) does not change. A pair of cells reads the map from
both ends. Only the posterior uses flows; sampling from the prior never does.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.nvae_cells import norm, plain_conv

EXPANSION = 6
MU_INIT = 0.1  # the flow starts near the identity


class MaskedConv2d(nn.Conv2d):
    """Weight-normalised convolution that sees what comes before each output, in row-major order of positions.

    At the position itself, output channel i of `outputs` sees the input channels before its own share, and with
    `see_self` its own share too. `mirror` reverses the order of positions, not that of channels.
    """

    mask: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        see_self: bool,
        mirror: bool,
        depthwise: bool = False,
        bias: bool = False,
        init: float = 1.0,
    ) -> None:
        groups = outputs if depthwise else 1
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
        mask = causal_mask(inputs // groups, outputs, kernel, see_self=see_self)
        self.register_buffer("mask", mask.flip(2, 3) if mirror else mask, persistent=False)
        self.log_weight_norm = nn.Parameter((norm((self.weight * self.mask).detach()) + 1e-2).log() + math.log(init))

    def effective_weight(self) -> Tensor:
        """The weight that convolves: masked first, then normalised."""
        weight = self.weight.float() * self.mask
        return self.log_weight_norm.float().exp() * weight / (norm(weight) + 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.effective_weight(), self.bias)

    def plain(self) -> nn.Conv2d:
        return plain_conv(self, self.effective_weight(), self.bias)


def causal_mask(inputs: int, outputs: int, kernel: int, *, see_self: bool) -> Tensor:
    """1 where a weight [outputs, inputs, kernel, kernel] may look, else 0. A depthwise weight has one input."""
    centre = kernel // 2
    mask = torch.zeros(outputs, inputs, kernel, kernel)
    mask[:, :, :centre] = 1
    mask[:, :, centre, :centre] = 1
    shares = min(inputs, outputs)
    own_in, own_out = (torch.arange(n) // (n // shares) for n in (inputs, outputs))  # the share of each channel
    mask[:, :, centre, centre] = (
        own_in[None] <= own_out[:, None] if see_self else own_in[None] < own_out[:, None]
    ).float()
    return mask


class MaskedNet(nn.Module):
    """Two masked convolutions with ELU: the features that the shift is read from."""

    def __init__(self, channels: int, *, mirror: bool) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.convz = nn.Sequential(
            MaskedConv2d(channels, hidden, 3, see_self=False, mirror=mirror),
            nn.ELU(),
            MaskedConv2d(hidden, hidden, 5, see_self=True, mirror=mirror, depthwise=True),
            nn.ELU(),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.convz(z)


class Shift(nn.Module):
    """ELU and a masked 1x1 convolution."""

    def __init__(self, channels: int, *, mirror: bool) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.conv_0 = MaskedConv2d(hidden, channels, 1, see_self=True, mirror=mirror, bias=True, init=MU_INIT)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_0(F.elu(x))


class FlowCell(nn.Module):
    """z -> z - mu(z), [B, Z, H, W]."""

    def __init__(self, channels: int, *, mirror: bool) -> None:
        super().__init__()
        self.conv = MaskedNet(channels, mirror=mirror)
        self.mu = Shift(channels, mirror=mirror)

    def forward(self, z: Tensor) -> Tensor:
        return z - self.mu(self.conv(z)).float()


class FlowPair(nn.Module):
    """One cell from the top left, one from the bottom right."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cell1 = FlowCell(channels, mirror=False)
        self.cell2 = FlowCell(channels, mirror=True)

    def forward(self, z: Tensor) -> Tensor:
        return self.cell2(self.cell1(z))
