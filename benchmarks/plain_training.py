"""A training loop as somebody would write it by hand: what the trainer's step is measured against.

Float batches from a DataLoader, float32, eager, torch's optimiser as it comes, a loop over the tensors for the moving
average, `.item()` for the log in every step. The model, the batches, the noise and the mathematics are the trainer's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from training.data.batches import Batches
from training.data.images import Images
from training.latents import standard_noise
from training.models.families import build
from training.objective import weighted_rate
from training.recipe import Recipe
from training.schedule import ema_rate, kl_weight, learning_rate


class FloatBatches(Dataset[Tensor]):
    """The batches of a recipe as a data set: item k is batch k, float [B, C, H, W] in 0..255."""

    def __init__(self, recipe: Recipe, images: Images) -> None:
        data = recipe.data
        self.batches = Batches(images, recipe.schedule.batch_size, recipe.seed, data.flips, data.binarise)
        self.steps = recipe.schedule.steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Tensor:
        return torch.from_numpy(self.batches.batch(step)).permute(0, 3, 1, 2).float()


class PlainLoop:
    """Trains the model of a recipe; the norm penalty and skipped updates, which no CPU recipe needs, are left out."""

    def __init__(self, recipe: Recipe, images: Images) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.model = build(recipe.model)
        self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        options = recipe.optimiser
        make = torch.optim.Adamax if options.name == "adamax" else torch.optim.AdamW
        self.optimiser = make(
            self.model.parameters(), lr=options.lr, betas=options.betas, eps=options.eps,
            weight_decay=options.weight_decay
        )  # fmt: skip
        self.loader = iter(DataLoader(FloatBatches(recipe, images), batch_size=None))
        self.generator = torch.Generator().manual_seed(recipe.seed)
        dims = math.prod(images.shape[1:])
        self.unit = dims if recipe.objective.unit == "nats/dim" else 1
        self.step_number = 0

    def step(self) -> float:
        """One update; the negative ELBO of the batch in nats."""
        recipe, schedule, step = self.recipe, self.recipe.schedule, self.step_number
        image = next(self.loader)
        noise = standard_noise(self.model.shapes, len(image), self.generator)
        parameters, levels = self.model.encode(image, noise)
        distortion = recipe.model.likelihood.nats(parameters, image)
        rates = torch.stack([level.kl.sum(dim=(1, 2, 3)) for level in levels], dim=1)
        rate = weighted_rate(rates, kl_weight(step, schedule), recipe.objective, self.model.shapes)
        loss = (distortion + rate).mean() / self.unit
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), recipe.optimiser.clip_norm)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, recipe.optimiser.lr, schedule)
        self.optimiser.step()
        keep = ema_rate(step, schedule.ema)
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                average = self.average[name]
                if tensor.is_floating_point():
                    average.mul_(keep).add_(tensor, alpha=1 - keep)
                else:
                    average.copy_(tensor)
        self.step_number += 1
        self.logged = [loss.item(), *(rates[:, level].mean().item() for level in range(len(levels)))]
        return float(distortion.mean().item() + sum(self.logged[1:]))
