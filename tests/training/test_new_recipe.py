"""From a folder of pictures to a recipe, and with a handful of steps to a bundle that decodes."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from PIL import Image

from model_zoo.bundle import Bundle, open_bundle
from training.__main__ import main
from training.data.survey import Survey, survey
from training.estimate import estimate
from training.new_recipe import (
    MOST_EPOCHS,
    WIDTHS,
    Machine,
    as_yaml,
    held_out,
    image_size,
    measure,
    propose,
    values_of,
)
from training.recipe import RecipeError, load_recipe, parse_recipe

FAST = Machine(flops=1e11, precision="float32", memory=8 << 30)
SLOW = FAST._replace(flops=1e9)


def found(count: int = 5000, side: int = 32, channels: int = 3, *, one_size: bool = True) -> Survey:
    return Survey(Path("/pictures"), count, (side, side, side), one_size, channels, 120.0, 60.0, ())


@pytest.fixture(autouse=True, scope="module")
def remembered_estimates() -> Iterator[None]:
    """Several tests look at the same designs, and an estimate takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.new_recipe.estimate", cache(estimate))
        yield


def write_pictures(folder: Path, sizes: list[tuple[int, int]], mode: str, suffix: str = "png") -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    for index, (width, height) in enumerate(sizes):
        shape = (height, width) if mode == "L" else (height, width, 3)
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(folder / f"{index:02}.{suffix}")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Small grey ones, 64x64 ones in colour, and mixed sizes of which one is broken."""
    write_pictures(tmp_path / "grey", [(28, 28)] * 12, "L")
    write_pictures(tmp_path / "colour", [(64, 64)] * 12, "RGB")
    write_pictures(tmp_path / "Mixed pictures", [(40 + 3 * k, 70 - 2 * k) for k in range(12)], "RGB", "jpg")
    broken = tmp_path / "Mixed pictures" / "broken.png"
    broken.write_bytes((tmp_path / "colour" / "00.png").read_bytes()[:500])
    return tmp_path


@pytest.mark.parametrize(("folder", "shape"), [("grey", (28, 1)), ("colour", (64, 3)), ("Mixed pictures", (32, 3))])
def test_a_folder_becomes_a_recipe_a_run_and_a_bundle_that_decodes(
    folders: Path, folder: str, shape: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run, device = folders / "own.yaml", folders / "run", ["--device", "cpu", "--threads", "1"]
    assert main(["new-recipe", "--data", str(folders / folder), "--out", str(recipe), "--minutes", "1", *device]) == 0
    said = capsys.readouterr().out
    assert "12 pictures" in said
    assert ("truncated or damaged: 1 (broken.png)" in said) == (folder == "Mixed pictures")
    proposed = load_recipe(str(recipe))
    assert (proposed.model.image_size, proposed.model.image_channels) == shape
    assert proposed.name == folder.lower().replace(" ", "-")
    assert main(["train", str(recipe), "--run", str(run), "--set", "schedule.steps=3", *device]) == 0
    assert main(["export", str(run), "--out", str(folders / "bundles"), "--half", "--examples", "1", *device]) == 0
    assert decoded(open_bundle(folders / "bundles" / proposed.name)) == (2, shape[0], shape[0])


def decoded(bundle: Bundle) -> tuple[int, ...]:
    """Batch, height and width of what the bundle's decoder makes of noise; its parameters are finite."""
    levels = bundle.manifest.levels
    size = sum(level.channels * level.height * level.width for level in levels)
    session = onnxruntime.InferenceSession(bundle.decoder, providers=["CPUExecutionProvider"])
    inputs = {
        "noise": np.random.default_rng(0).standard_normal((2, size), np.float32),
        "given": np.zeros((2, size), np.float32),
        "keep": np.zeros((2, size), np.bool_),
        "temperature": np.ones((2, len(levels)), np.float32),
    }
    likelihood = np.asarray(session.run(["likelihood"], inputs)[0])
    assert np.isfinite(likelihood).all()
    return (likelihood.shape[0], *likelihood.shape[2:])


def test_a_survey_tells_what_the_pictures_have_in_common(folders: Path) -> None:
    grey, colour, mixed = (survey(folders / name) for name in ("grey", "colour", "Mixed pictures"))
    assert (grey.count, grey.shorter_sides, grey.one_size, grey.channels) == (12, (28, 28, 28), True, 1)
    assert (colour.count, colour.shorter_sides, colour.one_size, colour.channels) == (12, (64, 64, 64), True, 3)
    assert (mixed.count, mixed.one_size, mixed.channels) == (12, False, 3)
    assert mixed.shorter_sides == (40, 51, 58)
    assert mixed.skipped == (("broken.png", "truncated or damaged"),)
    assert grey.mean == pytest.approx(127.5, abs=3)


