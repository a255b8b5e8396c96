"""Batch norm over the global batch: with several processes, one mean and variance for the images of all of them.

torch's own `SyncBatchNorm` needs a GPU. In one process these layers are torch's, to the last bit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training import distributed


class BatchNorm1d(nn.BatchNorm1d):
    """For [B, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return synchronised(self, x) if self.training and distributed.count() > 1 else super().forward(x)


class BatchNorm2d(nn.BatchNorm2d):
    """For [B, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return synchronised(self, x) if self.training and distributed.count() > 1 else super().forward(x)


def synchronised(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch norm of x [B, C, ...] with the statistics of all processes, in float32 as torch's own.

    Each sends its mean and its variance around that mean, in one exchange: the whole variance as a difference of two
    large numbers would lose its digits.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    axes, shape = [0, *range(2, x.ndim)], [1, -1] + [1] * (x.ndim - 2)
    own_variance, own_mean = torch.var_mean(x.float(), axes, correction=0)
    means, variances = distributed.of_all(torch.stack([own_mean, own_variance])).unbind(dim=1)  # [processes, C] each
    mean = means.mean(dim=0)
    variance = (variances + (means - mean).square()).mean(dim=0)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    y = (x.float() - mean.view(shape)) * scale.view(shape) + norm.bias.view(shape)
    with torch.no_grad():
        values = distributed.count() * x.numel() // x.shape[1]
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * values / (values - 1), norm.momentum)
        norm.num_batches_tracked.add_(1)
    return y.to(x.dtype)
