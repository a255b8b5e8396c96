"""`python -m training new-recipe`: from a folder of pictures to a recipe that this machine can train in the time given.

The model is a Very Deep VAE, whose hierarchy is the most rewarding to explore. Designs go from rich to plain; the
first one is taken that fits the memory, sees every picture often enough in the time, and has no more weights than the
pictures have values. The machine's rate is measured on a few steps of a middling one, and scaled by FLOPs.
"""

from __future__ import annotations

import argparse
import math
import re
import textwrap
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml

from training.data.survey import Survey, survey
from training.estimate import Estimate, estimate
from training.hardware import describe_hardware, free_memory
from training.recipe import RecipeError, parse_recipe
from training.trainer import Trainer

FINEST = {128: 32, 64: 16, 32: 16, 16: 8}  # finest resolution of the hierarchy by side of the padded image
WIDTHS = ((160, 4), (128, 3), (96, 3), (64, 2), (48, 1), (32, 1))  # channels at 4x4 and below, blocks a resolution
SHARES = {32: 1 / 4, 16: 1 / 2, 8: 2 / 3, 4: 1.0}  # of these channels by resolution
MIDDLING = 2
ENOUGH_IMAGES, ENOUGH_EPOCHS = 150_000, 100  # a run sees so many pictures, or all of them so often: one of the two
MOST_EPOCHS = 300
BATCH = 32
MEMORY_SHARE = 0.5  # of what is free; an allocator takes more than the estimate
TRIAL_STEPS = 3
LEAST = 8  # pictures


class Machine(NamedTuple):
    """What a proposal has to fit."""

    flops: float  # a second of training, measured
    precision: str  # the faster one
    memory: int  # bytes that are free


class Proposal(NamedTuple):
    """A recipe and why it is so."""

    values: dict[str, Any]  # the recipe as plain values, checked
    cost: Estimate
    minutes: float
    epochs: float


def new_recipe(options: argparse.Namespace) -> None:
    """The command: look, measure, propose, write. Raises DataError, or RecipeError if nothing can be proposed."""
    folder = options.data.resolve()
    name = options.name or re.sub(r"[^a-z0-9._-]+", "-", folder.name.lower()).strip("-._") or "own-images"
    out = options.out or Path(f"{name}.yaml")
    if out.exists():
        raise RecipeError(f"{out} exists already; move it away, or choose another --out")
    found = survey(folder)
    print(found.report)
    if found.count < LEAST:
        raise RecipeError(f"{folder}: {found.count} pictures are too few to learn from; give at least {LEAST}")
    device = torch.device(options.device)
    machine = measure(found, name, device, time.perf_counter)
    proposal = propose(found, name, options.minutes, machine)
    out.write_text(as_yaml(proposal, found, machine, describe_hardware(device)), encoding="utf-8")
    print(
        f"\n{out}: {proposal.cost.parameters:,} weights, {len(proposal.cost.shapes)} levels, about "
        f"{math.ceil(proposal.minutes)} min ({proposal.epochs:.0f} times through the pictures). Now:\n\n"
        f"  python -m training train {out}\n  python -m training export runs/{name} --half"
    )


def measure(found: Survey, name: str, device: torch.device, clock: Callable[[], float]) -> Machine:
    """Time a few steps of a middling model in both precisions, on black pictures."""
    rates = {}
    for precision in ("float32", "bfloat16"):
        recipe = parse_recipe(values_of(found, name, WIDTHS[MIDDLING], precision), name)
        model = recipe.model
        images = np.zeros((BATCH, model.image_size, model.image_size, model.image_channels), np.uint8)
        trainer = Trainer(recipe, images, device)
        trainer.step()  # the first one allocates
        start = clock()
        for _ in range(TRIAL_STEPS):
            trainer.step()
        rates[precision] = estimate(recipe).step_flops * recipe.schedule.batch_size * TRIAL_STEPS / (clock() - start)
    precision = max(rates, key=lambda key: rates[key])
    return Machine(rates[precision], precision, free_memory(device))


def propose(found: Survey, name: str, minutes: float, machine: Machine) -> Proposal:
    """The richest design that fits; the plainest, if none is seen often enough. Raises RecipeError without memory."""
    training = found.count - held_out(found.count)
    plainest = len(WIDTHS) - 1

    @cache
    def proposal(index: int) -> Proposal:
        values = values_of(found, name, WIDTHS[index], machine.precision)
        cost = estimate(parse_recipe(values, name))
        step = cost.step_flops * cost.batch_size / machine.flops  # seconds
        steps = int(max(1, min(60 * minutes / step, MOST_EPOCHS * training / cost.batch_size)))
        return Proposal(with_steps(values, steps), cost, steps * step / 60, steps * cost.batch_size / training)

    def fits_memory(index: int) -> bool:
        return proposal(index).cost.training_memory <= MEMORY_SHARE * machine.memory

    def fits(index: int) -> bool:
        this = proposal(index)
        seen_enough = this.epochs * training >= min(ENOUGH_IMAGES, ENOUGH_EPOCHS * training)
        size = this.values["model"]["image_size"]
        return fits_memory(index) and seen_enough and this.cost.parameters <= training * size**2 * found.channels

    if not fits_memory(plainest):
        raise RecipeError(
            f"{found.folder}: not even the smallest model fits into {machine.memory >> 20} MiB of free memory; "
            "close other programs, or use another machine"
        )
    return proposal(min(plainest, bisect_left(range(len(WIDTHS)), True, key=fits)))  # whatever is plainer fits too


