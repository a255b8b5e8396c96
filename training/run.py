"""One training run in one folder: resume, log, checkpoints, pictures, progress, and an orderly end.

RUN/checkpoint.pt    replaced atomically
RUN/log.jsonl        one line every `log_every` steps; resuming drops the lines after the checkpoint
RUN/pictures/        contact sheets
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from training.checkpoint import CHECKPOINT_NAME, load_checkpoint, save_checkpoint
from training.data.load import load
from training.hardware import describe_hardware
from training.models.families import build
from training.pictures import contact_sheet, save_picture
from training.recipe import Recipe, RecipeError
from training.trainer import Report, Trainer


def train(
    recipe: Recipe,
    run: Path,
    data_root: Path,
    device: torch.device,
    *,
    resume: bool,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train to `recipe.schedule.steps`, or until Ctrl-C or SIGTERM, after which the state is saved."""
    checkpoint = run / CHECKPOINT_NAME
    if checkpoint.exists() and not resume:
        raise RecipeError(f"{run} holds a run already; add --resume to continue it, or choose another --run")
    images = load(recipe.data, "train", data_root).images
    check_images(recipe, images.shape[1:])
    trainer = Trainer(recipe, images, device)
    seconds_before = 0.0
    if checkpoint.exists():
        state = load_checkpoint(checkpoint, device)
        check_same_run(recipe, state["recipe"], run)
        trainer.load(state)
        seconds_before = state["wall_time_s"]
    run.mkdir(parents=True, exist_ok=True)
    log = RunLog(run / "log.jsonl", trainer.step_number, trainer.dims)
    shown = torch.from_numpy(np.ascontiguousarray(images[:16])).to(device)
    start, commit, hardware = clock(), describe_commit(), describe_hardware(device)

    def save() -> None:
        about = {"wall_time_s": seconds_before + clock() - start, "commit": commit, "hardware": hardware}
        save_checkpoint(checkpoint, trainer.state() | about)

    schedule = recipe.schedule
    progress = tqdm(total=schedule.steps, initial=trainer.step_number, unit="step", dynamic_ncols=True)
    with progress as bar, StopSignals() as stop:
        for step in trainer.remaining():
            report = trainer.step()
            bar.update()
            log.add(report, clock())
            if (step + 1) % schedule.log_every == 0:
                bar.set_postfix(log.write(schedule.batch_size))
            if (step + 1) % schedule.save_every == 0:
                save()
            if (step + 1) % schedule.picture_every == 0:
                draw(trainer, shown, run / "pictures" / f"step-{step + 1:07d}.png")
            if stop.asked:
                bar.write(f"stopped after step {step + 1}; continue with --resume")
                break
        save()


def draw(trainer: Trainer, images: torch.Tensor, path: Path) -> None:
    """A contact sheet of the averaged weights."""
    model = build(trainer.recipe.model).to(trainer.device).eval()
    model.load_state_dict(trainer.ema)
    save_picture(path, contact_sheet(model, images, trainer.recipe.seed))


class RunLog:
    """Means since the last line, as JSON lines. A line never holds a figure that is not finite: those are null."""

    def __init__(self, path: Path, step: int, dims: int) -> None:
        self.path, self.dims = path, dims
        self.reports: list[Report] = []
        self.since: float | None = None
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def add(self, report: Report, now: float) -> None:
        self.since = now if self.since is None else self.since  # the first step (compilation) is not timed
        self.reports.append(report)
        self.now = now

    def write(self, batch_size: int) -> dict[str, str]:
        """Append the line of the steps added since the last one; returns what a progress bar shows."""
        reports, seconds = self.reports, self.now - (self.since or self.now)
        count = len(reports)
        nats = sum(r.nats for r in reports) / count
        rates = [sum(level) / count for level in zip(*(r.rates for r in reports), strict=True)]
        values: dict[str, Any] = {
            "step": reports[-1].step + 1,
            "nats_per_image": nats,
            "rate": sum(rates),
            "distortion": sum(r.distortion for r in reports) / count,
            "bits_per_dim": nats / self.dims / math.log(2),
            "rate_by_level": rates,
            "gradient_norm": max(r.gradient_norm for r in reports),
            "learning_rate": reports[-1].learning_rate,
            "skipped": sum(r.skipped for r in reports),
            "images_per_s": count * batch_size / seconds if seconds > 0 else None,
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(values)) + "\n")
        self.reports, self.since = [], self.now
        shown = {"nats": nats, "rate": values["rate"], "distortion": values["distortion"]}
        speed = values["images_per_s"]
        return {key: f"{value:.2f}" for key, value in shown.items()} | {
            "bits/dim": f"{values['bits_per_dim']:.4f}",
            "images/s": "-" if speed is None else f"{speed:.0f}",
        }


def _lines(path: Path) -> Iterator[str]:
    """Whole lines only: a run that was killed may have left half a line."""
    if path.exists():
        yield from (
            line[:-1] for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"
        )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_images(recipe: Recipe, shape: tuple[int, ...]) -> None:
    """Raises RecipeError unless images [H, W, C] fit the model."""
    wanted = (recipe.model.image_size, recipe.model.image_size, recipe.model.image_channels)
    if shape != wanted:
        raise RecipeError(
            f"{recipe.data.name} has images of {shape[0]}x{shape[1]}x{shape[2]}, the model of {recipe.name} wants "
            f"{wanted[0]}x{wanted[1]}x{wanted[2]}: see model.image_size, model.image_channels and data"
        )


def check_same_run(recipe: Recipe, stored: dict[str, Any], run: Path) -> None:
    """Raises RecipeError if the run was begun with another recipe; the number of steps may grow."""
    wanted, begun = _flat(recipe.model_dump(mode="json")), _flat(stored)
    free = {f"schedule.{key}" for key in ("steps", "log_every", "save_every", "picture_every")}
    differing = sorted(key for key in (wanted.keys() | begun.keys()) - free if wanted.get(key) != begun.get(key))
    if differing:
        raise RecipeError(f"{run} was begun with another recipe; these keys differ: {', '.join(differing)}")


def _flat(recipe: dict[str, Any]) -> dict[str, Any]:
    """{"schedule": {"steps": 1}} -> {"schedule.steps": 1}, as `--set` names the keys."""
    flat: dict[str, Any] = {}
    for section, value in recipe.items():
        flat |= (
            {f"{section}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {section: value}
        )
    return flat


class StopSignals:
    """Ctrl-C and SIGTERM ask the run to end after the current step; a second Ctrl-C ends it at once, unsaved."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> StopSignals:
        self.previous = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


def describe_commit() -> str | None:
    """The commit of the code, '-dirty' if files of training/ differ from it; None outside a checkout."""
    folder = str(Path(__file__).parent)

    def git(*arguments: str) -> str:
        command = ["git", "-C", folder, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return commit + "-dirty" * bool(git("status", "--porcelain", "--", folder)) if commit else None
