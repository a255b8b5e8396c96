"""The page about a run: complete, also in the middle of a run, and it asks the network for nothing."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny_recipe import tiny_recipe

from training.__main__ import main
from training.checkpoint import save_checkpoint
from training.report import ReportError, page, read_log
from training.trainer import Trainer


def line(step: int, **changes: Any) -> dict[str, Any]:
    return {
        "step": step, "nats_per_image": 30.0, "rate": 10.0, "distortion": 20.0, "bits_per_dim": 0.6763,
        "rate_by_level": [1.0, 9.0, 0.001], "gradient_norm": 0.5, "learning_rate": 0.001, "skipped": 0,
        "images_per_s": 100.0,
    } | changes  # fmt: skip


def write_log(run: Path, *lines: dict[str, Any]) -> None:
    run.mkdir(exist_ok=True)
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def text(content: str) -> str:
    """What a reader sees of the page, without scripts and marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(script|style).*?</\1>", " ", content)))


def drawn(content: str) -> list[str]:
    """The names of all curves."""
    return re.findall(r'"name":"([^"]*)"', content)


def test_a_page_has_the_figures_the_curves_and_the_pictures(tmp_path: Path) -> None:
    write_log(tmp_path, line(50, skipped=2), line(100, skipped=1))
    (tmp_path / "pictures").mkdir()
    for step in (50, 100):
        Image.new("L", (4, 4), step).save(tmp_path / "pictures" / f"step-{step:07}.png")
    content = page(tmp_path)
    seen = text(content)
    assert "At step 100" in seen
    assert "30.00 nats/image" in seen
    assert "0.6763 bits/dim" in seen
    assert "levels above 0.01 nats 2 of 3" in seen
    assert "skipped steps 3" in seen
    assert {"rate", "distortion", "level 0", "level 1", "level 2", "norm", "skipped steps"} <= set(drawn(content))
    assert content.count('<img alt="contact sheet" src="data:image/png;base64,') == 2
    assert seen.index("step 100") < seen.index("step 50")


def test_a_page_is_complete_in_itself(tmp_path: Path) -> None:
    write_log(tmp_path, line(50))
    content = page(tmp_path)
    assert "Plotly.newPlot" in content
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"?(?!data:)", content) == []
    assert "prefers-color-scheme: dark" in content


def test_a_checkpoint_adds_recipe_time_and_hardware(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    trainer = Trainer(tiny_recipe(), images, torch.device("cpu"))
    about = {"wall_time_s": 600.0, "hardware": "an <old> machine", "commit": None}
    save_checkpoint(tmp_path / "checkpoint.pt", trainer.state() | about)
    write_log(tmp_path, line(50))
    content = page(tmp_path)
    assert "time 10 min" in text(content)
    assert "an &lt;old&gt; machine" in content, "what others wrote is text, not HTML"
    assert "enc_blocks: 8x1,8d2,4x1,4d4,1x1" in text(content)


def test_figures_that_were_not_finite_are_said(tmp_path: Path) -> None:
    write_log(tmp_path, line(50), line(100, nats_per_image=None, rate_by_level=[None, 1.0, 1.0]))
    assert "not finite nats/image" in text(page(tmp_path))


def test_half_a_line_is_not_read(tmp_path: Path) -> None:
    write_log(tmp_path, line(50))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 100, "nats')
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [50]


def test_of_many_pictures_some_are_shown_the_first_and_the_last_among_them(tmp_path: Path) -> None:
    write_log(tmp_path, line(50))
    (tmp_path / "pictures").mkdir()
    for step in range(1, 31):
        Image.new("L", (4, 4)).save(tmp_path / "pictures" / f"step-{step:07}.png")
    shown = [int(step) for step in re.findall(r"<figcaption>step (\d+)", page(tmp_path))]
    assert len(shown) == 8
    assert (shown[0], shown[-1]) == (30, 1)
    assert shown == sorted(shown, reverse=True)


def test_the_command_writes_into_the_run_or_where_it_is_told(tmp_path: Path) -> None:
    write_log(tmp_path, line(50))
    assert main(["report", str(tmp_path)]) == 0
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "page.html").is_file()


def test_a_folder_without_a_log_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 1
    assert "is it the folder of a run" in capsys.readouterr().err


def test_without_plotly_the_reason_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path, line(50))
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ReportError, match=r"pip install -c constraints\.txt -e '\.\[report\]'"):
        page(tmp_path)
