"""Checkpoints of a run: one file, replaced atomically, loaded without executing pickled code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

CHECKPOINT_NAME = "checkpoint.pt"
FORMAT = "strata-checkpoint-1"


class CheckpointError(Exception):
    """A checkpoint that cannot be written or read; the message says which and why."""


class SaveError(CheckpointError):
    """The disk did not take it (it is full, or gone); the checkpoint before it is untouched."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) so that at every moment `path` is a whole checkpoint or absent.

    Raises CheckpointError if any weight is not finite, SaveError if the disk does not take it; both leave the old
    file alone, and nothing of the new one.
    """
    for part in ("model", "ema"):
        for name, tensor in state[part].items():
            if not torch.isfinite(tensor).all():
                raise CheckpointError(f"{part}.{name} is not finite; {path} keeps its last good state")
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch's zip writer makes a RuntimeError of a failed write
        temporary.unlink(missing_ok=True)  # half a file, on a disk that may be full
        raise SaveError(
            f"the state of step {state['step']} was not saved ({_reason(error)}): {path} "
            + ("keeps the one before" if path.exists() else "does not exist yet")
        ) from error


def _reason(error: BaseException) -> str:
    """What the operating system said, also if torch wrapped it in something of its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return str((cause.strerror if cause else None) or error)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint of Strata; a run's folder stands for the checkpoint in it. Raises CheckpointError."""
    path = path / CHECKPOINT_NAME if path.is_dir() else path
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises whatever its zip and pickle readers raise
        raise CheckpointError(f"{path} is damaged, or no checkpoint of tensors and plain values: {error}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of Strata ({FORMAT}); published ones go through `python -m training import`"
        )
    return state
