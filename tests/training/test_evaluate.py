"""Bounds on log p(x): exact where the truth is known, ordered where not, and the same however images are batched."""

import json
import math
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from tiny_families import DENSE, IMAGE
from tiny_recipe import blobs, tiny_recipe, write_idx
from torch import Tensor

from model_zoo.manifest import Metric
from training.__main__ import main
from training.checkpoint import CHECKPOINT_NAME, save_checkpoint
from training.data.batches import evaluation_batches
from training.distributions import kl_normal
from training.evaluate import Evaluation, evaluate, take
from training.figures import Figures, metrics
from training.latents import LatentShape
from training.models.contract import Activations, HierarchicalVAE, Normal, PosteriorLevel
from training.models.families import Model, build
from training.models.vdvae import VDVAE
from training.trainer import Trainer

PIXEL = np.array([40, 160], np.uint8).reshape(2, 1, 1, 1)  # two images of one pixel


class Gaussian:
    """The likelihood x ~ N(z, 1) of one pixel in units of 50: with z ~ N(0, 1), p(x) = N(0, 2) exactly."""

    def observe(self, image: Tensor) -> Tensor:
        return image.permute(0, 3, 1, 2).float() / 50

    def nats(self, parameters: Tensor, image: Tensor) -> Tensor:
        return 0.5 * ((image - parameters).square() + math.log(2 * math.pi)).sum(dim=(1, 2, 3))


class LinearModel:
    """z ~ N(0, 1), and a posterior N(slope * x, scale^2); the true one is N(x / 2, 1 / 2)."""

    def __init__(self, slope: float, variance: float) -> None:
        self.slope, self.log_scale = slope, 0.5 * math.log(variance)
        self.shapes = [LatentShape(1, 1, 1)]

    def bottom_up(self, image: Tensor) -> Activations:
        return {1: image}

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        x = activations[1]
        q = Normal(self.slope * x, torch.full_like(x, self.log_scale))
        p = Normal(torch.zeros_like(x), torch.zeros_like(x))
        z = q.mean + q.scale * noise[0]
        return z, [PosteriorLevel(z, p, q, kl_normal(q, p))]


TRUTH = [0.5 * ((v / 50) ** 2 / 2 + math.log(4 * math.pi)) for v in (40, 160)]  # -log N(x; 0, 2)


def evaluate_linear(slope: float, variance: float, k: int, seed: int = 0, copies: int = 1) -> Evaluation:
    model, likelihood = cast(HierarchicalVAE, LinearModel(slope, variance)), cast(Any, Gaussian())
    return evaluate(model, likelihood, [np.repeat(PIXEL, copies, axis=0)], k=k, seed=seed, passes=1000)


@pytest.mark.parametrize("k", [1, 2, 17])
def test_with_the_true_posterior_every_importance_weighted_bound_is_the_truth(k: int) -> None:
    np.testing.assert_allclose(evaluate_linear(0.5, 0.5, k).importance_weighted, TRUTH, rtol=1e-5)


def test_the_bound_tightens_to_the_truth_with_more_samples() -> None:
    """With the prior as posterior, in nats over 400 runs of each image."""
    gaps = {
        k: evaluate_linear(0.0, 1.0, k, copies=400).importance_weighted.mean() - np.mean(TRUTH) for k in (1, 5, 500)
    }
    assert gaps[1] > gaps[5] > gaps[500] > -0.02
    assert gaps[500] < 0.05


def test_elbo_has_the_analytic_divergence() -> None:
    found = evaluate_linear(0.3, 0.4, 1, copies=5)
    x = np.repeat([0.8, 3.2], 5)
    expected = -0.5 * math.log(0.4) + 0.5 * (0.4 + (0.3 * x) ** 2 - 1)
    np.testing.assert_allclose(found.rates[:, 0], expected, rtol=1e-5)


def test_one_weighted_sample_is_the_elbo_in_expectation() -> None:
    found = evaluate_linear(0.3, 0.8, 1, copies=4000)
    difference = found.importance_weighted - found.nats
    assert difference.std() > 0.1, "the two estimators do differ"
    assert abs(difference.mean()) < 5 * difference.std() / len(difference) ** 0.5


def evaluate_tiny(model: VDVAE, images: NDArray[np.uint8], batch: int = 5, **options: Any) -> Evaluation:
    return evaluate(model, model.config.likelihood, evaluation_batches(images, batch), **options)


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize(("batch", "passes"), [(1, 1), (4, 3), (12, 1000)])
def test_figures_do_not_depend_on_batches(
    tiny_model: VDVAE, images: NDArray[np.uint8], k: int, batch: int, passes: int
) -> None:
    usual = evaluate_tiny(tiny_model, images, k=k, passes=10)
    other = evaluate_tiny(tiny_model, images, k=k, batch=batch, passes=passes)
    for name in ("distortion", "rates", "importance_weighted"):
        np.testing.assert_allclose(getattr(usual, name), getattr(other, name), rtol=1e-4, atol=1e-4)


def test_an_image_has_its_own_noise(tiny_model: VDVAE, images: NDArray[np.uint8]) -> None:
    same = np.repeat(images[:1], 3, axis=0)
    found = evaluate_tiny(tiny_model, same)
    assert len(set(found.distortion.tolist())) == 3, "the same image thrice, under three draws"
    assert evaluate_tiny(tiny_model, same).distortion.tolist() == found.distortion.tolist()
    assert evaluate_tiny(tiny_model, same, seed=1).distortion[0] != found.distortion[0]


