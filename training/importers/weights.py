"""Reading a published file of weights and loading it strictly: every tensor must have a place, and fit it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.models.contract import HierarchicalVAE

SHOWN = 6  # tensors of each kind of problem that a message names


class WeightsError(Exception):
    """A published checkpoint that cannot be used; the message names the tensors and their shapes."""


class Published(NamedTuple):
    """A model with published weights, and what the manifest says about them."""

    model: HierarchicalVAE
    family: str  # as its authors write it
    source: str
    licence: str
    notice: str = ""  # what whoever imports it must be told


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """A plain dictionary of tensors. Nothing but tensors is unpickled. Raises WeightsError."""
    if not path.is_file():
        raise WeightsError(f"no file {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its zip and pickle readers raise
        raise WeightsError(f"{path} is damaged, or holds more than tensors: {error}") from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(
            f"{path} is no plain dictionary of tensors, which is what the published *-model.th files are"
        )
    return state


def load_strict(model: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Copy `state` into `model`. Raises WeightsError listing tensors that are missing, left over or misshapen."""
    own = model.state_dict()
    kinds = (
        [
            f"{name} is {_shape(state[name])}, the configuration wants {_shape(own[name])}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ],
        [f"missing {name} {_shape(own[name])}" for name in own if name not in state],
        [f"no place for {name} {_shape(state[name])}" for name in state if name not in own],
    )
    count = sum(map(len, kinds))
    if count:
        shown = [line for kind in kinds for line in kind[:SHOWN]]
        rest = [f"and {count - len(shown)} more"] if count > len(shown) else []
        raise WeightsError("\n  ".join([f"{what} does not fit the configuration ({count} tensors):", *shown, *rest]))
    model.load_state_dict(state)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
