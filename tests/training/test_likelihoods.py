"""Likelihoods: `exact` is a distribution, the published edge rules are what they are, means are as expected."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model_zoo import manifest
from server.likelihood import mean_image
from training.export import describe_likelihood
from training.likelihoods import DMOL, Bernoulli, Likelihood, Normal

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "nvae"
MIXTURES = 2
# Raw parameters far beyond what a network emits: components outside the image's range, needles, and deserts.
logits, means, log_scales, coefficients = st.floats(-5, 5), st.floats(-3, 3), st.floats(-12, 5), st.floats(-3, 3)


def raw_parameters(draw: st.DataObject, channels: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """[1, P, 1, 1] in the order of the published code."""
    kinds = [means, log_scales, coefficients] if channels == 3 else [means, log_scales]
    order = [logits] + kinds * channels
    values = [draw.draw(kind) for kind in order for _ in range(MIXTURES)]
    return torch.tensor(values, dtype=dtype).reshape(1, -1, 1, 1)


def every_value(bits: int, channels: int) -> Tensor:
    """All images of one pixel, as `observe` would give them, [(2^bits)^channels, C, 1, 1]."""
    values = torch.arange(2**bits, dtype=torch.float64) * 2 ** (8 - bits)
    return torch.cartesian_prod(*[values] * channels).reshape(-1, channels, 1, 1)


def probabilities(likelihood: Likelihood, parameters: Tensor, image: Tensor) -> Tensor:
    return (-likelihood.nats(parameters.expand(len(image), -1, -1, -1), image.to(parameters.dtype))).exp()


@pytest.mark.parametrize("bits", range(1, 9))
@given(st.data())
def test_exact_sums_to_one_over_all_grey_values(bits: int, draw: st.DataObject) -> None:
    likelihood = DMOL(mixtures=MIXTURES, bits=bits, edge_rule="exact")
    total = probabilities(likelihood, raw_parameters(draw, 1), every_value(bits, 1)).sum()
    assert total.item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@given(st.data())
def test_exact_sums_to_one_over_all_colours(bits: int, draw: st.DataObject) -> None:
    likelihood = DMOL(mixtures=MIXTURES, bits=bits, edge_rule="exact")
    total = probabilities(likelihood, raw_parameters(draw, 3), every_value(bits, 3)).sum()
    assert total.item() == pytest.approx(1, abs=1e-9)


@settings(max_examples=10)
@given(st.data(), st.integers(0, 255))
def test_exact_sums_over_green_and_blue_to_the_probability_of_red(draw: st.DataObject, red: int) -> None:
    """The same at 8 bits, where there are too many colours to visit all."""
    parameters = raw_parameters(draw, 3)
    colours = torch.cat([torch.full((2**16, 1, 1, 1), red), every_value(8, 2)], dim=1)
    of_red = parameters[:, : 3 * MIXTURES]  # the mixture's logits, then the means and scales of red
    expected = probabilities(DMOL(mixtures=MIXTURES), of_red, torch.full((1, 1, 1, 1), float(red)))
    total = probabilities(DMOL(mixtures=MIXTURES), parameters, colours).sum()
    assert total.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)


@given(st.data())
def test_exact_is_accurate_and_its_gradient_finite_in_float32(draw: st.DataObject) -> None:
    likelihood = DMOL(mixtures=MIXTURES)
    parameters = raw_parameters(draw, 1, torch.float32).requires_grad_()
    image = every_value(8, 1).float()
    nats = likelihood.nats(parameters.expand(256, -1, -1, -1), image)
    assert (-nats).exp().sum().item() == pytest.approx(1, abs=1e-4)
    nats.sum().backward()
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


def one_component(mean: float, log_scale: float) -> Tensor:
    return torch.tensor([0.0, mean, log_scale], dtype=torch.float64).reshape(1, 3, 1, 1)


def total_of(bits: int, mean: float, log_scale: float, edge_rule: str = "reference-vdvae") -> float:
    likelihood = DMOL.model_validate({"mixtures": 1, "bits": bits, "edge_rule": edge_rule})
    return probabilities(likelihood, one_component(mean, log_scale), every_value(bits, 1)).sum().item()


@pytest.mark.parametrize("mean", [-0.5, 0.0, 0.3])
@pytest.mark.parametrize("log_scale", [-4.0, -2.0, 0.0])
def test_published_8_bit_rule_sums_to_one(mean: float, log_scale: float) -> None:
    assert total_of(8, mean, log_scale) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("mean", [-0.5, 0.0, 0.3])
def test_published_5_bit_rule_does_not_sum_to_one(mean: float) -> None:
    """Bins of 2/31 on values 8/127.5 apart overlap, and the last bin has no open end: too much mass, or too little."""
    for log_scale in (-4.0, -3.0, -2.5):
        assert 1.02 < total_of(5, mean, log_scale) < 1.07
    assert total_of(5, mean, 0.0) < 0.9
    exact = DMOL(mixtures=1, bits=5, edge_rule="exact")
    assert probabilities(exact, one_component(mean, 0.0), every_value(5, 1)).sum().item() == pytest.approx(1)


@pytest.mark.parametrize("log_scale", [-4.0, -2.0, 0.0])
def test_nvae_rule_counts_the_upper_tail_twice_at_8_bits_and_is_a_distribution_at_5(log_scale: float) -> None:
    """254 maps to 0.9922, above the rule's 0.99: it takes the mass of 255 as well."""
    assert total_of(8, 0.98, log_scale, "reference-nvae") > 1.2
    assert total_of(5, 0.98, log_scale, "reference-nvae") == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("name", "bits"), [("cifar10-like", 8), ("celeba64-like", 5)])
