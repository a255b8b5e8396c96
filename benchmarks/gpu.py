"""`make gpu`: everything that needs a CUDA device, in one call that fits a lent hour.

In order, each phase within its share of the time,

    tests   the tests marked `gpu`
    speed   training steps: float32, bfloat16, channels last, compiled (benchmarks/training_speed.py)
    decode  ONNX Runtime and PyTorch on the device (benchmarks/decode_gpu.py)
    train   the zoo's recipes for one GPU, one after the other, for the time that is left; continues earlier runs

What was found so far is in --out at any moment: gpu-DATE.json and .md, each run's log, and its averaged weights in
parts (benchmarks/parts.py). Whole checkpoints stay in --runs. A phase that fails says so and the next one begins.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.decode_gpu import DeviceReport
from benchmarks.parts import reduced, write_parts
from benchmarks.process import Outcome, run, stop
from benchmarks.report import Circumstances, circumstances, table, write
from benchmarks.timing import Record
from benchmarks.training_speed import Speed
from training.checkpoint import CHECKPOINT_NAME, load_checkpoint
from training.recipe import load_recipe

NO_DEVICE = "no CUDA device: nothing measured"
PHASES = ("tests", "speed", "decode", "train")
SHARES = {"tests": 0.1, "speed": 0.3, "decode": 0.1}  # of all minutes, at most
RECIPES = ("vdvae-mnist-gpu", "nvae-mnist-gpu", "vdvae-cifar10-gpu")
PLAIN = ("schedule.precision=float32", "schedule.channels_last=false", "schedule.compile=false")
VARIANTS: dict[str, tuple[str, ...]] = {
    "float32 (convolutions in TF32)": PLAIN,
    "bfloat16": ("schedule.precision=bfloat16", *PLAIN[1:]),
    "bfloat16, channels last": ("schedule.precision=bfloat16", "schedule.channels_last=true", PLAIN[2]),
    "bfloat16, channels last, compiled": (
        "schedule.precision=bfloat16", "schedule.channels_last=true", "schedule.compile=true"
    ),
}  # fmt: skip
SPEED_HEADER = ("recipe", "setting", "images/s", "ms a step", "TFLOP/s", "memory, GiB", "first step, s")
DECODE_HEADER = ("model", "batch", "eager PyTorch, ms", "ONNX Runtime, ms", "times as fast as PyTorch")
STOPPING = 60.0  # seconds that a training gets to finish its step and save
EVALUATING = 60.0  # seconds for the ELBO of the weights so far
POLL = 5.0


class Setting(Record):
    """The speed of one recipe with one setting, or why there is none."""

    recipe: str
    variant: str
    speed: Speed | None
    problem: str = ""


class Run(Record):
    """How far a training has come."""

    recipe: str
    step: int
    steps: int
    log: dict[str, Any]  # the last line of its log
    evaluation: dict[str, Any] | None  # what `python -m training evaluate` found
    files: list[str]
    problem: str = ""


class Report(Record):
    """The whole of gpu-DATE.json; a phase that has not run is empty."""

    circumstances: Circumstances
    tests: str = ""
    settings: list[Setting] = []
    decode: DeviceReport | None = None
    decode_problem: str = ""
    runs: list[Run] = []


@dataclass
class Session:
    """The time, the places and the findings of one call."""

    deadline: float  # on `clock`
    minutes: float
    data: Path
    runs: Path
    out: Path
    name: str
    report: Report
    clock: Callable[[], float] = time.monotonic

    @property
    def left(self) -> float:
        """Seconds."""
        return max(0.0, self.deadline - self.clock())

    def share(self, phase: str) -> float:
        """Seconds that a phase may take."""
        return min(self.left, SHARES[phase] * self.minutes * 60)

    def found(self, **fields: Any) -> None:
        """Take over what a phase found, and write all of it."""
        self.report = self.report.model_copy(update=fields)
        write(self.out, self.name, self.report, markdown(self.report))


def main(arguments: list[str] | None = None) -> int:
    """Run the phases; always 0, because a phase that fails is a finding."""
    options = parser().parse_args(arguments)
    if not torch.cuda.is_available():
        print(NO_DEVICE)
        return 0
    now = datetime.datetime.now(datetime.UTC)
    about = circumstances(torch.device("cuda"), now, f"python -m benchmarks.gpu --minutes {options.minutes:g}")
    session = Session(
        deadline=time.monotonic() + options.minutes * 60,
        minutes=options.minutes,
        data=options.data,
        runs=options.runs,
        out=options.out,
        name=f"gpu-{now:%Y%m%dT%H%M}",
        report=Report(circumstances=about),
    )
    for phase in PHASES:
        if phase in options.phases:
            print(f"{phase}: {session.left:.0f} s left", flush=True)
            {"tests": tests, "speed": speed, "decode": decode, "train": train}[phase](session)
    print("\n".join(markdown(session.report)))
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.partition("\n")[0])
    top.add_argument("--minutes", type=float, default=25, help="for everything together (default: 25)")
    top.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets (default: data)")
    top.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the training runs (default: runs)")
    top.add_argument("--out", type=Path, default=Path("build/gpu"), help="folder of the results (default: build/gpu)")
    top.add_argument("--phases", nargs="+", choices=PHASES, default=PHASES, help="default: all")
    return top


def tests(session: Session) -> None:
    """The tests marked `gpu`. Test modules of parts that are not installed cannot be read; the others run still."""
    command = ["pytest", "-q", "-m", "gpu", "--continue-on-collection-errors", "-p", "no:cacheprovider", "tests"]
    outcome = run(command, session.share("tests"))
    session.found(tests=outcome.last_line if outcome.code is not None else outcome.problem)


def speed(session: Session) -> None:
    """Every variant of every recipe, one process each; compilations, which take longest, come last."""
    end = session.clock() + session.share("speed")
    found: list[Setting] = []
    for variant, overrides in VARIANTS.items():
        for recipe in RECIPES:
            sets = [argument for override in overrides for argument in ("--set", override)]
            outcome = run(["benchmarks.training_speed", recipe, *sets], end - session.clock())
            measured = Speed.model_validate_json(outcome.last_line) if outcome.code == 0 else None
            found.append(Setting(recipe=recipe, variant=variant, speed=measured, problem=outcome.problem))
            session.found(settings=list(found))


def decode(session: Session) -> None:
    """The decoder of the first recipe."""
    outcome = run(["benchmarks.decode_gpu", RECIPES[0]], session.share("decode"))
    if outcome.code == 0:
        session.found(decode=DeviceReport.model_validate_json(outcome.last_line))
    else:
        session.found(decode_problem=outcome.problem)


def train(session: Session) -> None:
    """Train one recipe after the other while there is time; finished ones are passed over."""
    found: list[Run] = []
    for recipe in RECIPES:
        if session.left < STOPPING + EVALUATING:
            return
        found.append(train_one(session, recipe))
        session.found(runs=list(found))


def train_one(session: Session, recipe: str) -> Run:
    """Continue the run of `recipe` until it is finished or time is up; its weights are in --out all along."""
    folder, steps = session.runs / recipe, load_recipe(recipe).schedule.steps
    checkpoint, problem = folder / CHECKPOINT_NAME, ""
    if _step(checkpoint) < steps:
        command = ["training", "train", recipe, "--run", str(folder), "--data", str(session.data), "--resume"]
        problem = _train_until(session, command, lambda: publish(session, recipe, folder))
    if not checkpoint.exists():
        return Run(recipe=recipe, step=0, steps=steps, log={}, evaluation=None, files=[], problem=problem)
    files = publish(session, recipe, folder)
    evaluation = evaluate(session, checkpoint, session.out / f".{recipe}-evaluation.json")
    return Run(
        recipe=recipe,
        step=_step(checkpoint),
        steps=steps,
        log=last_entry(folder / "log.jsonl"),
        evaluation=evaluation,
        files=files,
        problem=problem,
    )


def _train_until(session: Session, command: Sequence[str], save: Callable[[], object]) -> str:
    """Run a training until it ends or only the time to stop and evaluate is left; `save` after each checkpoint."""
    log = session.out / ".training.txt"
    session.out.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=file, stderr=file, start_new_session=True)
        saved = session.clock()
        while process.poll() is None and session.left > STOPPING + EVALUATING:
            time.sleep(POLL)
            if session.clock() - saved > 120:
                save()
                saved = session.clock()
        code = stop(process, STOPPING)
    text = log.read_text(encoding="utf-8", errors="replace")
    log.unlink()
    return "" if code == 0 else Outcome(code, text).problem


def publish(session: Session, recipe: str, folder: Path) -> list[str]:
    """Copy a run's log and averaged weights into --out; the names of the files."""
    checkpoint, log = folder / CHECKPOINT_NAME, folder / "log.jsonl"
    if not checkpoint.exists():
        return []
    session.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(log, session.out / f"{recipe}.log.jsonl")
    parts = write_parts(reduced(load_checkpoint(checkpoint)), session.out, recipe)
    return [f"{recipe}.log.jsonl", *(path.name for path in parts)]


