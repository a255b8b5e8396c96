"""What NVAE is built from (Vahdat & Kautz 2020, arXiv:2007.03898, section 3.1): normalised layers and residual cells.

Every cell computes skip(x) + 0.1 * SE(layers(x)). Encoder cells are BN-Swish-conv twice; decoder cells are an
inverted residual: expand by 1x1, one depthwise 5x5, project by 1x1, batch norm around each.

Attributes bear the published names (`_ops`, `bn_act`, `conv_0`, ...), so that published weights load as they are.
`fold` makes a cell ready for export: batch norm becomes part of a neighbouring convolution where nothing lies between.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.batch_norm import BatchNorm2d

MOMENTUM = 0.05  # of the running statistics
RESIDUAL_SCALE = 0.1


class WNConv2d(nn.Conv2d):
    """Weight-normalised convolution that keeps the size: each output channel has its own norm, kept as a logarithm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=bias)
        self.log_weight_norm = nn.Parameter((norm(self.weight.detach()) + 1e-2).log())

    def effective_weight(self) -> Tensor:
        """The weight that convolves, shaped like `weight`."""
        weight = self.weight.float()
        return self.log_weight_norm.float().exp() * weight / (norm(weight) + 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.effective_weight(), self.bias)

    def plain(self) -> nn.Conv2d:
        """The same convolution with its normalised weight fixed."""
        return plain_conv(self, self.effective_weight(), self.bias)


class BatchNormSwish(BatchNorm2d):
    """Batch norm, then x * sigmoid(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(super().forward(x))


class BatchNorm(nn.Module):
    """Batch norm alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = BatchNorm2d(channels, momentum=MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x)


class AffineSwish(nn.Module):
    """Batch norm and Swish with fixed statistics, where no convolution comes before to take them up."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.scale, self.shift = (nn.Parameter(t.detach()[:, None, None], requires_grad=False) for t in (scale, shift))

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x * self.scale + self.shift)


class SqueezeExcitation(nn.Module):
    """A gate [B, C, 1, 1] for each channel, from all channels' means (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 4)
        self.se = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.se(x.mean(dim=(2, 3)))[:, :, None, None]


