"""The training step: it learns, it repeats itself, and it never keeps what is not finite."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_families import FAMILIES
from tiny_recipe import tiny_recipe, tiny_values
from torch import Tensor

from training.checkpoint import save_checkpoint
from training.norms import NormPenalty
from training.objective import Bound
from training.recipe import Recipe, parse_recipe
from training.schedule import ema_rate
from training.trainer import MAX_BROKEN_STEPS, DivergenceError, Report, Trainer, model_from_checkpoint

CPU = torch.device("cpu")


def trainer_of(recipe: Recipe, images: NDArray[np.uint8]) -> Trainer:
    return Trainer(recipe, images, CPU)


def with_optimiser(**changes: Any) -> Recipe:
    values = tiny_values()
    return parse_recipe(values | {"optimiser": values["optimiser"] | changes}, "tiny")


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def test_a_few_images_are_learned_by_heart(images: NDArray[np.uint8]) -> None:
    trainer = trainer_of(tiny_recipe(steps=250), images[:4])
    reports = [trainer.step() for _ in trainer.remaining()]
    first, last = reports[0].nats, np.mean([report.nats for report in reports[-10:]])
    assert first == pytest.approx(64 * math.log(2), rel=0.2), "64 pixels, and nothing known about them"
    assert last < 8, "four images are told apart by log 4 = 1.4 nats"


def test_a_report_adds_up(images: NDArray[np.uint8]) -> None:
    report = trainer_of(tiny_recipe(), images).step()
    assert report.step == 0
    assert len(report.rates) == 4
    assert report.nats == pytest.approx(report.distortion + report.rate)
    assert report.learning_rate == 0, "the published warm-up begins with 0"


def test_a_loaded_trainer_repeats_the_original_to_the_last_bit(images: NDArray[np.uint8]) -> None:
    original = trainer_of(tiny_recipe(), images)
    for _ in range(5):
        original.step()
    again = trainer_of(tiny_recipe(), images)
    again.load(torch_copy(original.state()))
    assert [again.step() for _ in range(5)] == [original.step() for _ in range(5)]
    assert all(torch.equal(a, b) for a, b in zip(again.ema.values(), original.ema.values(), strict=True))


def torch_copy(value: Any) -> Any:
    """What a checkpoint does: nothing is shared with the original."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: torch_copy(item) for key, item in value.items()}
    return [torch_copy(item) for item in value] if isinstance(value, list) else value


def test_the_seed_decides(images: NDArray[np.uint8]) -> None:
    def nats(seed: int) -> float:
        return trainer_of(parse_recipe(tiny_values() | {"seed": seed}, "tiny"), images).step().nats

    assert nats(1) == nats(1)
    assert nats(1) != nats(2)


def test_the_average_follows_the_weights(images: NDArray[np.uint8]) -> None:
    trainer = trainer_of(tiny_recipe(ema=0.5), images)
    name = "decoder.out_net.out_conv.weight"
    expected = trainer.ema[name].clone()
    for updates in range(6):
        trainer.step()
        rate = ema_rate(updates, 0.5)
        expected = rate * expected + (1 - rate) * trainer.model.state_dict()[name]
    torch.testing.assert_close(trainer.ema[name], expected)


def break_losses(trainer: Trainer, value: float) -> None:
    whole = trainer.loss

    def broken(image: Tensor, noise: list[Tensor], weight: float) -> tuple[Tensor, Bound]:
        loss, terms = whole(image, noise, weight)
        return loss * value, terms

    trainer.loss = broken


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_changes_nothing(images: NDArray[np.uint8], value: float) -> None:
    trainer = trainer_of(tiny_recipe(), images)
    for _ in range(3):
        trainer.step()
    weights, average = weights_of(trainer), {name: tensor.clone() for name, tensor in trainer.ema.items()}
    healthy = trainer.loss
    break_losses(trainer, value)
    assert trainer.step().skipped
    assert all(torch.equal(weights[name], tensor) for name, tensor in trainer.model.state_dict().items())
    assert all(torch.equal(average[name], tensor) for name, tensor in trainer.ema.items())
    trainer.loss = healthy
    report = trainer.step()
    assert not report.skipped
    assert math.isfinite(report.nats)
    assert all(tensor.isfinite().all() for tensor in trainer.model.state_dict().values())


def poison(trainer: Trainer) -> None:
    """From now on every image is NaN in every pixel: the whole forward pass sees it, statistics included."""
    healthy = trainer.loss

    def poisoned(image: Tensor, noise: list[Tensor], weight: float) -> tuple[Tensor, Bound]:
        terms: tuple[Tensor, Bound] = healthy(image * math.nan, noise, weight)
        return terms

    trainer.loss = poisoned


@pytest.mark.parametrize("family", ["vdvae", "nvae", "lvae-conv", "lvae-dense"])
def test_a_poisoned_batch_leaves_no_trace_in_statistics_power_vectors_or_checkpoint(
    family: str, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    changes = {"model": FAMILIES[family], "objective": {"norm_penalty": 0.01}}
    trainer = trainer_of(parse_recipe(tiny_values() | changes, "tiny"), images)
    for _ in range(3):
        trainer.step()
    before = torch_copy({key: trainer.state()[key] for key in ("model", "ema", "optimiser", "penalty")})
    healthy = trainer.loss
    poison(trainer)
    report = trainer.step()
    assert report.skipped
    assert not report.finite
    after = trainer.state()
    torch.testing.assert_close({key: after[key] for key in before}, before, rtol=0, atol=0)
    save_checkpoint(tmp_path / "checkpoint.pt", after)
    trainer.loss = healthy
    assert all(trainer.step().finite for _ in range(3)), "and it goes on"


def test_a_loss_that_spikes_is_skipped_and_its_statistics_forgotten(images: NDArray[np.uint8]) -> None:
    values = tiny_values() | {"model": FAMILIES["nvae"]}
    recipe = parse_recipe(values | {"optimiser": values["optimiser"] | {"skip_norm": 1e6}}, "tiny")
    trainer = trainer_of(recipe, images)
    for _ in range(3):
        trainer.step()
    before, healthy = weights_of(trainer), trainer.loss

    def spike(image: Tensor, noise: list[Tensor], weight: float) -> tuple[Tensor, Bound]:
        loss, terms = healthy(image + 1000, noise, weight)
        return loss * 1e9, terms

    trainer.loss = spike
    report = trainer.step()
    assert report.finite
    assert report.skipped
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.model.state_dict().items())


