"""One training run in one folder: resume, log, checkpoints, pictures, progress, and an orderly end.

RUN/checkpoint.pt    replaced atomically
RUN/log.jsonl        one line every `log_every` steps; resuming drops the lines after the checkpoint
RUN/pictures/        contact sheets
RUN/events/          both once more, if asked for: `training.events`

A disk that takes nothing more stops no run: what could not be written is said in one line, and tried again when the
next of its kind is due. Only the last checkpoint must be written: without it the run ends in an error.

Of several processes (`training.distributed`) the first writes all of this; every one of them reads the checkpoint.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from tqdm import tqdm

from training import distributed
from training.checkpoint import CHECKPOINT_NAME, SaveError, load_checkpoint, save_checkpoint
from training.data.images import Images
from training.data.load import load
from training.events import Events
from training.hardware import describe_hardware
from training.models.families import build
from training.pictures import contact_sheet, save_picture
from training.recipe import Recipe, RecipeError, parse_recipe
from training.run_log import RunLog
from training.trainer import Report, Trainer

CHANGEABLE = ("steps", "log_every", "save_every", "picture_every", "checkpoint_activations")  # in a run's schedule


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
    distributed.check_same_step(trainer.step_number, device)
    first = distributed.number() == 0
    keeping = Journal(run, trainer, images, seconds_before, clock, tensorboard=tensorboard) if first else nullcontext()
    with keeping as journal, StopSignals() as stop:
        for step in trainer.remaining():
            report = trainer.step()
            if journal is not None:
                journal.add(report)
            if distributed.anywhere(stop.asked, device):
                if journal is not None:
                    journal.say(f"stopped after step {step + 1}; continue with --resume")
                break
        if journal is not None:
            journal.finish()


class Journal:
    """What a run leaves in its folder and says on the way. Of several processes the first one alone has it."""

    def __init__(
        self,
        run: Path,
        trainer: Trainer,
        images: Images,
        seconds_before: float,
        clock: Callable[[], float],
        *,
        tensorboard: bool,
    ) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.run, self.trainer, self.clock = run, trainer, clock
        self.log = RunLog(run / "log.jsonl", trainer.step_number, trainer.dims)
        self.events = Events(run, trainer.step_number) if tensorboard else None
        self.shown = torch.from_numpy(np.ascontiguousarray(images[:16])).to(trainer.device)
        self.began = clock() - seconds_before
        self.about = {"commit": describe_commit(), "hardware": describe_hardware(trainer.device, distributed.count())}

    def __enter__(self) -> Journal:
        steps, begun = self.trainer.recipe.schedule.steps, self.trainer.step_number
        self.bar: tqdm[NoReturn] = tqdm(total=steps, initial=begun, unit="step", dynamic_ncols=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def say(self, text: str) -> None:
        self.bar.write(text)

    def add(self, report: Report) -> None:
        """After each step: whatever is due."""
        made, schedule = report.step + 1, self.trainer.recipe.schedule
        self.bar.update()
        self.log.add(report, self.clock())
        if not report.finite:
            self.say(f"step {made}: the loss or its gradient is not finite; no update was made")
        if made % schedule.log_every == 0:
            self.bar.set_postfix(self.log.shown(schedule.batch_size))
            attempt(self.say, self.note)
        if made % schedule.save_every == 0:
            attempt(self.say, self.save)
        if made % schedule.picture_every == 0:
            attempt(self.say, self.draw)

    def note(self) -> None:
        """The next line of the log, and of the events."""
        line = self.log.write(self.trainer.recipe.schedule.batch_size)
        if self.events is not None:
            self.events.figures(line)

    def save(self) -> None:
        about = self.about | {"wall_time_s": self.clock() - self.began}
        save_checkpoint(self.run / CHECKPOINT_NAME, self.trainer.state() | about)

    def draw(self) -> None:
        """A contact sheet of the averaged weights."""
        trainer = self.trainer
        model = build(trainer.recipe.model).to(trainer.device).eval()
        model.load_state_dict(trainer.ema)
        sheet = contact_sheet(model, self.shown, trainer.recipe.seed)
        save_picture(self.run / "pictures" / f"step-{trainer.step_number:07d}.png", sheet)
        if self.events is not None:
            self.events.picture(sheet, trainer.step_number)

    def finish(self) -> None:
        self.save()
        if self.events is not None:
            self.events.close()


def attempt(say: Callable[[str], object], write: Callable[[], object]) -> None:
    """Write something that the run can do without; what a full disk refuses is said, not raised."""
    try:
        write()
    except SaveError as error:
        say(f"{error}; the run goes on")
    except OSError as error:
        say(f"{error.filename or 'a file of the run'} was not written ({error.strerror}); the run goes on")


def check_images(recipe: Recipe, shape: tuple[int, ...]) -> None:
    """Raises RecipeError unless images [H, W, C] fit the model."""
    wanted = (recipe.model.image_size, recipe.model.image_size, recipe.model.image_channels)
    if shape != wanted:
        raise RecipeError(
            f"{recipe.data.name} has images of {shape[0]}x{shape[1]}x{shape[2]}, the model of {recipe.name} wants "
            f"{wanted[0]}x{wanted[1]}x{wanted[2]}: see model.image_size, model.image_channels and data"
        )


def check_same_run(recipe: Recipe, stored: dict[str, Any], run: Path) -> None:
    """Raises RecipeError if the run was begun with another recipe; what changes no result may change."""
    before = parse_recipe(stored, f"recipe of {run}")  # what it does not say yet, such as a newer key, is as it was
    wanted, begun = (_flat(each.model_dump(mode="json")) for each in (recipe, before))
    free = {f"schedule.{key}" for key in CHANGEABLE}
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