class FactorizedReduce(nn.Module):
    """Halves the resolution on the way past a cell: each quarter of the channels sees one pixel of each 2x2 square."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        quarter = outputs // 4
        self.conv_1 = WNConv2d(inputs, quarter, 1)
        self.conv_2 = WNConv2d(inputs, quarter, 1)
        self.conv_3 = WNConv2d(inputs, quarter, 1)
        self.conv_4 = WNConv2d(inputs, outputs - 3 * quarter, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(x)
        parts = (
            self.conv_1(x[:, :, ::2, ::2]),
            self.conv_2(x[:, :, 1::2, 1::2]),
            self.conv_3(x[:, :, ::2, 1::2]),
            self.conv_4(x[:, :, 1::2, ::2]),
        )
        return torch.cat(parts, dim=1)


class BilinearUp(nn.Module):
    """Doubles the resolution on the way past a cell. The 1x1 convolution comes first: both are linear, so it may."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.add_module("1", WNConv2d(inputs, outputs, 1, bias=False))  # published as the second of a sequence

    def forward(self, x: Tensor) -> Tensor:
        x = self.get_submodule("1")(x)
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class BNSwishConv(nn.Module):
    """Batch norm, Swish, 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn_act: nn.Module = BatchNormSwish(inputs)
        self.conv_0: nn.Conv2d = WNConv2d(inputs, outputs, 3, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_0(self.bn_act(x))


class ConvBNSwish(nn.Module):
    """Plain convolution without bias, batch norm, Swish; 1x1, or depthwise if `kernel` is larger."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        groups = 1 if kernel == 1 else outputs
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
        self.conv = nn.Sequential(conv, BatchNormSwish(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)

    def fold(self, before: nn.BatchNorm2d | None = None) -> None:
        """Take up the own batch norm, and one `before` (if the convolution is 1x1)."""
        conv, own = cast(nn.Conv2d, self.conv[0]), cast(nn.BatchNorm2d, self.conv[1])
        conv = conv if before is None else norm_then_conv(before, conv)
        self.conv = nn.Sequential(conv_then_norm(conv, own), nn.SiLU())


class InvertedResidual(nn.Module):
    """Batch norm, 1x1 to `expansion` times the channels, depthwise 5x5, 1x1 back, batch norm."""

    def __init__(self, inputs: int, outputs: int, expansion: int, *, up: bool) -> None:
        super().__init__()
        hidden = expansion * inputs
        layers = [
            BatchNorm(inputs),
            ConvBNSwish(inputs, hidden, 1),
            ConvBNSwish(hidden, hidden, 5),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            BatchNorm(outputs),
        ]
        self.up = up
        self.conv = nn.ModuleList([nn.UpsamplingNearest2d(scale_factor=2)] * up + layers)

    def forward(self, x: Tensor) -> Tensor:
        norm, expand, depthwise, project, last = self.conv[-5:]
        x = expand(norm(x))
        if self.up:  # published before the batch norm; copies of pixels change nothing that works pixel by pixel
            x = self.conv[0](x)
        return last(project(depthwise(x)))

    def fold(self) -> None:
        norm, expand, depthwise, project, last = self.conv[-5:]
        cast(ConvBNSwish, expand).fold(cast(BatchNorm, norm).bn)
        cast(ConvBNSwish, depthwise).fold()
        projected = conv_then_norm(cast(nn.Conv2d, project), cast(BatchNorm, last).bn)
        self.conv = nn.ModuleList([*self.conv[:-5], nn.Identity(), expand, depthwise, projected, nn.Identity()])


class Cell(nn.Module):
    """skip(x) + 0.1 * SE(layers(x)), what both kinds of cell share."""

    def __init__(self, skip: nn.Module, layers: list[nn.Module], outputs: int, *, use_se: bool) -> None:
        super().__init__()
        self.skip = skip
        self._ops = nn.ModuleList(layers)
        self.se = SqueezeExcitation(outputs) if use_se else None

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for layer in self._ops:
            h = layer(h)
        if self.se is None:
            return self.skip(x) + RESIDUAL_SCALE * h
        return self.skip(x) + (RESIDUAL_SCALE * self.se(h)) * h


class EncoderCell(Cell):
    """[B, inputs, R, R] -> [B, outputs, R, R], or R/2 with `down`."""

    def __init__(self, inputs: int, outputs: int, *, down: bool = False, use_se: bool) -> None:
        skip = FactorizedReduce(inputs, outputs) if down else nn.Identity()
        layers: list[nn.Module] = [BNSwishConv(inputs, outputs, 2 if down else 1), BNSwishConv(outputs, outputs, 1)]
        super().__init__(skip, layers, outputs, use_se=use_se)

    def fold(self) -> None:
        first, second = (cast(BNSwishConv, layer) for layer in self._ops)
        first.conv_0 = conv_then_norm(cast(WNConv2d, first.conv_0).plain(), cast(nn.BatchNorm2d, second.bn_act))
        second.bn_act = nn.SiLU()
        first.bn_act = AffineSwish(*scale_and_shift(cast(nn.BatchNorm2d, first.bn_act)))


class DecoderCell(Cell):
    """[B, inputs, R, R] -> [B, outputs, R, R], or 2R with `up`."""

    def __init__(self, inputs: int, outputs: int, *, up: bool = False, expansion: int, use_se: bool) -> None:
        skip = BilinearUp(inputs, outputs) if up else nn.Identity()
        super().__init__(skip, [InvertedResidual(inputs, outputs, expansion, up=up)], outputs, use_se=use_se)

    def fold(self) -> None:
        cast(InvertedResidual, self._ops[0]).fold()


class EncoderCombiner(nn.Module):
    """What the posterior of a group reads: the encoder's state plus a projection of the decoder's."""

    def __init__(self, encoder: int, decoder: int) -> None:
        super().__init__()
        self.conv = WNConv2d(decoder, encoder, 1)

    def forward(self, encoder: Tensor, decoder: Tensor) -> Tensor:
        return encoder + self.conv(decoder)


class DecoderCombiner(nn.Module):
    """How a latent [B, Z, R, R] enters the decoder's state [B, C, R, R]."""

    def __init__(self, channels: int, latents: int) -> None:
        super().__init__()
        self.conv = WNConv2d(channels + latents, channels, 1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.conv(torch.cat([x, z.to(x.dtype)], dim=1))


def norm(weight: Tensor) -> Tensor:
    """L2 norm of each output channel, [C_out, 1, 1, 1]."""
    return torch.linalg.vector_norm(weight, dim=(1, 2, 3), keepdim=True)


def plain_conv(like: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution like `like`, with other weights."""
    kernel = like.kernel_size[0]
    conv = nn.Conv2d(
        like.in_channels, like.out_channels, kernel, like.stride[0], kernel // 2, groups=like.groups,
        bias=bias is not None,
    )  # fmt: skip
    conv.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone())
    return conv


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A batch norm with fixed statistics is x * scale + shift, [C] each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def conv_then_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution that does both."""
    scale, shift = scale_and_shift(norm)
    bias = shift if conv.bias is None else conv.bias * scale + shift
    return plain_conv(conv, conv.weight * scale[:, None, None, None], bias)


def norm_then_conv(norm: nn.BatchNorm2d, conv: nn.Conv2d) -> nn.Conv2d:
    """One convolution that does both; only for 1x1, whose border sees no padding."""
    scale, shift = scale_and_shift(norm)
    bias = conv.weight[:, :, 0, 0] @ shift + (0 if conv.bias is None else conv.bias)
    return plain_conv(conv, conv.weight * scale[None, :, None, None], bias)
