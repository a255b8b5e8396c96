"""Checkpoints: whole or absent, finite, and never executed."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from training.checkpoint import CheckpointError, SaveError, load_checkpoint, save_checkpoint


def state(value: float = 1.0) -> dict[str, Any]:
    weights = {"weight": torch.full((3,), value), "bias": torch.zeros(1)}
    return {"model": weights, "ema": {name: tensor.clone() for name, tensor in weights.items()}, "step": 7}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, state())
    return path


def test_what_was_saved_is_loaded_from_the_file_or_its_folder(checkpoint: Path) -> None:
    for place in (checkpoint, checkpoint.parent):
        loaded = load_checkpoint(place)
        assert loaded["step"] == 7
        assert torch.equal(loaded["model"]["weight"], torch.ones(3))


@pytest.mark.parametrize("part", ["model", "ema"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_and_the_old_file_stays(
    checkpoint: Path, part: str, value: float
) -> None:
    broken = state(2.0)
    broken[part]["bias"][0] = value
    with pytest.raises(CheckpointError, match=rf"{part}\.bias is not finite"):
        save_checkpoint(checkpoint, broken)
    assert torch.equal(load_checkpoint(checkpoint)["model"]["weight"], torch.ones(3))


def test_a_crash_while_writing_leaves_the_old_file(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(state: object, file: Any) -> None:
        file.write(b"half a checkpoint")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(SaveError, match="disk full"):
        save_checkpoint(checkpoint, state(2.0))
    assert torch.equal(load_checkpoint(checkpoint)["model"]["weight"], torch.ones(3))
    assert list(checkpoint.parent.iterdir()) == [checkpoint], "half a file would fill the disk for good"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, the full disk of Linux")
@pytest.mark.parametrize("first", [True, False])
def test_a_full_disk_is_one_clear_line_and_leaves_the_old_file(tmp_path: Path, first: bool) -> None:
    path = tmp_path / "checkpoint.pt"
    if not first:
        save_checkpoint(path, state())
    path.with_suffix(".tmp").symlink_to("/dev/full")
    kept = "does not exist yet" if first else "keeps the one before"
    with pytest.raises(SaveError) as caught:
        save_checkpoint(path, state(2.0))
    assert str(caught.value) == f"the state of step 7 was not saved (No space left on device): {path} {kept}"
    assert path.exists() is not first
    save_checkpoint(path, state(2.0))
    assert torch.equal(load_checkpoint(path)["model"]["weight"], torch.full((3,), 2.0)), "and the next one succeeds"


def test_nothing_but_the_checkpoint_is_left_behind(checkpoint: Path) -> None:
    save_checkpoint(checkpoint, state(2.0))
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


class Malicious:
    """Unpickling it creates a file: any other code would do as well."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_pickled_code_is_refused_and_not_executed(tmp_path: Path, form: str) -> None:
    target, path = tmp_path / "executed", tmp_path / "checkpoint.pt"
    payload = {"format": "strata-checkpoint-1", "model": Malicious(target)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(payload, protocol=2))
    else:
        torch.save(payload, path)
    with pytest.raises(CheckpointError, match="checkpoint.pt is damaged"):
        load_checkpoint(path)
    assert not target.exists()
    torch.load(path, weights_only=False) if form == "torch" else pickle.loads(path.read_bytes())
    assert target.exists(), "the payload would have worked"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_files_are_refused(checkpoint: Path, share: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="checkpoint.pt is damaged"):
        load_checkpoint(checkpoint)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at .*nowhere"):
        load_checkpoint(tmp_path / "nowhere")


def test_other_files_of_tensors_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "published.th"
    torch.save({"decoder.gain": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="python -m training import"):
        load_checkpoint(path)
