"""The log of a run: means in both units, whole lines only, and nothing from after the checkpoint."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.run import attempt
from training.run_log import RunLog
from training.trainer import Report


def report(step: int, nats: float = 3.0) -> Report:
    return Report(step, nats, nats - 1, [0.75, 0.25], 0.5, 1e-3, skipped=False)


def test_a_log_loses_what_was_written_after_the_checkpoint_and_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = RunLog(path, 0, dims=4)
    for step in range(3):
        log.add(report(step), now=float(step))
        log.write(batch_size=2)
    with path.open("a") as file:
        file.write('{"step": 4, "nats_per')
    RunLog(path, step=2, dims=4)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_line_is_the_mean_of_its_steps_in_both_units(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl", 0, dims=4)
    for step, nats in enumerate((2.0, 4.0)):
        log.add(report(step, nats), now=step / 10)
    log.write(batch_size=2)
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert (line["step"], line["nats_per_image"], line["rate"], line["distortion"]) == (2, 3, 1, 2)
    assert line["bits_per_dim"] == pytest.approx(3 / 4 / np.log(2))


def test_a_line_that_finds_no_room_is_no_half_line_and_the_next_one_covers_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = tmp_path / "log.jsonl", list[str]()
    log = RunLog(path, 0, dims=4)
    log.add(report(0), now=0.0)
    log.write(batch_size=2)
    before = path.read_bytes()
    log.add(report(1), now=1.0)
    real, soft_limit = path.open, len(before) + 20
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda self, mode: HalfWritten(real(mode), soft_limit))
        attempt(said.append, lambda: log.write(batch_size=2))
    assert said == [f"{path} was not written (No space left on device); the run goes on"]
    assert path.read_bytes() == before
    log.add(report(2), now=2.0)
    log.write(batch_size=2)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["step"], second["step"], second["images_per_s"]) == (1, 3, 2.0)


class HalfWritten:
    """A file on a disk that is full after `size` bytes: what fits is written."""

    def __init__(self, file: Any, size: int) -> None:
        self.file, self.size = file, size

    def __enter__(self) -> "HalfWritten":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> None:
        self.file.write(data[: self.size - self.file.tell()])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_figures_that_are_not_finite_are_null_in_the_log(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl", 0, dims=4)
    log.add(report(0, float("nan")), now=0.0)
    log.write(batch_size=2)
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert line["nats_per_image"] is None
    assert line["rate"] == 1
