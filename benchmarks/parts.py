"""A run's checkpoint reduced to what is worth carrying away: the averaged weights in half precision, in parts.

A checkpoint holds the weights four times over in float32 (weights, average, two moments of the optimiser), and some
ways home take small files only. The parts in order, `cat NAME.pt.* > NAME.pt`, are again a checkpoint of Strata:
`python -m training evaluate|export` read it, a run cannot continue from it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from training.checkpoint import FORMAT

PART = 15 * 2**20  # bytes
ABOUT = ("recipe", "step", "updates", "wall_time_s", "commit", "hardware")


def reduced(state: dict[str, Any]) -> dict[str, Any]:
    """What `evaluate` and `export` need of a checkpoint, its averaged weights in float16."""
    average = {name: tensor.half() for name, tensor in state["ema"].items()}
    return {"format": FORMAT, "ema": average, **{name: state[name] for name in ABOUT}}


def write_parts(state: dict[str, Any], folder: Path, name: str, size: int = PART) -> list[Path]:
    """Write `state` as NAME.pt.00, NAME.pt.01, ... of at most `size` bytes, in place of an earlier set."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    for old in folder.glob(f"{name}.pt.*"):
        old.unlink()
    paths: list[Path] = []
    for start in range(0, len(content), size):
        path = folder / f"{name}.pt.{len(paths):02d}"
        path.write_bytes(content[start : start + size])
        paths.append(path)
    return paths
