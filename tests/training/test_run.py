"""A run on disk: killed, stopped, continued, refused. The real command in real processes."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from tiny_recipe import tiny_recipe, tiny_values, write_idx
from torch import Tensor

from training.__main__ import main
from training.checkpoint import load_checkpoint
from training.objective import Bound, Loss
from training.recipe import RecipeError
from training.run import StopSignals, check_same_run

STEPS = 80
PATIENCE = 240  # seconds; a busy machine is no failure


class Workplace:
    """A folder with a recipe, its data and some runs."""

    def __init__(self, folder: Path, images: NDArray[np.uint8]) -> None:
        self.folder, self.recipe = folder, folder / "tiny.yaml"
        values = tiny_values(steps=STEPS, save_every=8, picture_every=40)
        self.recipe.write_text(yaml.safe_dump(values), encoding="utf-8")
        write_idx(folder / "data" / "tiny", images)

    def arguments(self, run: str, *options: str) -> list[str]:
        places = ["--run", str(self.folder / run), "--data", str(self.folder / "data"), "--device", "cpu"]
        return ["train", str(self.recipe), *places, *options]

    def start(self, run: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "training", *self.arguments(run, *options)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        root = Path(__file__).parents[2]
        return subprocess.Popen(
            command, cwd=root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for the process to end well; what it said."""
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
        return said

    def log(self, run: str) -> list[dict[str, Any]]:
        path = self.folder / run / "log.jsonl"
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def wait_for_step(self, run: str, process: subprocess.Popen[str], step: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(self.log(run)) < step:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.005)


