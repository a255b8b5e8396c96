"""`python -m benchmarks.training_cpu`: both loops compute the same, so their speed may be compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import plain_training, training_cpu
from benchmarks.training_cpu import Report, curves, furthest_apart, markdown
from training.recipe import load_recipe
from training.schedule import learning_rate


@pytest.mark.parametrize("name", training_cpu.RECIPES)
def test_in_float32_the_losses_of_trainer_and_plain_loop_agree_to_1e_4_over_20_steps(name: str) -> None:
    """The learning rate is at its height after five steps, so that the weights move."""
    recipe = load_recipe(name, ["schedule.batch_size=16", "schedule.warmup_steps=5", "schedule.kl_warmup_steps=10"])
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
    assert furthest_apart(recipe, images, steps=20) < 1e-4


def test_a_loop_that_computed_something_else_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("nvae-mnist-small", ["schedule.batch_size=4", "schedule.warmup_steps=2"])
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1), np.uint8)
    monkeypatch.setattr(plain_training, "learning_rate", lambda *arguments: 1.01 * learning_rate(*arguments))
    assert furthest_apart(recipe, images, steps=5) > 1e-4


def test_curves_end_at_the_same_height() -> None:
    recipe = load_recipe("nvae-mnist-small", ["schedule.batch_size=4"])
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1), np.uint8)
    found = curves(recipe, images, steps=4)
    assert found.ours == pytest.approx(found.plain, rel=1e-4)
    assert found.spread > 0


def test_a_report_says_how_fast_how_close_and_how_long_data_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_cpu, "CLOSE_STEPS", 2)
    arguments = ["--recipes", "nvae-mnist-small", "--rounds", "1", "--threads", "1", "--curve-steps", "0", "--random"]
    assert training_cpu.main([*arguments, "--out", str(tmp_path)]) == 0
    report = Report.model_validate_json((tmp_path / "training-cpu.json").read_text(encoding="utf-8"))
    [comparison] = report.comparisons
    assert comparison.batch_size == 64
    assert comparison.speedup == pytest.approx(comparison.plain.seconds / comparison.ours.seconds)
    assert 0 < comparison.waiting < 1
    assert comparison.curves is None
    lines = markdown(report)
    assert any(line.startswith("| nvae-mnist-small | 64 |") for line in lines)
    assert (tmp_path / "training-cpu.md").read_text(encoding="utf-8") == "\n".join(lines) + "\n"
    assert "nvae-mnist-small" in capsys.readouterr().out
    assert json.loads((tmp_path / "training-cpu.json").read_text())["circumstances"]["command"].endswith(str(tmp_path))
