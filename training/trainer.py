"""The training loop's state and its step. Files, bars and signals are the business of `training.run`.

Everything a step depends on is in `state()`, so a resumed run repeats the uninterrupted one to the last bit on the
CPU: weights, moving average, optimiser, the generator of the posterior's noise, and the step, of which the batch,
the learning rate and the weight of the rate are functions.

Several processes make one step together (`training.distributed`): each draws the noise of the whole batch and takes
its rows of it, and they exchange means, so that all of them come to the same gradient, decision and weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training import distributed
from training.activations import checkpoint_activations
from training.data.batches import Batches
from training.data.images import Images
from training.latents import standard_noise
from training.models.contract import HierarchicalVAE
from training.models.families import build
from training.norms import NormPenalty
from training.objective import Loss
from training.recipe import Recipe, parse_recipe
from training.schedule import ema_rate, kl_weight, learning_rate, penalty_weight, skip_update

MAX_BROKEN_STEPS = 50


class DivergenceError(Exception):
    """The loss stayed non-finite; the last checkpoint is from before."""


@dataclass(frozen=True)
class Report:
    """What one step did. Nats are per image, means over the batch."""

    step: int
    nats: float
    distortion: float
    rates: list[float]  # by level, from the top
    gradient_norm: float
    learning_rate: float
    skipped: bool

    @property
    def rate(self) -> float:
        return sum(self.rates)

    @property
    def finite(self) -> bool:
        return math.isfinite(self.nats) and math.isfinite(self.gradient_norm)


class Trainer:
    """Trains the model of a recipe on `images`, uint8 [n, H, W, C]."""

    def __init__(self, recipe: Recipe, images: Images, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)  # the initial weights; nothing later draws from the global generator
        self.recipe, self.device = recipe, device
        self.likelihood = recipe.model.likelihood
        self.dims = math.prod(images.shape[1:])
        self.model = build(recipe.model).to(device)
        if recipe.schedule.channels_last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.schedule.checkpoint_activations:
            checkpoint_activations(self.model)
        self.ema = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.penalty = NormPenalty(self.model) if recipe.objective.norm_penalty else None
        self.optimiser = make_optimiser(recipe, self.model)
        self.statistics = Statistics(self.model, self.penalty)
        self.generator = torch.Generator(device).manual_seed(recipe.seed)
        data = recipe.data
        self.batches = Batches(images, recipe.schedule.batch_size, recipe.seed, data.flips, data.binarise)
        self.rows = distributed.own_rows(recipe.schedule.batch_size)
        self.step_number = 0
        self.updates = 0
        self.skips_in_a_row = 0
        self.broken_in_a_row = 0
        loss = distributed.averaging_gradients(Loss(self.model, recipe.objective))
        self.loss = torch.compile(loss) if recipe.schedule.compile else loss

    def step(self) -> Report:
        """One update. Raises DivergenceError after many non-finite losses in a row."""
        recipe, step = self.recipe, self.step_number
        image = self.load_batch(step)
        noise = standard_noise(self.model.shapes, recipe.schedule.batch_size, self.generator)
        noise = [eps[self.rows] for eps in noise]
        self.statistics.remember()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.schedule.precision == "bfloat16"):
            loss, terms = self.loss(image, noise, kl_weight(step, recipe.schedule))
            if self.penalty is not None:
                loss = loss + penalty_weight(step, recipe) * self.penalty()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm_now = nn.utils.clip_grad_norm_(self.model.parameters(), recipe.optimiser.clip_norm)
        means = torch.stack([loss.detach(), terms.distortion.detach().mean(), *terms.rates.detach().mean(dim=0)])
        # The one moment of a step in which the host waits for the device.
        norm, loss_value, distortion, *rates = torch.cat([norm_now[None], distributed.mean(means)]).tolist()
        rate = learning_rate(step, recipe.optimiser.lr, recipe.schedule)
        skipped = skip_update(norm, loss_value, step, self.skips_in_a_row, recipe.optimiser)
        if not skipped:
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            self.optimiser.step()
            self._average()
        else:
            self.statistics.restore()
        self.skips_in_a_row = self.skips_in_a_row + 1 if skipped else 0
        self.broken_in_a_row = 0 if math.isfinite(norm) and math.isfinite(loss_value) else self.broken_in_a_row + 1
        if self.broken_in_a_row >= MAX_BROKEN_STEPS:
            raise DivergenceError(
                f"the loss was not finite for {MAX_BROKEN_STEPS} steps in a row, up to step {step}; "
                "resume from the last checkpoint with a lower optimiser.lr or optimiser.clip_norm"
            )
        self.step_number += 1
        return Report(step, distortion + sum(rates), distortion, rates, norm, rate, skipped)

    def load_batch(self, step: int) -> Tensor:
        """What the model sees in step number `step`, on the device, [B, C, H, W]: this process's rows of the batch."""
        batch = torch.from_numpy(self.batches.batch(step)[self.rows]).to(self.device)
        image = self.likelihood.observe(batch)
        return image.contiguous(memory_format=torch.channels_last) if self.recipe.schedule.channels_last else image

    @torch.no_grad()
    def _average(self) -> None:
        """ema <- rate * ema + (1 - rate) * weights, after every update that was made."""
        rate = ema_rate(self.updates, self.recipe.schedule.ema)
        current = self.model.state_dict()
        numbers = [name for name, tensor in current.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.ema[name] for name in numbers], [current[name] for name in numbers], 1 - rate)
        for name in current.keys() - set(numbers):  # counters of batch norm
            self.ema[name].copy_(current[name])
        self.updates += 1

    def remaining(self) -> Iterator[int]:
        """The steps still to make, for progress bars."""
        return iter(range(self.step_number, self.recipe.schedule.steps))

    def state(self) -> dict[str, Any]:
        """Everything needed to continue; tensors and plain values only."""
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "step": self.step_number,
            "updates": self.updates,
            "skips_in_a_row": self.skips_in_a_row,
            "broken_in_a_row": self.broken_in_a_row,
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "penalty": {} if self.penalty is None else self.penalty.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state()` of an earlier run of the same recipe (its schedule may be longer)."""
        self.model.load_state_dict(state["model"])
        self.ema = {name: state["ema"][name].to(self.device) for name in self.ema}
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())
        if self.penalty is not None:
            self.penalty.load_state_dict(state["penalty"])
        self.step_number = state["step"]
        self.updates = state["updates"]
        self.skips_in_a_row = state["skips_in_a_row"]
        self.broken_in_a_row = state["broken_in_a_row"]


class Statistics:
    """What a forward pass changes besides the loss: running statistics of batch norm, vectors of power iterations.

    A skipped step leaves no trace in them either, or one poisoned batch would be in the checkpoint for good.
    """

    def __init__(self, *modules: nn.Module | None) -> None:
        self.now = [buffer for module in modules if module is not None for buffer in module.buffers()]
        self.before = [buffer.clone() for buffer in self.now]

    @torch.no_grad()
    def remember(self) -> None:
        if self.now:
            torch._foreach_copy_(self.before, self.now)

    @torch.no_grad()
    def restore(self) -> None:
        if self.now:
            torch._foreach_copy_(self.now, self.before)


def make_optimiser(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW as in VDVAE, Adamax as in NVAE and LVAE."""
    options = recipe.optimiser
    arguments: dict[str, Any] = {
        "lr": options.lr, "betas": options.betas, "eps": options.eps, "weight_decay": options.weight_decay
    }  # fmt: skip
    if options.name == "adamax":
        return torch.optim.Adamax(model.parameters(), **arguments)
    return torch.optim.AdamW(model.parameters(), **arguments, fused=True)  # one kernel, not hundreds of small ones


def model_from_checkpoint(state: dict[str, Any], *, ema: bool = True) -> tuple[Recipe, HierarchicalVAE]:
    """The recipe of a checkpoint and its model with averaged (or raw) weights, in evaluation mode."""
    recipe = parse_recipe(state["recipe"], "recipe in the checkpoint")
    model = build(recipe.model)
    model.load_state_dict(state["ema" if ema else "model"])
    return recipe, model.eval()