def test_losses_that_stay_broken_end_the_training_with_advice(images: NDArray[np.uint8]) -> None:
    trainer = trainer_of(tiny_recipe(), images)
    break_losses(trainer, math.nan)
    assert all(trainer.step().skipped for _ in range(MAX_BROKEN_STEPS - 1))
    with pytest.raises(DivergenceError, match=r"resume from the last checkpoint with a lower optimiser\.lr"):
        trainer.step()


def test_skipping_for_ever_is_impossible(images: NDArray[np.uint8]) -> None:
    """A threshold below every norm stops the published code at its first step (openai/vdvae#25)."""
    trainer = trainer_of(with_optimiser(skip_norm=1e-9, max_skips=2), images)
    assert [trainer.step().skipped for _ in range(6)] == [True, True, False, True, True, False]


@pytest.mark.parametrize("options", [{"precision": "bfloat16"}, {"channels_last": True}])
def test_options_of_speed_leave_the_first_loss_about_the_same(
    images: NDArray[np.uint8], options: dict[str, Any]
) -> None:
    plain, fast = (trainer_of(tiny_recipe(**changes), images).step() for changes in ({}, options))
    assert fast.nats == pytest.approx(plain.nats, rel=0.01)


def test_adamax_trains_too(images: NDArray[np.uint8]) -> None:
    trainer = trainer_of(with_optimiser(name="adamax"), images)
    reports = [trainer.step() for _ in trainer.remaining()]
    assert reports[-1].nats < reports[0].nats


def test_the_weight_of_the_rate_is_in_the_loss_and_not_in_the_report(images: NDArray[np.uint8]) -> None:
    trainer = trainer_of(tiny_recipe(kl_warmup_steps=1000), images)
    image = trainer.likelihood.observe(torch.from_numpy(images[:2]))
    noise = [torch.zeros(2, *shape) for shape in trainer.model.shapes]
    light, terms = trainer.loss(image, noise, 0.0)
    heavy, _ = trainer.loss(image, noise, 1000.0)
    assert (heavy - light).item() * 64 / 1000 == pytest.approx(terms.rate.mean().item(), rel=1e-4)
    assert light.item() * 64 == pytest.approx(terms.distortion.mean().item(), rel=1e-4)
    report = trainer.step()
    assert report.nats == pytest.approx(report.distortion + report.rate)


def test_a_checkpoint_gives_back_both_sets_of_weights(images: NDArray[np.uint8]) -> None:
    trainer = trainer_of(tiny_recipe(), images)
    for _ in range(3):
        trainer.step()
    for ema, expected in ((True, trainer.ema), (False, trainer.model.state_dict())):
        recipe, model = model_from_checkpoint(trainer.state(), ema=ema)
        assert recipe == trainer.recipe
        assert not model.training
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("family", ["nvae", "lvae-conv", "autoregressive"])
def test_every_family_resumes_to_the_last_bit_statistics_and_power_vectors_included(
    family: str, images: NDArray[np.uint8]
) -> None:
    size = FAMILIES[family]["image_size"]
    changes = {"model": FAMILIES[family], "objective": {"norm_penalty": 0.01, "norm_penalty_start": 1.0}}
    recipe = parse_recipe(tiny_values(kl_warmup_steps=10) | changes, "tiny")
    original, again = (trainer_of(recipe, images[:, :size, :size]) for _ in range(2))
    for _ in range(3):
        original.step()
    again.load(torch_copy(original.state()))
    assert [again.step() for _ in range(3)] == [original.step() for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(again.ema.values(), original.ema.values(), strict=True))


def test_the_average_of_a_counter_is_the_counter(images: NDArray[np.uint8]) -> None:
    trainer = trainer_of(parse_recipe(tiny_values() | {"model": FAMILIES["lvae-conv"]}, "tiny"), images)
    for _ in range(3):
        trainer.step()
    counters = [tensor for name, tensor in trainer.ema.items() if name.endswith("num_batches_tracked")]
    assert counters
    assert all(int(tensor) == 3 for tensor in counters)


def test_the_penalty_makes_weights_smaller(images: NDArray[np.uint8]) -> None:
    def norms(weight: float) -> float:
        values = tiny_values() | {"model": FAMILIES["nvae"], "objective": {"norm_penalty": weight}}
        trainer = trainer_of(parse_recipe(values, "tiny"), images)
        for _ in range(20):
            trainer.step()
        return float(NormPenalty(trainer.model)().detach())

    assert norms(1.0) < 0.9 * norms(1e-9)


def test_the_unit_of_the_loss_scales_gradients_and_nothing_else(images: NDArray[np.uint8]) -> None:
    def first(unit: str) -> Report:
        return trainer_of(parse_recipe(tiny_values() | {"objective": {"unit": unit}}, "tiny"), images).step()

    per_dim, per_image = first("nats/dim"), first("nats/image")
    assert per_dim.nats == per_image.nats
    assert per_image.gradient_norm == pytest.approx(64 * per_dim.gradient_norm, rel=1e-5)
