"""Training on a CUDA device does what training on the CPU does: `make gpu` runs these where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.data.images import Images
from training.models.vdvae import VDVAEConfig
from training.recipe import Recipe, load_recipe
from training.trainer import Trainer

pytestmark = pytest.mark.gpu
STEPS = 5


@pytest.fixture
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, and there is none")
    return torch.device("cuda")


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).integers(0, 256, (64, 28, 28, 1), np.uint8)


def recipe(*overrides: str) -> Recipe:
    """vdvae-mnist, small enough for a test."""
    found = load_recipe("vdvae-mnist", ["schedule.batch_size=16", "schedule.precision=float32", *overrides])
    small = {"width": 32, "custom_width_str": "", "enc_blocks": "16x1,16d4,4x1", "dec_blocks": "4x1,16m4"}
    return found.model_copy(update={"model": VDVAEConfig.model_validate(found.model.model_dump() | small)})


def losses(trainer: Trainer, steps: int = STEPS) -> list[float]:
    return [trainer.step().nats for _ in range(steps)]


def test_the_first_loss_is_that_of_the_cpu_but_for_the_noise(cuda: torch.device, images: Images) -> None:
    there, here = (Trainer(recipe(), images, device).step() for device in (cuda, torch.device("cpu")))
    assert there.nats == pytest.approx(here.nats, rel=0.02)  # same weights and images, other posterior noise


@pytest.mark.parametrize("compiled", [False, True])
def test_bfloat16_and_compilation_follow_float32(cuda: torch.device, images: Images, compiled: bool) -> None:
    fast = recipe(
        "schedule.precision=bfloat16", "schedule.channels_last=true", f"schedule.compile={str(compiled).lower()}"
    )
    expected = losses(Trainer(recipe(), images, cuda))
    assert losses(Trainer(fast, images, cuda)) == pytest.approx(expected, rel=0.05)


def test_a_resumed_run_goes_on_where_it_stopped(cuda: torch.device, images: Images) -> None:
    whole, first, second = (Trainer(recipe(), images, cuda) for _ in range(3))
    expected = losses(whole, 2 * STEPS)[STEPS:]
    losses(first)
    second.load(first.state())
    assert losses(second) == pytest.approx(expected, rel=1e-4)  # kernels may add up in another order