def test_nvae_rule_gives_the_numbers_of_the_published_code(name: str, bits: int) -> None:
    vectors = reference(name)
    likelihood = DMOL(mixtures=10, bits=bits, edge_rule="reference-nvae")
    image = likelihood.observe(torch.from_numpy(vectors["x_uint8"]))
    nats = likelihood.nats(torch.from_numpy(vectors["posterior_logits"]), image)
    np.testing.assert_allclose(nats, vectors["recon_loss_nats"], rtol=1e-5)


def test_bernoulli_gives_the_numbers_of_the_published_nvae() -> None:
    """Its images are padded from 28 to 32 pixels, and the loss is over the 28."""
    vectors = reference("mnist-like")
    image = torch.from_numpy(vectors["x_uint8"]).permute(0, 2, 3, 1)[:, 2:-2, 2:-2]
    logits = torch.from_numpy(vectors["posterior_logits"])[:, :, 2:-2, 2:-2]
    np.testing.assert_allclose(
        Bernoulli().nats(logits, Bernoulli().observe(image)), vectors["recon_loss_nats"], rtol=1e-5
    )


def reference(name: str) -> dict[str, np.ndarray]:
    if not REFERENCE.is_dir():
        pytest.skip("../shared/reference is not beside the repository")
    return dict(np.load(REFERENCE / f"{name}.npz"))


def test_nvae_network_sees_the_five_bits_of_its_target_spread_over_the_range() -> None:
    image = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    observed = DMOL(bits=5, edge_rule="reference-nvae").observe(image)
    assert torch.allclose(observed.unique(), torch.arange(32) * 255 / 31)
    assert torch.equal(DMOL(bits=8, edge_rule="reference-nvae").observe(image).flatten(), torch.arange(256.0))


def test_five_bits_ignore_the_last_three_of_the_image() -> None:
    for edge_rule in ("exact", "reference-vdvae", "reference-nvae"):
        likelihood = DMOL.model_validate({"mixtures": 1, "bits": 5, "edge_rule": edge_rule})
        image = torch.tensor([160.0, 161.0, 167.0]).reshape(3, 1, 1, 1)
        nats = likelihood.nats(one_component(0.2, -3).float().expand(3, -1, -1, -1), image)
        assert nats.unique().numel() == 1


def test_rules_agree_away_from_the_edges_at_8_bits() -> None:
    image = torch.arange(1.0, 255).reshape(-1, 1, 1, 1)
    parameters = one_component(0.1, -2).expand(254, -1, -1, -1)
    exact, published = (DMOL.model_validate({"mixtures": 1, "edge_rule": r}) for r in ("exact", "reference-vdvae"))
    torch.testing.assert_close(exact.nats(parameters, image.double()), published.nats(parameters, image.double()))


@pytest.mark.parametrize(("mean", "value"), [(-1.0, 0), (-0.2, 102), (1.0, 255), (7.0, 255)])
def test_mean_of_a_component_is_its_mean_within_the_range(mean: float, value: int) -> None:
    assert DMOL(mixtures=1).mean(one_component(mean, -5).float()).tolist() == [[[[value]]]]


