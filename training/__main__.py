"""`python -m training train|evaluate|export|import|estimate`: from a recipe to a bundle, on the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from training.checkpoint import CheckpointError
from training.data.images import DataError
from training.recipe import RecipeError, load_recipe, shipped_recipes
from training.run import train
from training.trainer import TrainingDiverged

EXPECTED_ERRORS = (RecipeError, DataError, CheckpointError, TrainingDiverged)


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
    add_machine(command)
    command.set_defaults(run_command=train_command)
    return top


def add_recipe(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", help=f"a .yaml file, or one of {', '.join(shipped_recipes())}")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. schedule.steps=1000")


def add_machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets (default: data)")
    command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda, cuda:1")
    command.add_argument("--threads", type=int, help="CPU threads (default: torch's)")


def train_command(options: argparse.Namespace) -> None:
    recipe = load_recipe(options.recipe, options.set)
    run = options.run or Path("runs") / recipe.name
    train(recipe, run, options.data, torch.device(options.device), resume=options.resume)


if __name__ == "__main__":
    sys.exit(main())
