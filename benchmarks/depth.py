"""Proposition 2 (Child 2021), seen: with more levels a VAE comes closer to a density that is hard for Gaussians.

`python -m benchmarks.depth` trains VAEs of 1, 2, 4 and 8 levels on two spirals whose density is known exactly, and
estimates KL(data || model) of each. Every level has networks of the same width; a control has one level and as many
parameters as the deepest. It writes benchmarks/results/depth.{json,md}, the figure docs/images/depth.svg, and the
figures in docs/mathematics.md. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import datetime
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks import spirals
from benchmarks.chain import Chain, bound, draw_noise, log_normal, width_for
from benchmarks.report import Circumstances, circumstances, fill, table, write
from benchmarks.svg import Curve, Scatter, picture
from benchmarks.timing import Record

DEPTHS = (1, 2, 4, 8)
WIDTH = 32  # of the two hidden layers of every network
SEEDS = 3
BATCH = 256
LEARNING_RATE = 2e-3
COMMAND = "python -m benchmarks.depth"


class Fit(Record):
    """How close one kind of model comes: estimates of KL(data || model) in nats, one a seed, both from above."""

    levels: int
    width: int
    parameters: int
    kl: list[float]  # from the importance-weighted bound
    kl_elbo: list[float]  # from the ELBO


class Result(Record):
    circumstances: Circumstances
    steps: int
    points: int
    k: int
    entropy: float  # of the density, from the same points
    standard_error: float  # the largest of any estimate, over the points
    depths: list[Fit]
    control: Fit  # one level, as many parameters as the deepest


def train(levels: int, width: int, seeds: int, steps: int, generator: torch.Generator) -> Chain:
    """Minimise the negative ELBO. Nothing couples the seeds: Adam and the clipping are element-wise."""
    model = Chain(levels, width, seeds, generator)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        x = spirals.draw((seeds, BATCH), generator)
        likelihood, passed = model.encode(x, draw_noise(levels, (seeds, BATCH), generator))
        rate = torch.stack([level.kl.sum(-1) for level in passed]).sum(0)
        optimiser.zero_grad()
        (rate - log_normal(x, likelihood)).mean(dim=1).sum().backward()
        nn.utils.clip_grad_value_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model


class HeldOut(NamedTuple):
    """Points [1, n, 2] that no model has seen, log p of them, and how many importance samples judge a model."""

    points: Tensor
    log_p: Tensor
    k: int


def held_out(count: int, k: int) -> HeldOut:
    points = spirals.draw((1, count), torch.Generator().manual_seed(0))
    return HeldOut(points, spirals.log_density(points).double(), k)


def fit(levels: int, width: int, steps: int, test: HeldOut) -> tuple[Fit, Tensor, float]:
    """Train and judge: the estimates, points [2000, 2] that the first seed draws, and the largest standard error."""
    generator = torch.Generator().manual_seed(levels)
    model = train(levels, width, SEEDS, steps, generator)
    bounds = bound(model, test.points.expand(SEEDS, -1, -1), test.k, generator)
    gaps, gaps_elbo = test.log_p - bounds.importance_weighted, test.log_p - bounds.elbo
    found = Fit(
        levels=levels,
        width=width,
        parameters=sum(parameter.numel() for parameter in model.parameters()) // SEEDS,
        kl=[round(value, 4) for value in gaps.mean(dim=1).tolist()],
        kl_elbo=[round(value, 4) for value in gaps_elbo.mean(dim=1).tolist()],
    )
    with torch.inference_mode():
        drawn = model.sample(draw_noise(levels + 1, (SEEDS, 2000), generator))[0]
    print(f"{_levels(levels)} of width {width}: KL at most {statistics.mean(found.kl):.3f} nats", file=sys.stderr)
    return found, drawn, float(gaps.std(dim=1).max()) / math.sqrt(gaps.shape[1])


def measure(
    depths: Sequence[int], width: int, steps: int, test: HeldOut, about: Circumstances
) -> tuple[Result, list[Tensor]]:
    """Every depth and the control; and points that each depth draws."""
    fits = [fit(levels, width, steps, test) for levels in depths]
    control = fit(1, width_for(fits[-1][0].parameters), steps, test)
    result = Result(
        circumstances=about,
        steps=steps,
        points=test.log_p.numel(),
        k=test.k,
        entropy=round(-float(test.log_p.mean()), 4),
        standard_error=round(max(error for _, _, error in (*fits, control)), 4),
        depths=[found for found, _, _ in fits],
        control=control[0],
    )
    return result, [drawn for _, drawn, _ in fits]


def markdown(result: Result) -> list[str]:
    rows = [
        [f"{fit.levels}", f"{fit.width}", f"{fit.parameters:,}", _spread(fit.kl), _spread(fit.kl_elbo)]
        for fit in (*result.depths, result.control)
    ]
    header = ["levels", "hidden width", "parameters", f"KL by IW-{result.k}, nats", "KL by the ELBO, nats"]
    return [
        *table(header, rows),
        "",
        f"Means of {len(result.control.kl)} seeds, in brackets the lowest and the highest; {result.points:,} test "
        f"points, standard error over them at most {result.standard_error:.3f}; {result.steps:,} steps of training. "
        f"The density's own entropy is {result.entropy:.3f} nats.",
        "",
        *result.circumstances.lines(),
    ]


def figure(result: Result, drawings: Sequence[Tensor]) -> str:
    """The density, a sample of each depth, and KL over depth, as SVG."""
    data = spirals.draw((2000,), torch.Generator().manual_seed(2))
    panels: list[Scatter | Curve] = [Scatter("data", data.tolist(), 4.0)]
    for depth, points in zip(result.depths, drawings, strict=True):
        panels.append(Scatter(_levels(depth.levels), points.tolist(), 4.0))
    fits = (*result.depths, result.control)
    panels.append(
        Curve(
            "KL(data || model), nats",
            f"levels (1*: with the parameters of {result.depths[-1].levels})",
            [*(str(depth.levels) for depth in result.depths), "1*"],
            [statistics.mean(fit.kl) for fit in fits],
            [(min(fit.kl), max(fit.kl)) for fit in fits],
            joined=len(result.depths),
        )
    )
    return picture(panels, columns=3)


def _levels(count: int) -> str:
    return f"{count} level{'s' * (count != 1)}"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.partition("\n")[0])
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS, help="default: 1 2 4 8")
    parser.add_argument("--width", type=int, default=WIDTH, help=f"of the hidden layers (default: {WIDTH})")
    parser.add_argument("--steps", type=int, default=3000, help="of training (default: 3000)")
    parser.add_argument("--points", type=int, default=1000, help="test points (default: 1000)")
    parser.add_argument("--k", type=int, default=1000, help="importance samples of each (default: 1000)")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    parser.add_argument("--figure", type=Path, default=Path("docs/images/depth.svg"))
    parser.add_argument("--page", type=Path, default=Path("docs/mathematics.md"), help="page that shows the results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the products are too small to share
    about = circumstances(torch.device("cpu"), datetime.datetime.now().astimezone(), COMMAND)
    test = held_out(options.points, options.k)
    result, drawings = measure(options.depths, options.width, options.steps, test, about)
    lines = markdown(result)
    write(options.results, "depth", result, ["# Depth and a hard density", "", *lines])
    options.figure.write_text(figure(result, drawings), encoding="utf-8")
    fill(options.page, "depth", lines)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
