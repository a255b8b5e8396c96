"""Training recipes: short YAML files, checked before anything runs.

A recipe has the sections data, model, objective (where it differs from the plain ELBO), optimiser and schedule, and a
seed. `--set schedule.steps=100` overrides one value. Unknown keys are errors that name the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.data.config import Data
from training.models.families import Model


class RecipeError(Exception):
    """A recipe that cannot be used; the message says which file, which key, and what would be right."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Objective(Section):
    """What is minimised: the negative ELBO, and what helps deep hierarchies to train."""

    unit: Literal["nats/dim", "nats/image"] = (
        "nats/dim"  # VDVAE's and NVAE's; it scales gradients, clip_norm, skip_norm
    )
    free_bits: float = Field(default=0, ge=0)  # nats: a level's rate below this costs nothing (Kingma et al. 2016)
    balance_kl: bool = False  # during KL warm-up, levels that say little pay less (Vahdat & Kautz 2020)
    norm_penalty: float = Field(default=0, ge=0)  # weight of the spectral and batch-norm penalties, beside the loss
    norm_penalty_start: float | None = Field(default=None, gt=0)  # its weight at first, annealed during KL warm-up


class Optimiser(Section):
    """How gradient steps on the objective are made."""

    name: Literal["adamw", "adamax"] = "adamw"
    lr: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.9)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clip_norm: float = Field(default=200.0, gt=0)  # gradients are scaled down to this norm
    skip_norm: float | None = Field(default=None, gt=0)  # an update with a larger norm (before clipping) is skipped
    skip_after: int = Field(default=0, ge=0)  # no skipping in the first steps, when norms are large by nature
    max_skips: int = Field(default=20, gt=0)  # after so many skips in a row the clipped update is made all the same


class Schedule(Section):
    """How long, how fast, and what is kept on the way."""

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    warmup_steps: int = Field(default=100, ge=0)  # learning rate from 0
    decay: Literal["constant", "cosine"] = "constant"  # to 0 at the last step
    kl_warmup_steps: int = Field(default=0, ge=0)  # weight of the rate from 0 to 1
    ema: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: autocast; weights stay float32
    channels_last: bool = False
    compile: bool = False
    checkpoint_activations: bool = False  # blocks are computed again in the backward pass: less memory, more time
    log_every: int = Field(default=50, gt=0)
    save_every: int = Field(default=500, gt=0)
    picture_every: int = Field(default=2000, gt=0)


class Recipe(Section):
    """Everything that a training run depends on, but the data's place on disk and the machine."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    summary: str = ""
    seed: int = Field(default=0, ge=0)
    data: Data
    model: Model
    objective: Objective = Objective()
    optimiser: Optimiser
    schedule: Schedule


def shipped_recipes() -> list[str]:
    """Names of the recipes in training/recipes."""
    folder = resources.files("training") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name or any YAML file by path; `overrides` are "section.key=value" (YAML values).

    Raises RecipeError with every wrong key and value.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise RecipeError(f"no recipe file {path}")
        text = path.read_text(encoding="utf-8")
    elif name_or_path in shipped_recipes():
        text = (resources.files("training") / "recipes" / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    else:
        raise RecipeError(
            f"no recipe called '{name_or_path}'; shipped are {', '.join(shipped_recipes())}; "
            "or give the path of a .yaml file"
        )
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name_or_path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{name_or_path}: a recipe is a mapping with the sections {', '.join(Recipe.model_fields)}")
    for override in overrides:
        _override(values, override)
    return parse_recipe(values, name_or_path)


def parse_recipe(values: dict[str, Any], origin: str) -> Recipe:
    """Check plain values, e.g. those stored in a checkpoint. Raises RecipeError; `origin` starts its message."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        raise RecipeError("\n".join([f"{origin}: {len(lines)} problem{'s' * (len(lines) > 1)}", *lines])) from error


def _explain(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"  {where}: unknown key"
    return f"  {where}: {item['msg'].removeprefix('Value error, ')}"


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override}: write section.key=value, e.g. --set schedule.steps=1000")
    *sections, last = key.split(".")
    target = values
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise RecipeError(f"--set {override}: '{section}' is a value, not a section")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: '{text}' is not a YAML value") from error
    if isinstance(value, str):
        value = _number(value)
    target[last] = value


def _number(text: str) -> str | float:
    """YAML 1.1 reads 1e-3 as a word; nobody who writes it means one."""
    try:
        return float(text)
    except ValueError:
        return text
