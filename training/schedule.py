"""What depends on the step alone, and when an update is skipped: small functions, so that resuming needs no state."""

from __future__ import annotations

import math

from training.recipe import Optimiser, Recipe, Schedule


def learning_rate(step: int, base: float, schedule: Schedule) -> float:
    """Linear warm-up from 0 (the published first step has rate 0), then constant or a cosine to 0."""
    warm = min(1.0, step / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    if schedule.decay == "constant":
        return base * warm
    return base * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / schedule.steps)))


def kl_weight(step: int, schedule: Schedule) -> float:
    """Weight of the rate in the loss: linear warm-up from 0 to 1 (Sønderby et al. 2016), or 1 throughout."""
    return min(1.0, (step + 1) / schedule.kl_warmup_steps) if schedule.kl_warmup_steps else 1.0


def penalty_weight(step: int, recipe: Recipe) -> float:
    """Weight of the norm penalty: `norm_penalty`, reached from `norm_penalty_start` geometrically in the KL warm-up.

    As published for NVAE: log lambda = (1 - k) log lambda_0 + k log lambda, k the weight of the rate.
    """
    final, first = recipe.objective.norm_penalty, recipe.objective.norm_penalty_start
    if first is None:
        return final
    k = kl_weight(step, recipe.schedule)
    return math.exp((1 - k) * math.log(first) + k * math.log(final))


def ema_rate(updates: int, rate: float) -> float:
    """Rate of the moving average after `updates` updates: it grows to `rate`, so that the start is soon forgotten."""
    return min(rate, (1 + updates) / (10 + updates))


def skip_update(norm: float, loss: float, step: int, skips_in_a_row: int, optimiser: Optimiser) -> bool:
    """Whether this step's update is left out.

    Never use a gradient that is not finite. A large but finite one is skipped as published, but not for ever:
    with a threshold below the usual norm the published rule never makes another update (openai/vdvae#25). After
    `max_skips` skips in a row the update is made all the same; it is clipped, so it can do little harm.
    """
    if not (math.isfinite(norm) and math.isfinite(loss)):
        return True
    if optimiser.skip_norm is None or step < optimiser.skip_after or skips_in_a_row >= optimiser.max_skips:
        return False
    return norm >= optimiser.skip_norm