def image_size(found: Survey) -> tuple[int, int]:
    """Height and width of the images, and the black pixels to add on each side.

    Pictures of one size keep it if little padding makes it a power of two (28 -> 32); others are scaled down to one.
    """
    median = found.shorter_sides[1]
    if found.one_size:
        for side in FINEST:
            if 0.85 * side <= median <= side and (side - median) % 2 == 0:
                return median, (side - median) // 2
    return next((side for side in FINEST if side <= median), min(FINEST)), 0


def held_out(count: int) -> int:
    """A tenth of the pictures, at most 1,000, is kept from training: what evaluation and the explorer show."""
    return max(1, min(1000, count // 10))


def values_of(found: Survey, name: str, design: tuple[int, int], precision: str) -> dict[str, Any]:
    """The recipe of one of WIDTHS as plain values, all but the length of the schedule."""
    size, pad = image_size(found)
    finest = FINEST[size + 2 * pad]
    width, blocks = design
    resolutions = [r for r in SHARES if r <= finest]
    widths = {r: max(8, int(width * SHARES[r]) // 8 * 8) for r in resolutions}
    down = {r: f"{r}x{blocks},{r}d{2 if r > 4 else 4}" for r in resolutions}
    up = {r: f"{r}m{r // 2 if r > 4 else 1},{r}x{blocks}" for r in reversed(resolutions)}
    return {
        "name": name,
        "summary": f"Very Deep VAE on {found.count:,} own images",
        "seed": 0,
        "data": {
            "format": "folder",
            "path": str(found.folder),
            "name": found.folder.name,
            "image_size": size,
            "channels": found.channels,
            "validation": held_out(found.count),
        },
        "model": {
            "family": "vdvae",
            "image_size": size,
            "image_channels": found.channels,
            "pad": pad,
            "patch": (size + 2 * pad) // finest,
            "shift": -round(found.mean, 2),
            "scale": round(1 / found.std, 5),
            "width": width,
            "custom_width_str": ",".join(f"{r}:{w}" for r, w in widths.items() if w != width),
            "bottleneck_multiple": 0.5,
            "zdim": 8,
            "enc_blocks": ",".join([*down.values(), "1x1"]),
            "dec_blocks": ",".join(["1x1", *up.values()]),
            "likelihood": {"kind": "dmol", "mixtures": 5, "bits": 8, "edge_rule": "exact"},
        },
        "optimiser": {"lr": 0.001, "betas": [0.9, 0.99], "clip_norm": 2.0, "skip_norm": 100.0, "skip_after": 200},
        "schedule": {
            "steps": 1,
            "batch_size": min(BATCH, found.count - held_out(found.count)),
            "precision": precision,
            "channels_last": precision == "bfloat16",
        },
    }


def with_steps(values: dict[str, Any], steps: int) -> dict[str, Any]:
    """`values` with a schedule of so many steps: warm-ups, average and intervals go with its length."""
    schedule = values["schedule"] | {
        "steps": steps,
        "warmup_steps": min(200, steps // 10),
        "decay": "cosine",
        "kl_warmup_steps": steps // 10,
        "ema": round(1 - 1 / max(10, min(1000, steps // 10)), 4),
        "log_every": max(1, min(50, steps // 20)),
        "save_every": max(1, steps // 15),
        "picture_every": max(1, steps // 5),
    }
    return values | {"schedule": schedule}


def as_yaml(proposal: Proposal, found: Survey, machine: Machine, hardware: str) -> str:
    """The recipe as a file, with comments that say why. It reads back as `proposal.values`."""
    values, cost = proposal.values, proposal.cost
    model = values["model"]
    padded = model["image_size"] + 2 * model["pad"]
    unreadable = ", ".join(file for file, _ in found.skipped[:3]) + ", ..." * (len(found.skipped) > 3)
    reasons = {
        "data": found.report.splitlines()[0]
        + (f"; cannot be read and left out: {unreadable}" if found.skipped else "")
        + ". One in ten, at most 1,000, is held out of training: the test images of evaluation and explorer. Add "
        "`flips: true` if a mirrored picture is as good as the original.",
        "model": f"{cost.parameters:,} weights in {len(cost.shapes)} levels, of images of {padded}x{padded} with the "
        f"padding; each {model['patch']}x{model['patch']} square is one position of the finest level. `shift` and "
        "`scale` are the pictures' mean and standard deviation.",
        "optimiser": "A gradient larger than `clip_norm` is made smaller; one above `skip_norm` is not used.",
        "schedule": f"{math.ceil(proposal.minutes)} min at {machine.flops / 1e9:.3g} GFLOP/s ({hardware}, measured), "
        f"{proposal.epochs:.0f} times through the pictures, {cost.training_memory >> 20} MiB. {machine.precision} was "
        "the faster precision. A longer run: raise `steps`.",
    }
    lines = [*_comment(f"Proposed by `python -m training new-recipe` for {found.folder}.")]
    for key, value in values.items():
        lines += _comment(reasons[key]) if key in reasons else []
        lines += _yaml(key, value)
    return "\n".join(lines) + "\n"


def _comment(text: str) -> Iterator[str]:
    return (f"# {line}" for line in textwrap.wrap(text, 110))


def _yaml(key: str, value: Any) -> list[str]:
    style = None if isinstance(value, dict) else False  # None: short lists and mappings in one line
    text = yaml.safe_dump({key: value}, sort_keys=False, default_flow_style=style, width=118, allow_unicode=True)
    return text.splitlines()
