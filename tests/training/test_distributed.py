"""Two processes make the steps of one, and survive that one of them is killed. The real torchrun, over gloo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from curves import STEPS, curve
from numpy.typing import NDArray
from tiny_families import FAMILIES
from tiny_recipe import tiny_values, write_idx

from training import distributed
from training.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
STEPS_OF_A_RUN = 60
PATIENCE = 240  # seconds; a busy machine is no failure


def torchrun(*arguments: str) -> subprocess.Popen[str]:
    """Two processes on a free port of this machine; each start with a store of its own, see docs/training.md."""
    options = ["--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *options, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[float]]]:
    """The curves of all families, made by two processes."""
    out = tmp_path_factory.mktemp("curves") / "curves.json"
    finish(torchrun(str(Path(__file__).with_name("curves.py")), str(out)))
    curves: dict[str, list[list[float]]] = json.loads(out.read_text(encoding="utf-8"))
    return curves


@pytest.mark.parametrize("family", FAMILIES)
def test_two_processes_have_the_losses_of_one(family: str, of_two: dict[str, list[list[float]]]) -> None:
    """Loss and distortion to 1e-5; a level's rate may be near 0, where only 1e-5 nats can be asked.

    In batches of twelve: a batch norm over four vectors has units that hardly differ, and divides rounding by little.
    """
    one, two = np.array(curve(family, torch.device("cpu"))), np.array(of_two[family])
    assert one.shape[0] == STEPS
    np.testing.assert_allclose(two[:, :2], one[:, :2], rtol=1e-5)
    np.testing.assert_allclose(two[:, 2:-1], one[:, 2:-1], rtol=1e-4, atol=1e-5)


class Workplace:
    """A folder with a recipe, its data and some runs."""

    def __init__(self, folder: Path, images: NDArray[np.uint8]) -> None:
        self.folder = folder
        values = tiny_values(steps=STEPS_OF_A_RUN, save_every=10, picture_every=30) | {"model": FAMILIES["nvae"]}
        (folder / "tiny.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        write_idx(folder / "data" / "tiny", images)

    def train(self, run: str, *options: str) -> list[str]:
        places = ["--run", str(self.folder / run), "--data", str(self.folder / "data"), "--device", "cpu"]
        return ["-m", "--", "training", "train", str(self.folder / "tiny.yaml"), *places, *options]

    def log(self, run: str) -> list[dict[str, Any]]:
        path = self.folder / run / "log.jsonl"
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def signal_second(self, run: str, process: subprocess.Popen[str], number: int) -> None:
        """Send a signal to the second of the two processes, after the first checkpoint."""
        deadline = time.monotonic() + PATIENCE
        while len(self.log(run)) < 15:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.005)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        [second] = [int(pid) for pid in children if b"\0RANK=1\0" in Path(f"/proc/{pid}/environ").read_bytes()]
        os.kill(second, number)
        assert len(self.log(run)) < STEPS_OF_A_RUN, "too late to show anything"


@pytest.fixture
def work(tmp_path: Path, images: NDArray[np.uint8]) -> Workplace:
    return Workplace(tmp_path, images)


def test_one_process_is_killed_and_the_run_goes_on_by_itself(work: Workplace) -> None:
    alone = subprocess.run(
        [sys.executable, "-m", *work.train("alone")[2:]], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    process = torchrun("--max-restarts", "1", *work.train("two", "--resume"))
    work.signal_second("two", process, signal.SIGKILL)
    finish(process)
    one, two = ([line["nats_per_image"] for line in work.log(run)] for run in ("alone", "two"))
    assert len(two) == STEPS_OF_A_RUN
    np.testing.assert_allclose(two, one, rtol=1e-5)
    files = sorted(path.name for path in (work.folder / "two").iterdir())
    assert files == ["checkpoint.pt", "log.jsonl", "pictures"]


def test_a_signal_to_one_process_stops_both_after_the_same_step(work: Workplace) -> None:
    process = torchrun(*work.train("stopped"))
    work.signal_second("stopped", process, signal.SIGTERM)
    said = finish(process)
    step = load_checkpoint(work.folder / "stopped")["step"]
    assert f"stopped after step {step}; continue with --resume" in said
    assert work.log("stopped")[-1]["step"] == step < STEPS_OF_A_RUN


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "count", lambda: 3)
    with pytest.raises(distributed.DistributedError, match=r"schedule\.batch_size 4 .* multiple of 3"):
        distributed.own_rows(4)


def test_every_process_has_rows_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "count", lambda: 3)
    rows = []
    for number in range(3):
        monkeypatch.setattr(distributed, "number", partial(int, number))
        rows += list(range(12))[distributed.own_rows(12)]
    assert rows == list(range(12))


def test_without_torchrun_nothing_changes() -> None:
    with distributed.processes(torch.device("cpu")) as device:
        value = torch.arange(3.0)
        assert device == torch.device("cpu")
        assert distributed.mean(value) is value
        assert distributed.of_all(value).tolist() == [[0, 1, 2]]
        assert distributed.own_rows(7) == slice(0, 7)
        assert not distributed.anywhere(False, device)
