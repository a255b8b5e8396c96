"""Proposition 1: with a level for each pixel and a point-mass posterior, the ELBO is the exact log-likelihood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from model_zoo.zoo import BUNDLES
from training.data.config import Data
from training.data.load import load
from training.export import check_graphs, export_graphs, open_session
from training.latents import pack, unpack
from training.models.autoregressive import Autoregressive, AutoregressiveConfig
from training.objective import bound

SHIPPED = BUNDLES / "autoregressive-mnist14"
IMAGES = Path(__file__).parents[3] / "shared" / "data"


def tiny(seed: int, size: int = 5) -> Autoregressive:
    """Random weights, also those that start at zero, and logits of a few units."""
    torch.manual_seed(seed)
    values = {"image_size": size, "width": 6, "middle": 5, "blocks": 2, "first_kernel": 5, "kernel": 3}
    model = Autoregressive(AutoregressiveConfig.model_validate(values)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model.requires_grad_(False)


def pictures(seed: int, size: int = 5, batch: int = 4) -> Tensor:
    """Black and white, [B, 1, H, W] in {0, 1}."""
    return torch.bernoulli(torch.full((batch, 1, size, size), 0.5), generator=torch.Generator().manual_seed(seed))


def noise(model: Autoregressive, seed: int, batch: int = 4) -> Tensor:
    return torch.randn(batch, len(model.shapes), generator=torch.Generator().manual_seed(seed))


def decode(
    model: Autoregressive, eps: Tensor, tau: float = 1.0, z: Tensor | None = None, kept: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """z, p [B, N] and the likelihood's parameters of a prior pass."""
    z = torch.zeros_like(eps) if z is None else z
    kept = torch.zeros_like(eps, dtype=torch.bool) if kept is None else kept
    noise, given, keep = (unpack(packed, model.shapes) for packed in (eps, z, kept))
    parameters, levels = model.decode(noise, given, keep, torch.full_like(eps, tau))
    return pack([level.z for level in levels]), pack([level.prior.mean for level in levels]), parameters


seeds = st.integers(0, 2**31)


@settings(max_examples=20)
@given(seeds, seeds)
def test_the_elbo_is_the_exact_log_likelihood(weights: int, images: int) -> None:
    model, x = tiny(weights), pictures(images)
    logits = model.network(x).double()
    log_likelihood = torch.where(x == 1, logits, -logits).sigmoid().log().sum(dim=(1, 2, 3))
    terms, levels = bound(model, model.config.likelihood, 255 * x, unpack(noise(model, 0), model.shapes))
    np.testing.assert_allclose(-terms.nats, log_likelihood, atol=1e-4)
    assert terms.distortion.max() < 1e-9
    assert all(level.posterior.scale.max() == 0 for level in levels)


def test_likelihoods_of_all_images_sum_to_one() -> None:
    model = tiny(3, size=3)
    pixels = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 9).reshape(-1, 1, 3, 3)
    terms, _ = bound(model, model.config.likelihood, 255 * pixels, unpack(noise(model, 0, 512), model.shapes))
    assert (-terms.nats).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_logit_depends_on_pixels_before_it_and_on_no_other() -> None:
    model, x = tiny(1), pictures(2, batch=1)
    jacobian = torch.autograd.functional.jacobian(lambda pixels: model.network(pixels).flatten(), x).reshape(25, 25)
    depends = jacobian != 0
    assert not depends.triu().any()
    for pixel in range(5, 25):
        assert depends[pixel, pixel - 5]  # the one above
        assert pixel % 5 == 0 or depends[pixel, pixel - 1]  # the one to the left


@given(seeds, st.floats(0.1, 1.5))
@settings(max_examples=20)
def test_a_pixel_is_white_where_the_normal_quantile_is_below_its_tempered_probability(seed: int, tau: float) -> None:
    model = tiny(seed % 7)
    eps = noise(model, seed)
    z, _, _ = decode(model, eps, tau)
    logits = model.network(z.unflatten(1, (1, 5, 5))).flatten(1).double()
    white = torch.special.ndtr(eps.double()) < (logits / tau).sigmoid()
    assert torch.equal(z, white.float())


def test_pixels_are_white_as_often_as_the_prior_says() -> None:
    """Noise at the quantiles of the normal, for the first pixel."""
    model, count = tiny(0), 1000
    eps = torch.zeros(count, 25)
    eps[:, 0] = torch.special.ndtri((torch.arange(count) + 0.5) / count)
    z, p, _ = decode(model, eps)
    assert z[:, 0].mean().item() == pytest.approx(p[0, 0].item(), abs=1 / count)


