"""The losses of every tiny family over some steps: imported for one process, run by `torchrun` for several.

`torchrun ... tests/training/curves.py OUT.json` writes them from process 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from tiny_families import FAMILIES
from tiny_recipe import blobs, tiny_values

from training import distributed
from training.recipe import parse_recipe
from training.trainer import Trainer

STEPS = 20


def curve(family: str, device: torch.device) -> list[list[float]]:
    """Of each step: nats, distortion, the rates from the top, and the norm of the gradient."""
    model = FAMILIES[family]
    objective = {"norm_penalty": 0.01, "balance_kl": True, "unit": "nats/image"}
    values = tiny_values(kl_warmup_steps=15, batch_size=12) | {"model": model, "objective": objective}
    # Below a batch norm some gradients are zero but for rounding; Adam would make whole steps of them.
    values["optimiser"] |= {"eps": 0.01}
    size, channels = model["image_size"], model["image_channels"]
    images = np.repeat(blobs(24)[:, :size, :size], channels, axis=3)
    trainer = Trainer(parse_recipe(values, family), images, device)
    reports = [trainer.step() for _ in range(STEPS)]
    return [[r.nats, r.distortion, *r.rates, r.gradient_norm] for r in reports]


def main(out: Path) -> None:
    with distributed.processes(torch.device("cpu")) as device:
        curves = {family: curve(family, device) for family in FAMILIES}
        if distributed.number() == 0:
            out.write_text(json.dumps(curves), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
