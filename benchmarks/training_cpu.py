"""`python -m benchmarks.training_cpu`: the trainer's step on a CPU against a loop written by hand.

Same model, batch, noise and mathematics, in one process and in turns: `training.trainer` with the recipe's own
precision and layout, and `benchmarks.plain_training` in eager float32. Beside the speed: what share of a step the
batch takes, how far both are from each other over 20 steps in float32, and where both stand after --curve-steps.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.plain_training import PlainLoop
from benchmarks.report import Circumstances, circumstances, table, write
from benchmarks.timing import Record, Timing, interleave
from training.data.images import Images
from training.data.load import load
from training.recipe import Recipe, load_recipe
from training.trainer import Trainer

RECIPES = ("vdvae-mnist", "nvae-mnist-small")
CPU = torch.device("cpu")
CLOSE_STEPS = 20
HEADER = ("recipe", "batch", "by hand, images/s", "Strata, images/s", "times as fast", "waiting for data")
CURVES = ("recipe", "float32, 20 steps: furthest apart", "steps", "by hand, nats", "Strata, nats", "spread of a batch")


class Curves(Record):
    """Both loops after so many steps: means over the last tenth, and the standard deviation from batch to batch."""

    steps: int
    plain: float  # nats per image
    ours: float
    spread: float


class Comparison(Record):
    """One recipe."""

    recipe: str
    batch_size: int
    plain: Timing  # of a step, seconds
    ours: Timing
    data: Timing  # of making one batch ready
    furthest: float  # relative difference of the loss in float32
    curves: Curves | None

    @property
    def speedup(self) -> float:
        return self.plain.seconds / self.ours.seconds

    @property
    def waiting(self) -> float:
        """Share of a step."""
        return self.data.seconds / self.ours.seconds


class Report(Record):
    """The whole of training-cpu.json."""

    circumstances: Circumstances
    comparisons: list[Comparison]


def compare(recipe: Recipe, images: Images, rounds: int, curve_steps: int) -> Comparison:
    """Measure one recipe on `images`, uint8 [n, H, W, C]."""
    ours, plain = Trainer(recipe, images, CPU), PlainLoop(recipe, images)
    timings = interleave(
        {"plain": plain.step, "ours": ours.step, "data": lambda: ours.load_batch(ours.step_number)}, rounds
    )
    return Comparison(
        recipe=recipe.name,
        batch_size=recipe.schedule.batch_size,
        plain=timings["plain"],
        ours=timings["ours"],
        data=timings["data"],
        furthest=furthest_apart(recipe, images, CLOSE_STEPS),
        curves=curves(recipe, images, curve_steps) if curve_steps else None,
    )


def furthest_apart(recipe: Recipe, images: Images, steps: int) -> float:
    """The largest relative difference of a loss in `steps` steps, the trainer in float32, too."""
    schedule = recipe.schedule.model_copy(update={"precision": "float32"})
    ours = Trainer(recipe.model_copy(update={"schedule": schedule}), images, CPU)
    plain = PlainLoop(recipe, images)
    differences = []
    for _ in range(steps):
        expected = plain.step()
        differences.append(abs(ours.step().nats - expected) / abs(expected))
    return max(differences)


def curves(recipe: Recipe, images: Images, steps: int) -> Curves:
    """Train both for `steps` steps."""
    ours, plain = Trainer(recipe, images, CPU), PlainLoop(recipe, images)
    last = max(2, steps // 10)
    ours_nats = [ours.step().nats for _ in range(steps)][-last:]
    plain_nats = [plain.step() for _ in range(steps)][-last:]
    return Curves(
        steps=steps,
        plain=statistics.mean(plain_nats),
        ours=statistics.mean(ours_nats),
        spread=statistics.stdev(plain_nats),
    )


def images_of(recipe: Recipe, data: Path, random: bool) -> Images:
    """The training images, or noise of their size: a step takes as long."""
    if not random:
        return load(recipe.data, "train", data).images
    model = recipe.model
    size = (4 * recipe.schedule.batch_size, model.image_size, model.image_size, model.image_channels)
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)


def markdown(report: Report) -> list[str]:
    """The report for people, as lines."""
    rows = [
        [
            c.recipe, str(c.batch_size), f"{c.batch_size / c.plain.seconds:.0f}",
            f"{c.batch_size / c.ours.seconds:.0f}", f"{c.speedup:.2f}", f"{c.waiting:.1%}"
        ] for c in report.comparisons
    ]  # fmt: skip
    lines = ["# Training steps on a CPU", "", *report.circumstances.lines(), "", *table(HEADER, rows), ""]
    return lines + table(CURVES, [[c.recipe, f"{c.furthest:.1e}", *_curve_cells(c.curves)] for c in report.comparisons])


def _curve_cells(found: Curves | None) -> list[str]:
    if found is None:
        return ["-"] * 4
    return [str(found.steps), f"{found.plain:.2f}", f"{found.ours:.2f}", f"{found.spread:.2f}"]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write training-cpu.json and .md into --out."""
    top = argparse.ArgumentParser(prog="python -m benchmarks.training_cpu", description=__doc__.partition("\n")[0])
    top.add_argument("--recipes", nargs="+", default=RECIPES, metavar="RECIPE")
    top.add_argument("--rounds", type=int, default=15, help="steps of each loop (default: 15)")
    top.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    top.add_argument("--curve-steps", type=int, default=500, help="length of the two trainings; 0: none (default: 500)")
    top.add_argument("--random", action="store_true", help="noise for images: for the speed no data set is needed")
    top.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets (default: data)")
    top.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    options = top.parse_args(arguments)
    torch.set_num_threads(options.threads)
    shown = " ".join(["python -m benchmarks.training_cpu", *(sys.argv[1:] if arguments is None else arguments)])
    about = circumstances(CPU, datetime.datetime.now(datetime.UTC), shown)
    found = []
    for name in options.recipes:
        recipe = load_recipe(name)
        found.append(
            compare(recipe, images_of(recipe, options.data, options.random), options.rounds, options.curve_steps)
        )
        print("\n".join(markdown(Report(circumstances=about, comparisons=found))), flush=True)
    report = Report(circumstances=about, comparisons=found)
    write(options.out, "training-cpu", report, markdown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
