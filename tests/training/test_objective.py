"""What training pays for the rate: warm-up, free bits and balancing (and the bound itself, in test_contract)."""

import pytest
import torch
from torch import Tensor

from training.latents import LatentShape
from training.objective import balance, weighted_rate
from training.recipe import Objective

SHAPES = [LatentShape(2, 4, 4), LatentShape(2, 8, 8), LatentShape(2, 8, 8)]
RATES = torch.tensor([[1.0, 4.0, 0.2], [3.0, 4.0, 0.0]])


def paid(weight: float = 1.0, **objective: float | bool) -> Tensor:
    return weighted_rate(RATES, weight, Objective.model_validate(objective), SHAPES)


def test_without_options_the_rate_is_the_sum_over_levels() -> None:
    assert paid().tolist() == pytest.approx([5.2, 7.0])
    assert paid(weight=0.25).tolist() == pytest.approx([1.3, 1.75])


def test_below_its_free_bits_a_level_of_an_image_costs_the_same_whatever_it_says() -> None:
    assert paid(free_bits=0.5).tolist() == pytest.approx([5.5, 7.5])
    rates = RATES.clone().requires_grad_()
    weighted_rate(rates, 1.0, Objective(free_bits=0.5), SHAPES).sum().backward()
    assert rates.grad is not None
    assert rates.grad.tolist() == [[1, 1, 0], [1, 1, 0]], "so nothing is gained by saying less"


def test_balancing_charges_a_level_by_what_it_says_for_its_resolution() -> None:
    # Means 2, 4, 0.1, plus 0.01; resolution i may say 4^i / groups: 1 at the top, 2 for each of the two at 8x8.
    raw = torch.tensor([2.01, 4.01 / 2, 0.11 / 2])
    torch.testing.assert_close(balance(RATES, SHAPES), raw / raw.mean())
    assert float(balance(RATES, SHAPES).mean()) == pytest.approx(1)


def test_balancing_ends_with_the_warm_up_and_takes_no_gradient() -> None:
    assert torch.equal(paid(balance_kl=True), paid())
    rates = RATES.clone().requires_grad_()
    weighted_rate(rates, 0.5, Objective(balance_kl=True), SHAPES).sum().backward()
    assert rates.grad is not None
    torch.testing.assert_close(rates.grad, 0.5 * balance(RATES, SHAPES).expand(2, -1))