def test_grey_pictures_saved_in_colour_are_grey(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (90, 90, 90)).save(tmp_path / "a.png")
    assert survey(tmp_path).channels == 1
    Image.new("RGB", (16, 16), (90, 91, 90)).save(tmp_path / "b.png")
    assert survey(tmp_path).channels == 3


@pytest.mark.parametrize(
    ("side", "one_size", "expected"),
    [(28, True, (28, 2)), (32, True, (32, 0)), (60, True, (60, 2)), (28, False, (16, 0)), (50, True, (32, 0)),
     (500, True, (128, 0)), (9, False, (16, 0)), (31, True, (16, 0))],
)  # fmt: skip
def test_the_size_is_the_pictures_own_or_a_power_of_two_below_it(
    side: int, one_size: bool, expected: tuple[int, int]
) -> None:
    size, pad = image_size(found(side=side, one_size=one_size))
    assert (size, pad) == expected
    assert (size + 2 * pad).bit_count() == 1


@pytest.mark.parametrize("side", [9, 16, 28, 32, 64, 100, 128, 900])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_design_is_a_recipe(side: int, channels: int) -> None:
    pictures = found(side=side, channels=channels)
    for design in WIDTHS:
        parse_recipe(values_of(pictures, "own", design, "float32"), "own")


def test_more_time_or_a_faster_machine_gives_a_richer_model_within_the_time() -> None:
    short, long = (propose(found(20_000), "own", minutes, FAST) for minutes in (10, 200))
    slow = propose(found(20_000), "own", 10, SLOW)
    assert slow.cost.parameters < short.cost.parameters < long.cost.parameters
    for proposal, minutes in ((short, 10), (long, 200), (slow, 10)):
        assert proposal.minutes <= minutes


def test_few_pictures_get_few_weights_and_are_not_learned_by_heart() -> None:
    proposal = propose(found(500, side=16), "own", 1000, FAST)
    values_seen = (500 - held_out(500)) * 16 * 16 * 3
    assert proposal.cost.parameters <= values_seen
    assert proposal.epochs <= MOST_EPOCHS


def test_a_model_fits_the_memory_or_the_reason_is_given() -> None:
    rich, poor = (propose(found(20_000), "own", 500, FAST._replace(memory=m << 20)) for m in (8000, 500))
    assert poor.cost.training_memory < 250 << 20 < rich.cost.training_memory
    with pytest.raises(RecipeError, match="not even the smallest model fits into 1 MiB of free memory"):
        propose(found(20_000), "own", 10, FAST._replace(memory=1 << 20))


def test_the_file_says_why_and_reads_back_as_the_proposal() -> None:
    pictures = found(20_000)
    proposal = propose(pictures, "own", 10, FAST)
    text = as_yaml(proposal, pictures, FAST, "a machine")
    assert yaml.safe_load(text) == proposal.values
    assert "# 20,000 pictures, colour, 32x32. One in ten" in text
    assert max(len(line) for line in text.splitlines() if line.startswith("#")) <= 120


def test_the_rate_is_measured_with_the_clock_that_is_passed_in() -> None:
    ticks = iter([0.0, 4.0, 0.0, 2.0])  # float32 takes 4 s, bfloat16 takes 2 s
    machine = measure(found(side=16, channels=1), "own", torch.device("cpu"), lambda: next(ticks))
    assert machine.precision == "bfloat16"
    assert machine.memory > 1 << 20


def test_a_folder_without_pictures_too_few_and_a_file_in_the_way_are_said(
    tmp_path: Path, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no picture")
    assert main(["new-recipe", "--data", str(empty), "--out", str(tmp_path / "a.yaml")]) == 1
    assert "holds no picture that can be read. notes.txt: no picture that Pillow can read" in capsys.readouterr().err
    Image.new("L", (16, 16)).save(empty / "one.png")
    assert main(["new-recipe", "--data", str(empty), "--out", str(tmp_path / "a.yaml")]) == 1
    assert "1 pictures are too few to learn from; give at least 8" in capsys.readouterr().err
    (tmp_path / "a.yaml").write_text("mine")
    assert main(["new-recipe", "--data", str(folders / "grey"), "--out", str(tmp_path / "a.yaml")]) == 1
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "a.yaml").read_text() == "mine"
