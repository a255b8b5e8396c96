"""Event files say what the log says. TensorBoard's own reader reads them back."""

import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny_recipe import tiny_recipe, write_idx

from training.events import Events, EventsError
from training.run import train

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def read(run: Path) -> Any:
    events = accumulator.EventAccumulator(str(run / "events"), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images: NDArray[np.uint8]) -> Path:
    """Stopped after 6 of 10 steps, and resumed."""
    folder = tmp_path_factory.mktemp("events")
    write_idx(folder / "data" / "tiny", images)
    for steps in (6, 10):
        recipe = tiny_recipe(steps=steps, picture_every=5)
        train(recipe, folder / "run", folder / "data", torch.device("cpu"), resume=steps == 10, tensorboard=True)
    return folder / "run"


def test_every_figure_of_the_log_is_there_at_its_step(run: Path) -> None:
    events, log = read(run), [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 11))
    for key in ("nats_per_image", "rate", "distortion", "bits_per_dim", "gradient_norm", "learning_rate", "skipped"):
        written = {event.step: event.value for event in events.Scalars(key)}
        assert written == {line["step"]: pytest.approx(line[key]) for line in log}, key
    for level in range(4):
        rates = [event.value for event in events.Scalars(f"rate_by_level/{level:03d}")]
        assert rates == pytest.approx([line["rate_by_level"][level] for line in log])
    active = [event.value for event in events.Scalars("active_levels")]
    assert active == [sum(rate > 0.01 for rate in line["rate_by_level"]) for line in log]


def test_samples_and_reconstructions_are_pictures(run: Path) -> None:
    events = read(run)
    for tag, rows in (("reconstructions", 2), ("samples", 3)):
        assert [event.step for event in events.Images(tag)] == [5, 10]
        with Image.open(BytesIO(events.Images(tag)[-1].encoded_image_string)) as picture:
            assert picture.size == (12 * 8, rows * 8)
    with Image.open(run / "pictures" / "step-0000010.png") as sheet:
        enlarged = np.asarray(sheet)
    with Image.open(BytesIO(events.Images("reconstructions")[-1].encoded_image_string)) as picture:
        assert np.array_equal(np.asarray(picture.convert("L")), enlarged[: 4 * 8 : 2, ::2])


def test_what_was_written_after_the_checkpoint_is_hidden(tmp_path: Path) -> None:
    """As of a process that was killed at step 4, and went on from 2."""
    line = {"rate_by_level": [0.5], "rate": 0.5, "images_per_s": None}
    for start, steps in ((0, range(1, 5)), (2, range(3, 6))):
        events = Events(tmp_path, start)
        for step in steps:
            events.figures(line | {"step": step, "rate": float(10 * start + step)})
        events.close()
    rates = {event.step: event.value for event in read(tmp_path).Scalars("rate")}
    assert rates == {1: 1, 2: 2, 3: 23, 4: 24, 5: 25}
    assert "images_per_s" not in read(tmp_path).Tags()["scalars"], "null is left out"


def test_without_tensorboard_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(EventsError, match=r"pip install .*\[tensorboard\]"):
        Events(tmp_path, 0)