def test_weighted_bound_of_a_hierarchy_is_tighter_than_the_elbo(tiny_model: VDVAE, images: NDArray[np.uint8]) -> None:
    found = evaluate_tiny(tiny_model, np.repeat(images, 5, axis=0), k=50, passes=500)
    assert found.importance_weighted.mean() < found.nats.mean()
    assert found.rates.shape == (60, 4)
    assert (found.rates >= -1e-5).all()
    np.testing.assert_allclose(found.nats, found.distortion + found.rates.sum(axis=1))


def test_progress_counts_every_image_once(tiny_model: VDVAE, images: NDArray[np.uint8]) -> None:
    seen: list[int] = []
    evaluate_tiny(tiny_model, images, k=3, passes=6, progress=seen.append)
    assert sum(seen) == 12


@pytest.mark.parametrize("options", [{"k": 0}, {"passes": 0}])
def test_nothing_to_draw_is_an_error(tiny_model: VDVAE, images: NDArray[np.uint8], options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        evaluate_tiny(tiny_model, images, **options)


def test_no_images_is_an_error(tiny_model: VDVAE, images: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="no images"):
        evaluate_tiny(tiny_model, images[:0])


@pytest.mark.parametrize("count", [1, 5, 7, 12, 50])
def test_only_the_first_images(images: NDArray[np.uint8], count: int) -> None:
    taken = np.concatenate(list(take(evaluation_batches(images, 5), count)))
    np.testing.assert_array_equal(taken, images[:count])


def test_metrics_name_their_estimator_and_give_both_units() -> None:
    evaluation = Evaluation(np.full(4, 60.0), np.full((4, 2), 10.0), np.ones(5), np.full(4, 78.0), k=100, dims=784)
    elbo, weighted = metrics(evaluation, "test", "averaged weights")
    assert (elbo.estimator, weighted.estimator) == ("ELBO", "IW-100")
    assert (elbo.nats_per_image, weighted.nats_per_image) == (80, 78)
    assert elbo.bits_per_dim == pytest.approx(80 / 784 / math.log(2))
    assert elbo.images == 4
    assert "averaged weights" in elbo.note
    assert [metric.estimator for metric in metrics(evaluation._replace(k=1), "test")] == ["ELBO"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images: NDArray[np.uint8]) -> Path:
    """A run of three steps, and beside it the data it came from."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_idx(folder / "data" / "tiny", images)
    trainer = Trainer(tiny_recipe(), images, torch.device("cpu"))
    for _ in range(3):
        trainer.step()
    (folder / "run").mkdir()
    save_checkpoint(folder / "run" / CHECKPOINT_NAME, trainer.state())
    return folder / "run"


def evaluate_run(run: Path, *options: str) -> int:
    return main(["evaluate", str(run), "--data", str(run.parent / "data"), "--device", "cpu", *options])


def test_the_command_prints_a_table_and_writes_what_a_manifest_needs(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "metrics.json"
    assert evaluate_run(run, "--k", "4", "--images", "10", "--out", str(out)) == 0
    figures = Figures.model_validate_json(out.read_text())
    assert [metric.estimator for metric in figures.metrics] == ["ELBO", "IW-4"]
    assert all(metric.images == 10 and metric.split == "test" for metric in figures.metrics)
    assert len(figures.kl_nats) == len(figures.active_units) == 4
    assert figures.distortion_nats + figures.rate_nats == pytest.approx(figures.metrics[0].nats_per_image)
    assert (figures.step, figures.weights, figures.half) == (3, "averaged", False)
    assert "dynamic binarisation" in figures.metrics[0].note
    assert all(Metric.model_validate(metric) for metric in json.loads(out.read_text())["metrics"])
    text = capsys.readouterr().out
    for words in ("ELBO", "IW-4", "nats/image", "bits/dim", "2x8x8"):
        assert words in text


def test_averaged_and_raw_weights_differ(run: Path, tmp_path: Path) -> None:
    found = []
    for name, options in (("averaged", []), ("raw", ["--raw-weights"])):
        assert evaluate_run(run, "--out", str(tmp_path / name), *options) == 0
        found.append(Figures.model_validate_json((tmp_path / name).read_text()))
    assert [figures.weights for figures in found] == ["averaged", "raw"]
    assert found[0].metrics[0].nats_per_image != found[1].metrics[0].nats_per_image


def test_a_run_that_is_not_there_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path / "nowhere")]) == 1
    assert "error: no checkpoint at" in capsys.readouterr().err


def test_memory_does_not_grow_with_images_or_samples() -> None:
    """IW-5000 of ten thousand images takes an hour; it must not take the machine's memory."""
    config = {"image_size": 28, "latents": [2], "hidden": [8]}
    model = build(TypeAdapter(Model).validate_python(IMAGE | DENSE | config)).eval()
    images = blobs(30).repeat(4, axis=1).repeat(4, axis=2)[:, :28, :28]
    sizes: list[float] = []

    def look(_: int) -> None:
        sizes.append(resident_mib())

    evaluate(model, model.config.likelihood, [images], k=3000, passes=1000, progress=look)
    assert sizes[-1] - sizes[9] < 15, "a thousand images of logits are 3 MiB, so one a picture kept would be 60"


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
