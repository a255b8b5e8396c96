"""Depth at equal cost: Very Deep VAEs of 6, 12, 24 and 48 levels with as many parameters, latents and steps each.

`python -m benchmarks.depth_study` trains them on Fashion-MNIST, in runs/depth-LEVELS (a run that was stopped goes on),
evaluates each on the whole test set, and writes benchmarks/results/depth-study.{json,md}, the figure
docs/images/depth-study.svg, and the table in docs/mathematics.md. About 40 minutes of one core; the four may also be
trained side by side, with `--train LEVELS` in as many processes, before one call without it.

From one depth to the next each resolution gets twice the levels, and a level half the latents: what grows is only how
far a latent may depend on those before it. The parameters are kept by narrower bottlenecks.
"""

from __future__ import annotations

import argparse
import datetime
import math
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.report import Circumstances, circumstances, fill, table, write
from benchmarks.svg import Bars, Curve, picture
from benchmarks.timing import Record
from training.checkpoint import load_checkpoint
from training.data.batches import evaluation_batches
from training.data.load import load
from training.evaluate import Evaluation, evaluate
from training.latents import LatentShape
from training.recipe import Recipe, load_recipe
from training.run import train
from training.trainer import model_from_checkpoint

COMMAND = "python -m benchmarks.depth_study"
BASE = "vdvae-fashion"  # the recipe whose data, encoder, likelihood and optimiser all of them share
RESOLUTIONS = (1, 4, 8, 16)
SHARES = (1, 1, 2, 2)  # of a sixth of all levels, by resolution
LATENTS = 192  # channels of z, over all levels
STEPS = 3000
ACTIVE_LEVEL = 0.1  # nats


class Width(NamedTuple):
    """Channels of the residual states, and of the bottlenecks in the blocks."""

    state: int
    bottleneck: int


WIDTHS = {6: Width(66, 32), 12: Width(71, 24), 24: Width(73, 17), 48: Width(63, 12)}  # 640,000 parameters each


class Trained(Record):
    """One depth: means over the test images, in nats and bits/dim."""

    levels: int
    latents: list[LatentShape]
    parameters: int
    steps: int
    minutes: float  # of training, on a machine that may have had other work
    nats: float
    bits_per_dim: float
    standard_error: float  # of bits_per_dim, over images
    rates: list[float]  # nats by level, from the top


class Result(Record):
    circumstances: Circumstances
    images: int
    depths: list[Trained]


