"""Penalties on the size of weights that keep a deep hierarchy stable (Vahdat & Kautz 2020, arXiv:2007.03898, 3.2).

The spectral penalty is the sum over all convolutions of the largest singular value of the weight that convolves,
as a matrix [C_out, C_in * K * K]; the batch-norm penalty the sum over batch norms of max|gamma|. Both bound how
fast a network's output, and so the KL of its latents, can change.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.flows import MaskedConv2d
from training.models.nvae_cells import WNConv2d

STEPS_AT_FIRST, STEPS = 40, 4  # of the power iteration


class NormPenalty(nn.Module):
    """`penalty()` is the sum of both, a scalar with gradients; zero for a model without such layers.

    Singular values come from power iterations that continue from call to call, batched over weights of one shape.
    Their vectors are the module's state, so that a resumed run goes on exactly; `model` is none of it. The first
    vectors are drawn from torch's global generator, as the weights are.
    """

    warm: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        convs = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
        shapes = [conv.weight.flatten(1).shape for conv in convs]
        device = next(model.parameters()).device
        unique = list(dict.fromkeys(shapes))
        # Plain lists hold no submodules: the model's weights stay out of this module's state.
        self._convs = [[conv for conv, s in zip(convs, shapes, strict=True) if s == shape] for shape in unique]
        self._norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
        for index, shape in enumerate(unique):
            vectors = F.normalize(torch.randn(shapes.count(shape), shape[0]), dim=1).to(device)
            self.register_buffer(f"u_{index}", vectors)
        self.register_buffer("warm", torch.tensor(False, device=device))

    @property
    def layers(self) -> int:
        """How many convolutions are penalised."""
        return sum(map(len, self._convs))

    def forward(self) -> Tensor:
        return self.spectral() + self.batch_norm()

    def spectral(self) -> Tensor:
        """Sum of the largest singular values, approached from below; improves the vectors, too."""
        total = torch.zeros((), device=self.warm.device)
        with torch.autocast(self.warm.device.type, enabled=False):  # a bfloat16 power iteration would stall
            for index, convs in enumerate(self._convs):
                weights = torch.stack([effective_weight(conv).flatten(1) for conv in convs])  # [n, C_out, C_in K K]
                total = total + self._largest(weights, self.get_buffer(f"u_{index}")).sum()
        self.warm.fill_(True)
        return total

    def batch_norm(self) -> Tensor:
        """Sum of max|gamma|."""
        if not self._norms:
            return torch.zeros((), device=self.warm.device)
        return torch.stack([norm.weight.float().abs().max() for norm in self._norms]).sum()

    def _largest(self, weights: Tensor, u: Tensor) -> Tensor:
        """The largest singular value [n] of each of `weights` [n, rows, columns]; `u` [n, rows] is updated in place."""
        with torch.no_grad():
            for _ in range(STEPS if self.warm else STEPS_AT_FIRST):
                v = F.normalize(torch.einsum("nrc,nr->nc", weights, u), dim=1)
                u.copy_(F.normalize(torch.einsum("nrc,nc->nr", weights, v), dim=1))
            fixed = u.clone()  # the next call changes `u`, and a backward pass may come after it
        return torch.einsum("nr,nrc,nc->n", fixed, weights, v)


def effective_weight(conv: nn.Conv2d) -> Tensor:
    """The weight that convolves, in float32: normalised and masked where the layer does so."""
    return conv.effective_weight() if isinstance(conv, WNConv2d | MaskedConv2d) else conv.weight.float()
