"""Blocks that are computed again: the same step to 1e-6, with less kept in between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_families import FAMILIES
from tiny_recipe import tiny_values
from torch import nn

from training.activations import checkpointed
from training.estimate import estimate
from training.recipe import Recipe, load_recipe, parse_recipe
from training.trainer import Trainer


def trained(family: str, images: NDArray[np.uint8], **changes: Any) -> Trainer:
    recipe = parse_recipe(tiny_values(**changes) | {"model": FAMILIES[family]}, family)
    trainer = Trainer(recipe, images, torch.device("cpu"))
    for _ in range(3):
        trainer.step()
    return trainer


@pytest.mark.parametrize("family", ["vdvae", "nvae", "lvae-conv"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradients_weights_and_statistics_are_the_same_to_1e_6(
    family: str, precision: str, images: NDArray[np.uint8]
) -> None:
    plain = trained(family, images, precision=precision)
    again = trained(family, images, precision=precision, checkpoint_activations=True)
    assert checkpointed(again.model)
    for (name, one), two in zip(plain.model.named_parameters(), again.model.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(two.grad, one.grad, rtol=1e-6, atol=1e-6, msg=name)
    torch.testing.assert_close(again.model.state_dict(), plain.model.state_dict(), rtol=1e-6, atol=1e-6)


def test_what_lies_inside_a_block_is_computed_twice_in_training_and_once_in_evaluation(
    images: NDArray[np.uint8],
) -> None:
    trainer = trained("nvae", images, checkpoint_activations=True)
    calls: list[nn.Module] = []
    inside = next(module for module in checkpointed(trainer.model)[0].modules() if isinstance(module, nn.BatchNorm2d))
    inside.register_forward_hook(lambda module, *_: calls.append(module))
    trainer.step()
    assert len(calls) == 2
    with torch.no_grad():
        trainer.model.eval().bottom_up(torch.zeros(1, 1, 8, 8))
    assert len(calls) == 3


@pytest.mark.parametrize("name", ["vdvae-cifar10", "nvae-mnist-small"])
def test_the_estimate_says_what_is_saved_and_what_it_costs(name: str) -> None:
    def cost(option: str) -> Any:
        recipe: Recipe = load_recipe(name, [f"schedule.checkpoint_activations={option}"])
        return estimate(recipe)

    plain, again = cost("false"), cost("true")
    assert again.activations < 0.7 * plain.activations
    assert 1.1 * plain.step_flops < again.step_flops < 1.4 * plain.step_flops
    assert (again.parameters, again.decoder_flops) == (plain.parameters, plain.decoder_flops)
