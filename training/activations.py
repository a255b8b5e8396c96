"""Activation checkpointing: a block keeps its input only, and computes what lies inside it again on the way back.

Memory for time: about a third more arithmetic, and of a deep network's activations what lies between its blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from training.models.contract import HierarchicalVAE


def checkpointed(model: HierarchicalVAE) -> list[nn.Module]:
    """The blocks that can be computed again, none of them inside another."""
    return [module for module in model.modules() if isinstance(module, model.blocks)]


def checkpoint_activations(model: HierarchicalVAE) -> None:
    """From now on the blocks of `model` forget what is inside them, in training; names of weights stay as they are."""
    for block in checkpointed(model):
        block.forward = partial(_forward, block, block.forward)


def _forward(block: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if not block.training:
        return forward(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), statistics_kept(block)

    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def statistics_kept(block: nn.Module) -> Iterator[None]:
    """The batch norms in it do not count the same images a second time."""
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:  # torch leaves the block as soon as it has what it needs
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