def test_temperature_zero_is_the_likelier_value_whatever_the_noise() -> None:
    model = tiny(4)
    (z, p, _), (again, _, _) = (decode(model, noise(model, seed), tau=0.0) for seed in (0, 1))
    assert torch.equal(z, again)
    assert torch.equal(z, (p > 0.5).float())


@given(seeds)
@settings(max_examples=10)
def test_pixel_by_pixel_is_the_same_as_all_at_once(seed: int) -> None:
    model, x = tiny(seed), pictures(seed)
    z, p, parameters = decode(model, noise(model, 0), z=x.flatten(1), kept=torch.ones(4, 25, dtype=torch.bool))
    assert torch.equal(z, x.flatten(1))
    torch.testing.assert_close(p, model.network(x).sigmoid().flatten(1), atol=1e-5, rtol=1e-5)
    at_once, levels = model.encode(255 * x, unpack(noise(model, 0), model.shapes))
    assert torch.equal(parameters, at_once)
    torch.testing.assert_close(pack([level.prior.mean for level in levels]), p)


def test_kept_latents_are_whatever_was_given_and_the_others_are_binary() -> None:
    model = tiny(5)
    kept = torch.arange(25).expand(4, -1) % 3 == 0
    z, _, _ = decode(model, noise(model, 0), z=torch.full((4, 25), 0.25), kept=kept)
    assert z[kept].unique().tolist() == [0.25]
    assert set(z[~kept].unique().tolist()) <= {0.0, 1.0}


def test_the_prior_has_the_scale_of_a_bernoulli() -> None:
    model, x = tiny(6), pictures(6)
    _, levels = model.encode(255 * x, unpack(noise(model, 0), model.shapes))
    p = torch.cat([level.prior.mean for level in levels])
    scale = torch.cat([level.prior.scale for level in levels])
    torch.testing.assert_close(scale, (p * (1 - p)).sqrt(), atol=1e-6, rtol=1e-4)
    assert Autoregressive.prior == "bernoulli"


def test_a_kernel_has_a_middle_and_pixels_are_grey() -> None:
    values = {"image_size": 5, "width": 4, "middle": 4, "blocks": 1}
    for wrong in ({"kernel": 4}, {"image_channels": 3}, {"likelihood": {"kind": "dmol"}}):
        with pytest.raises(ValidationError):
            AutoregressiveConfig.model_validate(values | wrong)


def test_both_graphs_do_what_the_model_does_with_one_loop_over_the_pixels(tmp_path: Path) -> None:
    model = tiny(7, size=3)
    export_graphs(model, tmp_path)
    check_graphs(model, tmp_path)
    assert (tmp_path / "decoder.onnx").stat().st_size < 40_000


def test_the_shipped_elbo_is_the_exact_log_likelihood_of_every_test_image() -> None:
    """From the encoder graph, all pixels at once, and from the decoder graph, pixel by pixel."""
    if not SHIPPED.is_dir():
        pytest.skip("model_zoo/bundles/autoregressive-mnist14 is not there")
    if not (IMAGES / "mnist").is_dir():
        pytest.skip("../shared/data/mnist is not beside the repository")
    data = Data(format="idx", path="mnist", name="MNIST", shrink=2, binarise="threshold")
    images = load(data, "test", IMAGES).images
    encoder, decoder = (open_session(SHIPPED / f"{name}.onnx") for name in ("encoder", "decoder"))
    assert len(images) == 10_000
    for start in range(0, len(images), 250):
        batch = images[start : start + 250]
        zeros = np.zeros((len(batch), 196), np.float32)
        z, kl, logits = encoder.run(["latents", "kl", "likelihood"], {"image": batch, "noise": zeros})
        assert np.array_equal(z, batch.reshape(-1, 196) > 127)
        distortion = np.logaddexp(0, np.where(batch.transpose(0, 3, 1, 2) > 127, -logits, logits)).sum((1, 2, 3))
        feed = {"noise": zeros, "given": z, "keep": zeros == 0, "temperature": zeros}
        p, scale = (array.astype(np.float64) for array in decoder.run(["prior_mean", "prior_scale"], feed))
        rarer = np.minimum(p, 1 - p)
        # ONNX Runtime's sigmoid is 0 from -17 on; the scale is not: it is sqrt(p (1 - p)), to be solved for p.
        rarer = np.where(rarer > 0.01, rarer, 2 * scale**2 / (1 + np.sqrt(np.maximum(0, 1 - 4 * scale**2))))
        log_likelihood = np.where((z == 1) == (p < 0.5), np.log(rarer), np.log1p(-rarer))
        np.testing.assert_allclose(-(kl.sum(1, dtype=np.float64) + distortion), log_likelihood.sum(1), atol=1e-4)