def evaluate(session: Session, checkpoint: Path, out: Path) -> dict[str, Any] | None:
    """The ELBO on the test set, or None when the time did not suffice."""
    command = ["training", "evaluate", str(checkpoint), "--data", str(session.data), "--out", str(out)]
    outcome = run(command, min(session.left, EVALUATING))
    if outcome.code != 0:
        print(outcome.problem)
        return None
    figures: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    return figures


def last_entry(log: Path) -> dict[str, Any]:
    """The last line of a run's log."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    entry: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return entry


def _step(checkpoint: Path) -> int:
    return int(load_checkpoint(checkpoint)["step"]) if checkpoint.exists() else 0


def markdown(report: Report) -> list[str]:
    """The report for people, as lines."""
    lines = ["# On a CUDA device", "", *report.circumstances.lines()]
    if report.tests:
        lines += ["", f"Tests marked `gpu`: {report.tests}"]
    if report.settings:
        rows = [[s.recipe, s.variant, *_speed_cells(s)] for s in report.settings]
        lines += ["", *table(SPEED_HEADER, rows)]
    if report.decode is not None:
        rates = ", ".join(f"{name} {rate:.0f}" for name, rate in report.decode.product_tflops.items())
        lines += ["", f"Matrix products, TFLOP/s: {rates}. Decoding: {report.decode.onnxruntime}.", ""]
        decodes = [
            [
                d.model, str(d.batch), f"{d.pytorch.seconds * 1e3:.2f}",
                "-" if d.onnxruntime is None else f"{d.onnxruntime.seconds * 1e3:.2f}",
                "-" if d.speedup is None else f"{d.speedup:.2f}"
            ] for d in report.decode.decodes
        ]  # fmt: skip
        lines += table(DECODE_HEADER, decodes)
    if report.decode_problem:
        lines += ["", f"Decoding: {report.decode_problem}"]
    if report.runs:
        rows = [[r.recipe, f"{r.step:,} of {r.steps:,}", _nats(r), r.problem or "-"] for r in report.runs]
        lines += ["", *table(("recipe", "steps", "nats/image, test", "problem"), rows)]
    return lines


def _speed_cells(setting: Setting) -> list[str]:
    speed = setting.speed
    if speed is None:
        return [setting.problem, "-", "-", "-", "-"]
    memory = "-" if speed.peak_memory_gib is None else f"{speed.peak_memory_gib:.1f}"
    return [
        f"{speed.images_per_s:,.0f}", f"{speed.step.seconds * 1e3:.1f}", f"{speed.tflops:.1f}", memory,
        f"{speed.first_step_seconds:.0f}"
    ]  # fmt: skip


def _nats(run: Run) -> str:
    if run.evaluation is None:
        return "not evaluated"
    return ", ".join(f"{m['estimator']} {m['nats_per_image']:.2f}" for m in run.evaluation["metrics"])


if __name__ == "__main__":
    sys.exit(main())
