"""One training run in one folder: resume, log, checkpoints, pictures, progress, and an orderly end.

RUN/checkpoint.pt    replaced atomically
RUN/log.jsonl        one line every `log_every` steps; resuming drops the lines after the checkpoint
RUN/pictures/        contact sheets
RUN/events/          both once more, if asked for: `training.events`

A disk that takes nothing more stops no run: what could not be written is said in one line, and tried again when the
next of its kind is due. Only the last checkpoint must be written: without it the run ends in an error.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from training.checkpoint import CHECKPOINT_NAME, SaveError, load_checkpoint, save_checkpoint
from training.data.load import load
from training.events import Events
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
    tensorboard: bool = False,
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
    events = Events(run, trainer.step_number) if tensorboard else None
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
            if not report.finite:
                bar.write(f"step {step + 1}: the loss or its gradient is not finite; no update was made")
            if (step + 1) % schedule.log_every == 0:
                bar.set_postfix(log.shown(schedule.batch_size))
                attempt(bar.write, partial(note, log, events, schedule.batch_size))
            if (step + 1) % schedule.save_every == 0:
                attempt(bar.write, save)
            if (step + 1) % schedule.picture_every == 0:
                picture = run / "pictures" / f"step-{step + 1:07d}.png"
                attempt(bar.write, partial(draw, trainer, shown, picture, events))
            if stop.asked:
                bar.write(f"stopped after step {step + 1}; continue with --resume")
                break
        save()
        if events is not None:
            events.close()


def attempt(say: Callable[[str], object], write: Callable[[], object]) -> None:
    """Write something that the run can do without; what a full disk refuses is said, not raised."""
    try:
        write()
    except SaveError as error:
        say(f"{error}; the run goes on")
    except OSError as error:
        say(f"{error.filename or 'a file of the run'} was not written ({error.strerror}); the run goes on")


def note(log: RunLog, events: Events | None, batch_size: int) -> None:
    """The next line of the log, and of the events."""
    line = log.write(batch_size)
    if events is not None:
        events.figures(line)


def draw(trainer: Trainer, images: torch.Tensor, path: Path, events: Events | None) -> None:
    """A contact sheet of the averaged weights."""
    model = build(trainer.recipe.model).to(trainer.device).eval()
    model.load_state_dict(trainer.ema)
    sheet = contact_sheet(model, images, trainer.recipe.seed)
    save_picture(path, sheet)
    if events is not None:
        events.picture(sheet, trainer.step_number)


class RunLog:
    """Means since the last line, as JSON lines.

    A step that was not finite counts as skipped and is in no mean; a figure that has no finite value at all is null.
    """

    def __init__(self, path: Path, step: int, dims: int) -> None:
        self.path, self.dims = path, dims
        self.reports: list[Report] = []
        self.since: float | None = None
        path.touch()
        kept = takewhile(lambda line: json.loads(line)["step"] <= step, _lines(path))
        os.truncate(path, sum(map(len, kept)))  # lines are in order, so nothing has to be written again

    def add(self, report: Report, now: float) -> None:
        self.since = now if self.since is None else self.since  # the first step (compilation) is not timed
        self.reports.append(report)
        self.now = now

    def write(self, batch_size: int) -> dict[str, Any]:
        """Append the line of the steps added since the last one, and return its values.

        Raises OSError if the disk does not take it; the file is then as it was, and the next line covers these steps.
        """
        values = _finite(self._values(batch_size))
        size = self.path.stat().st_size
        try:
            with self.path.open("ab") as file:
                file.write((json.dumps(values) + "\n").encode())
        except OSError as error:
            os.truncate(self.path, size)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.reports, self.since = [], self.now
        return values

    def shown(self, batch_size: int) -> dict[str, str]:
        """What a progress bar shows of the line to be written."""
        values = self._values(batch_size)
        speed = values["images_per_s"]
        return {
            "nats": f"{values['nats_per_image']:.2f}",
            "rate": f"{values['rate']:.2f}",
            "distortion": f"{values['distortion']:.2f}",
            "bits/dim": f"{values['bits_per_dim']:.4f}",
            "images/s": "-" if speed is None else f"{speed:.0f}",
        }

    def _values(self, batch_size: int) -> dict[str, Any]:
        seconds = 0.0 if self.since is None else self.now - self.since
        used = [report for report in self.reports if report.finite] or self.reports
        nats = sum(r.nats for r in used) / len(used)
        rates = [sum(level) / len(used) for level in zip(*(r.rates for r in used), strict=True)]
        return {
            "step": self.reports[-1].step + 1,
            "nats_per_image": nats,
            "rate": sum(rates),
            "distortion": sum(r.distortion for r in used) / len(used),
            "bits_per_dim": nats / self.dims / math.log(2),
            "rate_by_level": rates,
            "gradient_norm": max(r.gradient_norm for r in used),
            "learning_rate": self.reports[-1].learning_rate,
            "skipped": sum(r.skipped for r in self.reports),
            "images_per_s": len(self.reports) * batch_size / seconds if seconds > 0 else None,
        }


def _lines(path: Path) -> Iterator[bytes]:
    """Whole lines only: a run that was killed may have left half a line."""
    yield from takewhile(lambda line: line.endswith(b"\n"), path.read_bytes().splitlines(keepends=True))


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