def figures(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A log without the one thing that depends on the clock."""
    return [{key: value for key, value in line.items() if key != "images_per_s"} for line in log]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, images: NDArray[np.uint8]) -> Workplace:
    """With one run, `whole`, that nothing disturbed."""
    work = Workplace(tmp_path_factory.mktemp("runs"), images)
    work.finish(work.start("whole"))
    return work


def test_an_undisturbed_run_leaves_its_three_files(work: Workplace) -> None:
    log = work.log("whole")
    assert [line["step"] for line in log] == list(range(1, STEPS + 1))
    assert all(line["nats_per_image"] == pytest.approx(line["rate"] + line["distortion"]) for line in log)
    assert all(len(line["rate_by_level"]) == 4 for line in log)
    assert sorted(path.name for path in (work.folder / "whole").iterdir()) == ["checkpoint.pt", "log.jsonl", "pictures"]
    pictures = sorted(path.name for path in (work.folder / "whole" / "pictures").iterdir())
    assert pictures == ["step-0000040.png", "step-0000080.png"]
    state = load_checkpoint(work.folder / "whole")
    assert state["step"] == STEPS
    assert state["wall_time_s"] > 0
    assert state["hardware"]


def test_killed_stopped_and_resumed_the_losses_are_the_same_to_the_last_bit(work: Workplace) -> None:
    victim = work.start("disturbed")
    work.wait_for_step("disturbed", victim, 20)
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=PATIENCE)
    assert victim.returncode == -signal.SIGKILL
    saved = load_checkpoint(work.folder / "disturbed")["step"]
    assert 16 <= saved < STEPS, "killed too late to show anything"

    resumed = work.start("disturbed", "--resume")
    work.wait_for_step("disturbed", resumed, saved + 20)
    resumed.send_signal(signal.SIGINT)
    said = work.finish(resumed)
    stopped = load_checkpoint(work.folder / "disturbed")["step"]
    assert f"stopped after step {stopped}; continue with --resume" in said
    assert saved < work.log("disturbed")[-1]["step"] == stopped < STEPS, "Ctrl-C saves where it stops"

    work.finish(work.start("disturbed", "--resume"))
    assert figures(work.log("disturbed")) == figures(work.log("whole"))
    disturbed, whole = (load_checkpoint(work.folder / run) for run in ("disturbed", "whole"))
    for part in ("model", "ema"):
        assert all((disturbed[part][name] == tensor).all() for name, tensor in whole[part].items())


def test_a_poisoned_batch_is_said_logged_and_survived(
    work: Workplace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, calls = Loss.forward, count()

    def poisoned(self: Loss, image: Tensor, noise: list[Tensor], weight: float) -> tuple[Tensor, Bound]:
        return forward(self, image * (float("nan") if next(calls) == 5 else 1), noise, weight)

    monkeypatch.setattr(Loss, "forward", poisoned)
    options = ["--set", "schedule.steps=12", "--set", "schedule.log_every=4"]
    assert main(work.arguments("poisoned", *options)) == 0
    assert "step 6: the loss or its gradient is not finite; no update was made" in capsys.readouterr().out
    log = work.log("poisoned")
    assert [(line["step"], line["skipped"]) for line in log] == [(4, 0), (8, 1), (12, 0)]
    assert all(math.isfinite(line["nats_per_image"]) for line in log), "the means are those of the other three steps"
    state = load_checkpoint(work.folder / "poisoned")
    assert all(tensor.isfinite().all() for part in ("model", "ema") for tensor in state[part].values())


def test_a_full_disk_leaves_the_checkpoint_before_it_and_the_run_says_so(work: Workplace) -> None:
    """The system lets this process write files shorter than a checkpoint only, as a disk with so much room would."""
    first = ["--set", "schedule.steps=8"]
    work.finish(work.start("full", *first))
    checkpoint = work.folder / "full" / "checkpoint.pt"
    before, room = checkpoint.read_bytes(), checkpoint.stat().st_size // 2
    limit = f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
    command = f"{limit}; from training.__main__ import main; sys.exit(main(sys.argv[1:]))"
    options = ["--resume", "--set", "schedule.steps=20"]
    done = subprocess.run(
        [sys.executable, "-c", command, *work.arguments("full", *options)],
        cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True, capture_output=True,
        timeout=PATIENCE,
    )  # fmt: skip
    assert (
        f"the state of step 16 was not saved (File too large): {checkpoint} keeps the one before; the run goes on"
        in (done.stdout)
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: the state of step 20 was not saved (File too large): {checkpoint} keeps the one before"
    )
    assert "Traceback" not in done.stderr
    assert checkpoint.read_bytes() == before
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["checkpoint.pt", "log.jsonl"]
    assert [line["step"] for line in work.log("full")] == list(range(1, 21))
    work.finish(work.start("full", *options))
    assert figures(work.log("full")) == figures(work.log("whole"))[:20], "with room again it goes on from there"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_to_stop_and_the_old_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopSignals() as stop:
        assert not stop.asked
        signal.raise_signal(number)
        assert stop.asked
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_ends_at_once() -> None:
    with StopSignals():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_changed_recipe_is_refused_with_the_keys_named(work: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--set", "optimiser.lr=0.1", "--set", "model.zdim=3", "--set", "seed=4"]
    assert main(work.arguments("whole", "--resume", *changes)) == 1
    said = capsys.readouterr().err
    assert "was begun with another recipe; these keys differ: model.zdim, optimiser.lr, seed" in said


def test_a_run_from_before_a_key_existed_is_the_same_run_where_the_key_has_its_default() -> None:
    stored = tiny_recipe().model_dump(mode="json")
    del stored["schedule"]["compile"]
    check_same_run(tiny_recipe(checkpoint_activations=True), stored, Path("run"))
    with pytest.raises(RecipeError, match=r"these keys differ: schedule\.compile$"):
        check_same_run(tiny_recipe(compile=True), stored, Path("run"))


def test_a_finished_run_may_be_made_longer(work: Workplace) -> None:
    before = work.log("whole")
    longer = ["--set", f"schedule.steps={STEPS + 2}"]
    copy = work.folder / "longer"
    copy.mkdir()
    for name in ("checkpoint.pt", "log.jsonl"):
        (copy / name).write_bytes((work.folder / "whole" / name).read_bytes())
    assert main(work.arguments("longer", "--resume", *longer)) == 0
    assert [line["step"] for line in work.log("longer")] == list(range(1, STEPS + 3))
    assert figures(work.log("longer"))[:STEPS] == figures(before)


def test_a_run_is_not_overwritten_by_accident(work: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(work.arguments("whole")) == 1
    assert "holds a run already; add --resume to continue it" in capsys.readouterr().err


def test_images_that_do_not_fit_the_model_are_refused_before_anything_is_written(
    work: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ["--set", "model.image_size=16", "--set", "model.enc_blocks=16d2,8d2,4d4,1", "--set"]
    other += ["model.dec_blocks=1,4m1,8m4,16m8"]
    assert main(work.arguments("new", *other)) == 1
    assert "blobs has images of 8x8x1, the model of tiny wants 16x16x1" in capsys.readouterr().err
    assert not (work.folder / "new").exists()


def test_missing_data_are_named(work: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(work.arguments("new", "--set", "data.path=elsewhere")) == 1
    said = capsys.readouterr().err
    assert "train-images-idx3-ubyte" in said
    assert "elsewhere" in said
