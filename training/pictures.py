"""Contact sheets of a run: what the model draws and how well it reconstructs, to look at while it trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from training.latents import standard_noise
from training.models.contract import HierarchicalVAE

TEMPERATURES = (1.0, 0.8, 0.6)


@torch.no_grad()
def contact_sheet(model: HierarchicalVAE, images: torch.Tensor, seed: int) -> NDArray[np.uint8]:
    """Rows, from above: images [n, H, W, C] uint8, their reconstructions, then samples at each of TEMPERATURES."""
    likelihood, count = model.config.likelihood, len(images)
    generator = torch.Generator(images.device).manual_seed(seed)
    noise = standard_noise(model.shapes, count, generator)
    observed = likelihood.observe(images)
    parameters, _ = model.encode(observed, noise)
    rows = [observed.to(torch.uint8).permute(0, 2, 3, 1), likelihood.mean(parameters)]
    keep = [torch.zeros_like(eps, dtype=torch.bool) for eps in noise]
    for value in TEMPERATURES:
        temperature = torch.full((count, len(noise)), value, device=images.device)
        rows.append(likelihood.mean(model.decode(noise, noise, keep, temperature)[0]))
    return np.concatenate([np.concatenate(list(row.cpu().numpy()), axis=1) for row in rows])


def save_picture(path: Path, sheet: NDArray[np.uint8], scale: int = 2) -> None:
    """Write a contact sheet [H, W, C] as PNG, enlarged without blur."""
    large = sheet.repeat(scale, axis=0).repeat(scale, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(large[..., 0] if large.shape[-1] == 1 else large).save(path)
