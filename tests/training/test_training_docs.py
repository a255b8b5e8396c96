"""docs/training.md: its commands are understood, and its table of recipes is that of the recipes."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from training.__main__ import parser
from training.models.families import build
from training.recipe import load_recipe, shipped_recipes

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m training (.*)$", PAGE, re.MULTILINE)
ROWS = re.findall(r"^\| `([a-z0-9-]+)` \|[^|]*\|[^|]*\| (\d+) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    options = parser().parse_args(shlex.split(command, comments=True))
    if hasattr(options, "recipe") and not options.recipe.endswith(".yaml"):
        load_recipe(options.recipe, options.set)


def test_every_command_is_shown() -> None:
    assert {command.split()[0] for command in COMMANDS} == {
        "new-recipe", "train", "report", "evaluate", "estimate", "export", "import",
    }  # fmt: skip


def test_the_table_lists_every_recipe_with_its_number_of_levels() -> None:
    with torch.device("meta"):  # shapes only: no memory, no time
        levels = {name: len(build(load_recipe(name).model).shapes) for name in shipped_recipes()}
    assert {name: int(count) for name, count in ROWS} == levels