def test_mean_image_of_colour_conditions_each_channel_on_the_means_before_it() -> None:
    saturated = 10.0  # tanh(10) = 1
    parameters = torch.tensor(
        [0.0]  # logit
        + [0.2, -5.0, saturated]  # red: mean, scale, coefficient of red in green
        + [0.1, -5.0, saturated]  # green: mean, scale, coefficient of red in blue
        + [-0.1, -5.0, -saturated]  # blue: mean, scale, coefficient of green in blue
    ).reshape(1, 10, 1, 1)
    red, green = 0.2, 0.1 + 0.2
    blue = -0.1 + red - green
    expected = [round((x + 1) * 127.5) for x in (red, green, blue)]
    assert DMOL(mixtures=1).mean(parameters).flatten().tolist() == expected


@pytest.mark.parametrize("bits", range(1, 9))
@given(st.data())
def test_normal_sums_to_one_over_all_values(bits: int, draw: st.DataObject) -> None:
    values = [draw.draw(st.floats(-20, 20)) for _ in range(2)]
    parameters = torch.tensor(values, dtype=torch.float64).reshape(1, 2, 1, 1)
    assert probabilities(Normal(bits=bits), parameters, every_value(bits, 1)).sum().item() == pytest.approx(1, abs=1e-9)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_normal_is_finite_and_so_is_its_gradient_in_float32(mean: float, log_scale: float) -> None:
    parameters = torch.tensor([mean, log_scale]).reshape(1, 2, 1, 1).requires_grad_()
    nats = Normal().nats(parameters.expand(256, -1, -1, -1), every_value(8, 1).float())
    nats.sum().backward()
    assert parameters.grad is not None
    assert nats.isfinite().all()
    assert parameters.grad.isfinite().all()


def test_normal_is_the_published_density_times_the_bin_where_bins_are_thin() -> None:
    parameters = torch.tensor([0.3, -1.0], dtype=torch.float64).reshape(1, 2, 1, 1)
    mean, scale = 5 * math.tanh(0.06), math.exp(5 * math.tanh(-0.2)) + 0.01
    x = 2 * 160 / 255 - 1
    density = torch.distributions.Normal(mean, scale).log_prob(torch.tensor(x, dtype=torch.float64)).item()
    nats = Normal().nats(parameters, torch.full((1, 1, 1, 1), 160.0, dtype=torch.float64))
    assert nats.item() == pytest.approx(-density - math.log(2 / 255), abs=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "likelihood",
    [Bernoulli(), Normal(), DMOL(mixtures=3), DMOL(mixtures=3, edge_rule="reference-nvae")],
    ids=lambda likelihood: f"{likelihood.kind} {getattr(likelihood, 'edge_rule', '')}".strip(),
)
def test_the_server_shows_the_same_mean_image(likelihood: Likelihood, channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    parameters = torch.randn(2, likelihood.parameters(channels), 4, 4, generator=generator)
    described = manifest.Likelihood.model_validate(describe_likelihood(likelihood))
    served = mean_image(parameters.numpy(), described, channels).astype(int)
    # float32 and float64 may round to different sides
    assert np.abs(served - likelihood.mean(parameters).numpy().astype(int)).max() <= 1


def test_parameters_of_a_pixel() -> None:
    assert Normal().parameters(3) == 6
    assert DMOL(mixtures=10).parameters(3) == 100
    assert DMOL(mixtures=10).parameters(1) == 30
    assert Bernoulli().parameters(1) == 1


def test_mixture_observes_all_bits() -> None:
    image = torch.arange(12, dtype=torch.uint8).reshape(1, 2, 2, 3)
    observed = DMOL(bits=5).observe(image)
    assert observed.shape == (1, 3, 2, 2)
    assert observed[0, :, 1, 0].tolist() == image[0, 1, 0].tolist()


def test_bernoulli_observes_black_and_white() -> None:
    grey = torch.tensor([0, 127, 128, 255], dtype=torch.uint8).reshape(1, 2, 2, 1)
    assert Bernoulli().observe(grey).flatten().tolist() == [0, 0, 255, 255]


@given(st.floats(-30, 30))
def test_bernoulli_sums_to_one(logit: float) -> None:
    parameters = torch.tensor([logit], dtype=torch.float64).reshape(1, 1, 1, 1)
    black_and_white = torch.tensor([0.0, 255.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    assert probabilities(Bernoulli(), parameters, black_and_white).sum().item() == pytest.approx(1, abs=1e-12)


def test_bernoulli_in_nats_and_its_mean() -> None:
    parameters = torch.tensor([0.0, math.log(3)]).reshape(1, 1, 1, 2)
    image = torch.tensor([255.0, 0.0]).reshape(1, 1, 1, 2)
    assert Bernoulli().nats(parameters, image).tolist() == pytest.approx([math.log(2) + math.log(4)])
    assert Bernoulli().mean(parameters).flatten().tolist() == [128, 191]
