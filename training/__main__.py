"""`python -m training COMMAND`: from images to a recipe, a trained model and a bundle, on the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from model_zoo.bundle import BundleError
from training.checkpoint import CheckpointError
from training.compare import compare_bundles
from training.data.images import DataError
from training.distributed import DistributedError, processes
from training.estimate import describe, estimate
from training.events import EventsError
from training.export import ExportError
from training.figures import evaluate_run
from training.importers import openai_vdvae
from training.importers.download import OPENAI_VDVAE
from training.importers.weights import WeightsError
from training.new_recipe import new_recipe
from training.publish import export_run, import_published
from training.recalibrate import CalibrationError
from training.recipe import RecipeError, load_recipe, shipped_recipes
from training.report import ReportError, report_run
from training.run import train
from training.trainer import DivergenceError

EXPECTED_ERRORS = (
    RecipeError, DataError, CheckpointError, DivergenceError, WeightsError, CalibrationError, ExportError, BundleError,
    ReportError, EventsError, DistributedError,
)  # fmt: skip
BUNDLES = Path("model_zoo/bundles")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; errors that a user can mend are one message on stderr and exit code 1."""
    options = parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        options.run_command(options)
    except EXPECTED_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("train", help="train the model of a recipe, or continue a run")
    add_recipe(command)
    command.add_argument("--run", type=Path, help="folder of the run (default: runs/NAME)")
    command.add_argument("--resume", action="store_true", help="continue the run in that folder")
    command.add_argument("--tensorboard", action="store_true", help="write event files to RUN/events, too")
    add_machine(command)
    command.set_defaults(run_command=train_command)

    command = commands.add_parser("estimate", help="parameters, FLOPs and memory of a recipe, before it is trained")
    add_recipe(command)
    command.set_defaults(run_command=estimate_command, threads=None)

    command = commands.add_parser("new-recipe", help="a recipe for a folder of pictures, made for this machine")
    command.add_argument("--data", type=Path, required=True, help="the folder of pictures")
    command.add_argument("--name", help="of the recipe, its run and its bundle (default: that of the folder)")
    command.add_argument("--minutes", type=minutes, default=45.0, help="how long training may take (default: 45)")
    command.add_argument("--out", type=Path, help="the recipe to write (default: NAME.yaml)")
    add_device(command)
    command.set_defaults(run_command=new_recipe)

    command = commands.add_parser("report", help="one HTML page about a run: curves, rate by level, pictures")
    command.add_argument("run", type=Path, help="folder of the run, which may still go on")
    command.add_argument("--out", type=Path, help="the page to write (default: RUN/report.html)")
    command.set_defaults(run_command=report_run, threads=None)

    command = commands.add_parser("evaluate", help="ELBO, importance-weighted bound, rate by level")
    command.add_argument("checkpoint", type=Path, nargs="?", help="a run's folder, its checkpoint.pt, or a bundle")
    command.add_argument(
        "--compare",
        nargs="*",
        metavar="BUNDLE",
        help="instead: one table of these bundles (default: all shipped) beside the published figures",
    )
    command.add_argument("--split", choices=["train", "validation", "test"], default="test")
    command.add_argument("--k", type=positive, default=1, help="samples in the importance-weighted bound (default: 1)")
    command.add_argument("--images", type=positive, help="only the first so many images (default: all)")
    command.add_argument("--batch", type=positive, default=100, help="posterior samples in memory at once")
    command.add_argument("--seed", type=int, default=0, help="of the posterior's noise and the binarisation")
    command.add_argument("--raw-weights", action="store_true", help="not the moving average of the weights")
    command.add_argument("--half", action="store_true", help="round the weights to float16 first, as `export --half`")
    command.add_argument("--out", type=Path, help="write the figures as JSON, for `export --metrics`, or the table")
    add_machine(command)
    command.set_defaults(run_command=evaluate_command)

    command = commands.add_parser("export", help="turn a checkpoint into a bundle")
    command.add_argument("checkpoint", type=Path, help="a run's folder, or its checkpoint.pt")
    command.add_argument("--name", help="name of the bundle (default: that of the recipe)")
    command.add_argument("--out", type=Path, default=BUNDLES, help=f"folder of the bundles (default: {BUNDLES})")
    command.add_argument(
        "--metrics", type=Path, nargs="+", default=[], help="figures written by `evaluate --out`, for manifest and card"
    )
    command.add_argument("--examples", type=int, default=16, help="test images to put into the bundle")
    command.add_argument("--half", action="store_true", help="store weights as float16; evaluate with --half too")
    command.add_argument(
        "--calibrate-temperature", type=temperature, metavar="T",
        help="re-estimate the decoder's batch norm for samples at this temperature",
    )  # fmt: skip
    command.add_argument("--licence", default="MIT", help="licence of the weights")
    command.add_argument("--citation", default="", help="what to cite")
    add_machine(command)
    command.set_defaults(run_command=export_run)

    command = commands.add_parser("import", help="turn a published checkpoint into a bundle")
    command.add_argument("publisher", choices=["openai-vdvae", "nvlabs-nvae"])
    command.add_argument(
        "file",
        type=Path,
        metavar="FILE|NAME",
        help="*-model.th or *-model-ema.th (VDVAE), checkpoint.pt (NVAE); with --download, what it is published as",
    )
    command.add_argument("--download", action="store_true", help=f"fetch it: one of {', '.join(OPENAI_VDVAE)}")
    checkpoints = Path("data/checkpoints")
    command.add_argument(
        "--checkpoints", type=Path, default=checkpoints, help=f"folder of what is fetched (default: {checkpoints})"
    )
    names = ", ".join(openai_vdvae.NAMES)
    command.add_argument("--config", help=f"openai-vdvae: one of {names}, or a .json file of hyper-parameters")
    command.add_argument("--name", required=True, help="name of the bundle")
    command.add_argument("--out", type=Path, default=BUNDLES, help=f"folder of the bundles (default: {BUNDLES})")
    command.add_argument("--half", action="store_true", help="round the weights to float16 and store them so")
    command.add_argument("--threads", type=int, help="CPU threads (default: torch's)")
    command.set_defaults(run_command=import_published)
    return top


def add_recipe(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", help=f"a .yaml file, or one of {', '.join(shipped_recipes())}")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. schedule.steps=1000")


def add_machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets (default: data)")
    add_device(command)


def add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda, cuda:1")
    command.add_argument("--threads", type=int, help="CPU threads (default: torch's)")


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def minutes(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{value:g} is no length of time: give minutes above 0")
    return value


def temperature(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1.5:
        raise argparse.ArgumentTypeError(f"{value:g} is not above 0 and at most 1.5")
    return value


def train_command(options: argparse.Namespace) -> None:
    recipe = load_recipe(options.recipe, options.set)
    run = options.run or Path("runs") / recipe.name
    with processes(torch.device(options.device)) as device:
        train(recipe, run, options.data, device, resume=options.resume, tensorboard=options.tensorboard)


def evaluate_command(options: argparse.Namespace) -> None:
    if (options.checkpoint is None) == (options.compare is None):
        raise CheckpointError("give either a checkpoint to evaluate, or --compare with any number of bundles")
    if options.compare is None:
        evaluate_run(options)
    else:
        compare_bundles(options)


def estimate_command(options: argparse.Namespace) -> None:
    recipe = load_recipe(options.recipe, options.set)
    print(describe(recipe, estimate(recipe)))


if __name__ == "__main__":
    sys.exit(main())
