"""Learning rate, weight of the rate, averaging and skipping, as functions of the step."""

import math

import pytest
from tiny_recipe import tiny_values

from training.recipe import Optimiser, Schedule, parse_recipe
from training.schedule import ema_rate, kl_weight, learning_rate, penalty_weight, skip_update


def schedule(**changes: object) -> Schedule:
    return Schedule.model_validate({"steps": 1000, "batch_size": 1, "warmup_steps": 100} | changes)


def test_learning_rate_warms_up_from_zero_and_stays() -> None:
    rates = [learning_rate(step, 2e-4, schedule()) for step in (0, 50, 100, 999)]
    assert rates == pytest.approx([0, 1e-4, 2e-4, 2e-4])


def test_cosine_ends_at_zero_and_never_comes_back() -> None:
    rates = [learning_rate(step, 1.0, schedule(decay="cosine", warmup_steps=0)) for step in (0, 500, 1000, 1500)]
    assert rates == pytest.approx([1, 0.5, 0, 0])


def test_weight_of_the_rate_grows_to_one() -> None:
    warm = schedule(kl_warmup_steps=10)
    assert [kl_weight(step, warm) for step in (0, 4, 9, 500)] == pytest.approx([0.1, 0.5, 1, 1])
    assert kl_weight(0, schedule()) == 1


def test_average_forgets_the_start_soon_and_then_keeps_its_rate() -> None:
    rates = [ema_rate(updates, 0.999) for updates in range(20_000)]
    assert rates[0] == pytest.approx(0.1)
    assert rates == sorted(rates)
    assert rates[-1] == 0.999


def options(**changes: object) -> Optimiser:
    return Optimiser.model_validate({"lr": 1e-3, "skip_norm": 400.0, "max_skips": 3} | changes)


@pytest.mark.parametrize(("norm", "skipped"), [(399.0, False), (400.0, True), (1e6, True)])
def test_large_gradients_are_skipped(norm: float, skipped: bool) -> None:
    assert skip_update(norm, 1.0, 5000, 0, options()) is skipped


@pytest.mark.parametrize(("norm", "loss"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, -math.inf)])
@pytest.mark.parametrize("skips_in_a_row", [0, 10_000])
def test_what_is_not_finite_is_always_skipped(norm: float, loss: float, skips_in_a_row: int) -> None:
    assert skip_update(norm, loss, 5000, skips_in_a_row, options(skip_norm=None))
    assert skip_update(norm, loss, 5000, skips_in_a_row, options())


def test_no_threshold_means_no_skipping() -> None:
    assert not skip_update(1e30, 1.0, 5000, 0, options(skip_norm=None))


def test_the_first_steps_are_not_skipped() -> None:
    assert not skip_update(1e6, 1.0, 499, 0, options(skip_after=500))
    assert skip_update(1e6, 1.0, 500, 0, options(skip_after=500))


def test_skipping_cannot_deadlock() -> None:
    """With every norm above the threshold the published rule never makes an update (openai/vdvae#25)."""
    skips, made = 0, 0
    for step in range(100):
        skipped = skip_update(1e6, 1.0, step, skips, options(max_skips=3))
        skips, made = (skips + 1, made) if skipped else (0, made + 1)
    assert made == 25, "one update after each three skips"


def test_weight_of_the_penalty_falls_geometrically_while_the_rate_warms_up() -> None:
    values = tiny_values(kl_warmup_steps=10) | {"objective": {"norm_penalty": 0.01, "norm_penalty_start": 1.0}}
    recipe = parse_recipe(values, "tiny")
    assert [penalty_weight(step, recipe) for step in (4, 9, 500)] == pytest.approx([0.1, 0.01, 0.01])
    constant = parse_recipe(values | {"objective": {"norm_penalty": 0.01}}, "tiny")
    assert penalty_weight(0, constant) == 0.01
