"""Batch-norm statistics of a decoder, estimated anew for a low sampling temperature.

Colder latents give activations of other means and variances than those seen in training; NVAE's samples at a low
temperature are much better with statistics of their own (Vahdat & Kautz 2020, arXiv:2007.03898, section 4).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.latents import standard_noise
from training.models.contract import HierarchicalVAE
from training.models.nvae_cells import MOMENTUM

ITERATIONS, BATCH = 500, 16


class CalibrationError(Exception):
    """Statistics that cannot be estimated; the message says why."""


@torch.no_grad()
def recalibrate(
    model: HierarchicalVAE,
    temperature: float,
    *,
    iterations: int = ITERATIONS,
    batch: int = BATCH,
    generator: torch.Generator,
) -> None:
    """Replace the running statistics of all batch norms that a prior pass goes through, by those of prior samples.

    In float32: in half precision published weights are known to give samples that are not a number (NVlabs/NVAE#36).
    The model is left in evaluation mode, changed in place. Raises CalibrationError if the decoder has no batch norm,
    or if a statistic or an output is not finite; the model must then be thrown away.
    """
    model.eval()
    norms = decoder_norms(model, generator)
    if not norms:
        raise CalibrationError(
            f"the decoder of a {model.config.family} has no batch norm, so there are no statistics to calibrate"
        )
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = MOMENTUM
        norm.train()
    for _ in range(iterations):
        parameters = sample(model, temperature, batch, generator)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    finite = [parameters.isfinite().all(), sample(model, temperature, batch, generator).isfinite().all()]
    finite += [s.isfinite().all() for n in norms for s in (n.running_mean, n.running_var) if s is not None]
    if not all(finite):
        raise CalibrationError(
            f"calibration at temperature {temperature:g} gave values that are not finite; "
            "a temperature nearer to 1 may work, or export without calibration"
        )


def decoder_norms(model: HierarchicalVAE, generator: torch.Generator) -> list[nn.BatchNorm2d]:
    """The batch norms that a prior pass goes through, found by watching one."""
    seen: dict[nn.BatchNorm2d, None] = {}

    def watch(norm: nn.Module, *_: object) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        seen[norm] = None

    hooks = [m.register_forward_hook(watch) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    sample(model, 1.0, 1, generator)
    for hook in hooks:
        hook.remove()
    return list(seen)


def sample(model: HierarchicalVAE, temperature: float, batch: int, generator: torch.Generator) -> Tensor:
    """Raw parameters of p(x|z) [B, P, H, W] of `batch` latents from the prior."""
    noise = standard_noise(model.shapes, batch, generator)
    nothing = [torch.zeros_like(eps) for eps in noise]
    keep = [torch.zeros_like(eps, dtype=torch.bool) for eps in noise]
    levels = torch.full((batch, len(model.shapes)), temperature, device=noise[0].device)
    return model.decode(noise, nothing, keep, levels)[0]