def recipe(levels: int, steps: int) -> Recipe:
    """That of one depth."""
    width = WIDTHS[levels]
    blocks = decoder_blocks([share * levels // sum(SHARES) for share in SHARES])
    return load_recipe(
        BASE,
        [
            f"name=depth-{levels}",
            f"summary=Very Deep VAE of {levels} levels on Fashion-MNIST",
            f"model.width={width.state}",
            "model.custom_width_str=''",
            f"model.bottleneck_multiple={(width.bottleneck + 0.5) / width.state}",  # the model rounds down
            f"model.zdim={LATENTS // levels}",
            f"model.dec_blocks='{blocks}'",
            f"schedule.steps={steps}",
        ],
    )


def decoder_blocks(counts: list[int]) -> str:
    """The block string with so many levels at each resolution; the first of each takes over the state above."""
    parts = [f"{RESOLUTIONS[0]}x{counts[0]}"]
    for above, resolution, count in zip(RESOLUTIONS, RESOLUTIONS[1:], counts[1:], strict=False):
        parts.append(f"{resolution}m{above}")
        if count > 1:
            parts.append(f"{resolution}x{count - 1}")
    return ",".join(parts)


def train_one(levels: int, steps: int, runs: Path, data: Path) -> Path:
    """Train, or train on, and return the run's folder."""
    run = runs / f"depth-{levels}"
    train(recipe(levels, steps), run, data, torch.device("cpu"), resume=(run / "checkpoint.pt").exists())
    return run


def judge(run: Path, data: Path, limit: int | None) -> Trained:
    """The averaged weights of a run on the test images."""
    state = load_checkpoint(run)
    trained, model = model_from_checkpoint(state)
    images = load(trained.data, "test", data).images[:limit]
    found = evaluate(model.folded(), trained.model.likelihood, evaluation_batches(images, 64, "none", seed=0), seed=0)
    return summarise(found, model.shapes, sum(p.numel() for p in model.parameters()), state)


def summarise(found: Evaluation, shapes: list[LatentShape], parameters: int, state: dict[str, object]) -> Trained:
    bits = (found.nats / found.dims / math.log(2)).tolist()
    minutes, steps = state["wall_time_s"], state["step"]
    assert isinstance(minutes, float)
    assert isinstance(steps, int)
    return Trained(
        levels=len(shapes),
        latents=shapes,
        parameters=parameters,
        steps=steps,
        minutes=round(minutes / 60, 1),
        nats=round(float(found.nats.mean()), 2),
        bits_per_dim=round(statistics.mean(bits), 4),
        standard_error=round(statistics.stdev(bits) / len(bits) ** 0.5, 4),
        rates=[round(rate, 3) for rate in found.rates.mean(axis=0).tolist()],
    )


def markdown(result: Result) -> list[str]:
    rows = [
        [
            f"{depth.levels}",
            f"{depth.parameters:,}",
            f"{depth.bits_per_dim:.3f} ± {depth.standard_error:.3f}",
            f"{depth.nats:,.1f}",
            f"{sum(depth.rates):,.1f}",
            f"{sum(rate > ACTIVE_LEVEL for rate in depth.rates)}",
            *(f"{nats:,.1f}" for nats in by_resolution(depth).values()),
            f"{depth.minutes:.0f}",
        ]
        for depth in result.depths
    ]
    places = [f"rate at {resolution}x{resolution}" for resolution in RESOLUTIONS]
    header = [
        "levels", "parameters", "bits/dim (ELBO)", "nats/image", "rate, nats", "levels in use", *places, "minutes"
    ]  # fmt: skip
    return [
        *table(header, rows),
        "",
        f"{result.depths[0].steps:,} steps each, {result.images:,} test images, averaged weights, ± one standard error "
        f"over the images, one seed. A level is in use where its rate is above {ACTIVE_LEVEL} nats an image.",
        "",
        *result.circumstances.lines(),
    ]


def by_resolution(depth: Trained) -> dict[int, float]:
    """Nats of the rate at each resolution, from the coarsest."""
    found = dict.fromkeys(RESOLUTIONS, 0.0)
    for shape, rate in zip(depth.latents, depth.rates, strict=True):
        found[shape.height] += rate
    return found


def figure(result: Result) -> str:
    """Bits/dim over depth, and the rate of every level at each depth, as SVG."""
    bits = [depth.bits_per_dim for depth in result.depths]
    errors = [depth.standard_error for depth in result.depths]
    panels: list[Curve | Bars] = [
        Curve(
            "bits/dim (ELBO)",
            "levels",
            [str(depth.levels) for depth in result.depths],
            bits,
            [(value - error, value + error) for value, error in zip(bits, errors, strict=True)],
            joined=len(bits),
            floor=min(bits) - 0.1,
        )
    ]
    for depth in result.depths:
        groups = [RESOLUTIONS.index(shape.height) for shape in depth.latents]
        panels.append(Bars(f"rate of {depth.levels} levels, nats", "from 1x1 to 16x16", depth.rates, groups))
    return picture(panels, columns=3)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.partition("\n")[0])
    parser.add_argument("--depths", type=int, nargs="+", choices=WIDTHS, default=[*WIDTHS], help="default: all")
    parser.add_argument("--train", action="store_true", help="only train these depths")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of training (default: {STEPS})")
    parser.add_argument("--images", type=int, help="only the first so many test images (default: all)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets (default: data)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    parser.add_argument("--figure", type=Path, default=Path("docs/images/depth-study.svg"))
    parser.add_argument("--page", type=Path, default=Path("docs/mathematics.md"), help="page that shows the results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the products are too small to share
    about = circumstances(torch.device("cpu"), datetime.datetime.now().astimezone(), COMMAND)
    runs = [train_one(levels, options.steps, options.runs, options.data) for levels in options.depths]
    if options.train:
        return 0
    depths = [judge(run, options.data, options.images) for run in runs]
    images = len(load(recipe(options.depths[0], options.steps).data, "test", options.data).images[: options.images])
    result = Result(circumstances=about, images=images, depths=depths)
    lines = markdown(result)
    write(options.results, "depth-study", result, ["# Depth at equal cost", "", *lines])
    options.figure.write_text(figure(result), encoding="utf-8")
    fill(options.page, "depth-study", lines)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
