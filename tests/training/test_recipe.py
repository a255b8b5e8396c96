"""Recipes: what is wrong is named, what is overridden is overridden, and nothing is ignored."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_recipe import tiny_values

from training.recipe import Recipe, RecipeError, load_recipe, parse_recipe


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_values()), encoding="utf-8")
    return path


def test_a_file_is_read(file: Path) -> None:
    assert load_recipe(str(file)) == Recipe.model_validate(tiny_values())


@pytest.mark.parametrize("section", ["data", "model", "model.likelihood", "optimiser", "schedule", None])
def test_unknown_keys_are_named(section: str | None) -> None:
    values: dict[str, Any] = copy.deepcopy(tiny_values())
    target = values
    for part in (section or "").split(".") if section else []:
        target = target[part]
    target["colour"] = "blue"
    with pytest.raises(RecipeError, match=r"colour: unknown key") as caught:
        parse_recipe(values, "mine.yaml")
    assert "mine.yaml: 1 problem" in str(caught.value)
    if section:
        assert section.split(".")[0] in str(caught.value)


def test_every_problem_is_listed_at_once(file: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(file), ["model.dec_blocks=1x1,4m1", "schedule.stepz=3", "optimiser.lr=-1"])
    message = str(caught.value)
    assert "3 problems" in message
    assert "dec_blocks: no block at 8" in message
    assert "schedule.stepz: unknown key" in message
    assert "optimiser.lr: Input should be greater than 0" in message


def test_impossible_block_string_says_what_would_be_right(file: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read block '8q2'; write e.g. '8x5', '8m4', '8d2' or '8'"):
        load_recipe(str(file), ["model.enc_blocks=8q2"])


@pytest.mark.parametrize("value", [".nan", ".inf", "0", "-0.1", "fast"])
def test_numbers_that_no_training_survives_are_refused(file: Path, value: str) -> None:
    with pytest.raises(RecipeError, match=r"optimiser\.lr"):
        load_recipe(str(file), [f"optimiser.lr={value}"])


def test_overrides(file: Path) -> None:
    changed = load_recipe(
        str(file),
        ["schedule.steps=7", "optimiser.lr=1e-4", "seed=5", "schedule.compile=true", "optimiser.betas=[0.8, 0.9]"],
    )
    assert changed.schedule.steps == 7
    assert changed.optimiser.lr == 1e-4
    assert changed.seed == 5
    assert changed.schedule.compile
    assert changed.optimiser.betas == (0.8, 0.9)
    assert changed.model == load_recipe(str(file)).model


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.steps", "write section.key=value"),
        ("=3", "write section.key=value"),
        ("name.steps=3", "'name' is a value, not a section"),
        ("schedule.steps=[1", "is not a YAML value"),
        ("schedule.tempo=3", r"schedule\.tempo: unknown key"),
    ],
)
def test_wrong_overrides(file: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(file), [override])


def test_unknown_names_list_the_shipped_ones() -> None:
    with pytest.raises(RecipeError, match="no recipe called 'vdvae-minst'; shipped are .*vdvae-mnist"):
        load_recipe("vdvae-minst")


@pytest.mark.parametrize(
    ("content", "message"), [("a: [1", "is not YAML"), ("- 1", "is a mapping with the sections"), ("", "is a mapping")]
)
def test_files_that_are_no_recipe(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(path))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe file .*nowhere\.yaml"):
        load_recipe(str(tmp_path / "nowhere.yaml"))


def test_a_recipe_survives_json() -> None:
    recipe = Recipe.model_validate(tiny_values())
    assert parse_recipe(recipe.model_dump(mode="json"), "checkpoint") == recipe
