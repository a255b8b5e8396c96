"""`make gpu` where there is no device, and the parts of it that need none."""

from __future__ import annotations

import datetime
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import NO_DEVICE, Report, Run, Session, Setting, markdown
from benchmarks.parts import reduced, write_parts
from benchmarks.process import Outcome, run, stop
from benchmarks.report import circumstances
from benchmarks.training_speed import measure
from training.checkpoint import load_checkpoint
from training.recipe import Recipe
from training.trainer import Trainer, model_from_checkpoint

NOW = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)
CPU = torch.device("cpu")


def test_without_a_device_it_says_so_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--minutes", "25", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"{NO_DEVICE}\n"
    assert list(tmp_path.iterdir()) == []


def test_training_speed_counts_images_and_arithmetic(tiny: Recipe) -> None:
    ticks = iter(range(100))
    speed = measure(tiny, [], CPU, samples=2, clock=lambda: float(next(ticks)))
    assert speed.step.seconds == pytest.approx(0.1)  # one tick a sample, ten steps a sample
    assert speed.images_per_s == pytest.approx(20)
    assert speed.first_step_seconds == 1
    assert speed.tflops > 0
    assert speed.peak_memory_gib is None


@pytest.fixture
def joined(tiny: Recipe, tmp_path: Path) -> tuple[Trainer, Path, list[Path]]:
    """A trainer after one step, its weights written in parts, and the parts joined again."""
    trainer = Trainer(tiny, np.zeros((4, 28, 28, 1), np.uint8), CPU)
    trainer.step()
    state = trainer.state() | {"wall_time_s": 1.0, "commit": None, "hardware": "this one"}
    paths = write_parts(reduced(state), tmp_path, "run", size=4096)
    whole = tmp_path / "run.pt"
    whole.write_bytes(b"".join(path.read_bytes() for path in paths))
    return trainer, whole, paths


def test_parts_are_small_and_in_order(joined: tuple[Trainer, Path, list[Path]]) -> None:
    _, _, paths = joined
    assert len(paths) > 1
    assert paths == sorted(paths)
    assert all(path.stat().st_size <= 4096 for path in paths)


def test_joined_parts_are_a_checkpoint_to_evaluate_and_export(joined: tuple[Trainer, Path, list[Path]]) -> None:
    trainer, whole, _ = joined
    _, model = model_from_checkpoint(load_checkpoint(whole))
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, trainer.ema[name].half().float(), rtol=0, atol=0)


def test_a_smaller_set_of_parts_leaves_none_of_the_larger(tmp_path: Path) -> None:
    write_parts({"weights": torch.zeros(4096)}, tmp_path, "run", size=4096)
    write_parts({"weights": torch.zeros(1)}, tmp_path, "run", size=4096)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt.00"]


def test_a_module_that_fails_is_one_line() -> None:
    outcome = run(["no_such_module"], 60)
    assert outcome.code == 1
    assert outcome.problem.startswith("exit code 1: ")
    assert outcome.problem.endswith("No module named no_such_module")


def test_a_module_that_takes_too_long_is_ended() -> None:
    start = time.monotonic()
    outcome = run(["http.server", "0", "--bind", "127.0.0.1"], 0.5)
    assert outcome.code is None
    assert outcome.problem.startswith("its time was up")
    assert time.monotonic() - start < 30


def test_a_process_that_was_asked_to_stop_may_finish() -> None:
    polite = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print(flush=True); signal.pause()"
    )
    process = subprocess.Popen([sys.executable, "-c", polite], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    assert stop(process, 60) == 0
    process.stdout.close()


def test_the_report_tells_what_was_measured_and_what_went_wrong(tiny: Recipe) -> None:
    ticks = iter(range(100))
    speed = measure(tiny, [], CPU, samples=1, clock=lambda: float(next(ticks)))
    report = Report(
        circumstances=circumstances(CPU, NOW, "python -m benchmarks.gpu"),
        tests="3 passed in 4.20s",
        settings=[
            Setting(recipe="a", variant="bfloat16", speed=speed),
            Setting(recipe="a", variant="compiled", speed=None, problem=Outcome(None, "").problem),
        ],
        runs=[Run(recipe="a", step=500, steps=24000, log={}, evaluation=None, files=[])],
    )
    text = "\n".join(markdown(report))
    assert "Tests marked `gpu`: 3 passed in 4.20s" in text
    assert "| a | bfloat16 | 20 | 100.0 |" in text
    assert "| a | compiled | its time was up | - |" in text
    assert "| a | 500 of 24,000 | not evaluated | - |" in text


def test_a_finding_is_on_disk_at_once_and_no_phase_outlives_the_session(tmp_path: Path) -> None:
    report = Report(circumstances=circumstances(CPU, NOW, "python -m benchmarks.gpu"))
    clock = iter([0.0, 0.0, 590.0, 700.0])
    session = Session(
        deadline=600, minutes=10, data=tmp_path, runs=tmp_path, out=tmp_path / "out", name="gpu-then", report=report,
        clock=lambda: next(clock)
    )  # fmt: skip
    session.found(tests="1 passed")
    assert Report.model_validate_json((tmp_path / "out/gpu-then.json").read_text()).tests == "1 passed"
    assert session.left == 600
    assert session.share("speed") == 180
    assert session.share("speed") == 10
    assert session.left == 0
