"""NVAE's own parts: configuration, soft clamp, cells, folding. The contract's tests run over it as well."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_families import NVAE as TINY
from tiny_families import tiny
from torch import Tensor, nn

from training.latents import LatentShape, standard_noise
from training.models.flows import MaskedConv2d
from training.models.nvae import NVAE, NVAEConfig, log_normal, soft_clamp
from training.models.nvae_cells import (
    BatchNormSwish,
    DecoderCell,
    EncoderCell,
    FactorizedReduce,
    InvertedResidual,
    WNConv2d,
)

FOLDED = 1e-5  # max|a - b| <= FOLDED * max(1, max|b|) between a model and its folded copy, float32


def config(**changes: Any) -> NVAEConfig:
    image = {"image_size": 8, "image_channels": 1, "likelihood": {"kind": "bernoulli"}}
    return NVAEConfig.model_validate(image | TINY | changes)


def random_norms(module: nn.Module) -> None:
    """Batch norms as after some training: nothing is 0 or 1."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_(std=0.3)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.data.uniform_(0.5, 1.5)
            norm.bias.data.normal_(std=0.3)


def assert_close(got: Tensor, wanted: Tensor) -> None:
    assert got.shape == wanted.shape
    assert float((got - wanted).detach().abs().max()) <= FOLDED * max(1.0, float(wanted.detach().abs().max()))


# configuration


@pytest.mark.parametrize(
    ("scales", "most", "adaptive", "least", "groups"),
    [
        (2, 10, True, 1, [5, 10]),
        (5, 16, True, 4, [4, 4, 4, 8, 16]),
        (3, 4, False, 1, [4, 4, 4]),
        (3, 2, True, 1, [1, 1, 2]),
    ],
)
def test_groups_of_each_scale(scales: int, most: int, adaptive: bool, least: int, groups: list[int]) -> None:
    wanted = config(
        image_size=64,
        num_latent_scales=scales,
        num_groups_per_scale=most,
        ada_groups=adaptive,
        min_groups_per_scale=least,
    )
    assert wanted.groups == groups


def test_latents_double_in_resolution_from_scale_to_scale() -> None:
    model = NVAE(config(image_size=4, pad=2, num_groups_per_scale=2))
    assert model.shapes == [LatentShape(2, 2, 2)] * 2 + [LatentShape(2, 4, 4)] * 2


def test_a_patch_makes_channels_of_pixels() -> None:
    model = NVAE(config(image_size=14, pad=1, patch=2))
    assert model.stem.weight.shape[1] == 4
    image = torch.zeros(1, 1, 14, 14)
    noise = standard_noise(model.shapes, 1, torch.Generator().manual_seed(0))
    assert model.eval().encode(image, noise)[0].shape == (1, 1, 14, 14)
    assert model.shapes[-1] == LatentShape(2, 4, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 10}, r"image_size 10 \+ 2 \* pad 0 is no multiple of 4: patch 1 and 2 halvings"),
        ({"num_postprocess_blocks": 2}, "num_postprocess_blocks 2 must equal num_preprocess_blocks 1"),
        ({"num_latent_scales": 1, "num_groups_per_scale": 1}, "one group in one scale is no hierarchy"),
        ({"num_nf": -1}, "num_nf"),
        ({"num_chanels_enc": 4}, "num_chanels_enc"),
    ],
)
def test_a_configuration_that_makes_no_sense_says_why(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**changes)


# distributions


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_soft_clamp_bounds_mean_and_scale(mean: float, log_scale: float) -> None:
    normal = soft_clamp(torch.tensor(mean), torch.tensor(log_scale))
    assert abs(float(normal.mean)) <= 5
    assert math.exp(-5) + 0.01 <= float(normal.scale) * (1 + 1e-5)
    assert float(normal.scale) <= (math.exp(5) + 0.01) * (1 + 1e-5)


def test_the_top_prior_is_fixed_with_scale_1_01() -> None:
    model = tiny("nvae")
    noise = standard_noise(model.shapes, 2, torch.Generator().manual_seed(0))
    keep = [torch.zeros_like(eps, dtype=torch.bool) for eps in noise]
    _, levels = model.decode(noise, noise, keep, torch.ones(2, len(noise)))
    assert torch.equal(levels[0].prior.mean, torch.zeros_like(noise[0]))
    assert torch.allclose(levels[0].prior.scale, torch.tensor(1.01))


def test_without_residual_distributions_the_posterior_does_not_add_the_prior() -> None:
    torch.manual_seed(0)
    related, direct = NVAE(config()).eval(), NVAE(config(res_dist=False)).eval()
    direct.load_state_dict(related.state_dict())
    noise = standard_noise(related.shapes, 2, torch.Generator().manual_seed(0))
    image = torch.zeros(2, 1, 8, 8)
    with torch.no_grad():
        a, b = related.encode(image, noise)[1], direct.encode(image, noise)[1]
    assert torch.equal(a[0].posterior.mean, b[0].posterior.mean), "the raw prior of the first level is zero"
    raw = [5 * torch.atanh(normal.mean / 5) for normal in (a[1].posterior, a[1].prior, b[1].posterior)]
    assert torch.allclose(raw[0], raw[1] + raw[2], atol=1e-5)


def test_with_flows_the_kl_is_that_of_the_drawn_latent() -> None:
    model = tiny("nvae-flows")
    noise = standard_noise(model.shapes, 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        _, levels = model.encode(torch.full((2, 3, 8, 8), 77.0), noise)
    for level, eps in zip(levels, noise, strict=True):
        base = level.posterior.mean + level.posterior.scale * eps
        assert not level.analytic
        assert not torch.allclose(base, level.z), "the flow moves the latent"
        assert torch.allclose(level.kl, log_normal(base, level.posterior) - log_normal(level.z, level.prior), atol=1e-5)


@given(st.floats(-5, 5), st.floats(-2, 2), st.floats(-5, 5))
def test_log_normal_is_that_of_torch(mean: float, log_scale: float, z: float) -> None:
    normal = soft_clamp(torch.tensor(mean), torch.tensor(log_scale))
    wanted = torch.distributions.Normal(normal.mean, normal.scale).log_prob(torch.tensor(z))
    assert float(log_normal(torch.tensor(z), normal)) == pytest.approx(float(wanted), rel=1e-4, abs=1e-4)


# cells


def test_a_fresh_weight_norm_changes_weights_little() -> None:
    torch.manual_seed(0)
    conv = WNConv2d(4, 6, 3)
    assert torch.allclose(conv.effective_weight(), conv.weight, rtol=0.1)


def test_weight_norm_ignores_the_length_of_the_weights() -> None:
    conv = WNConv2d(4, 6, 3)
    before = conv.effective_weight().detach()
    conv.weight.data *= 7
    assert torch.allclose(conv.effective_weight(), before, rtol=1e-3)


def test_factorised_reduction_sees_each_pixel_of_a_square_in_one_quarter_of_the_channels() -> None:
    torch.manual_seed(0)
    skip = FactorizedReduce(2, 8)
    x = torch.randn(1, 2, 4, 4)
    before = skip(x)
    for row, column, quarter in ((0, 0, 0), (1, 1, 1), (0, 1, 2), (1, 0, 3)):
        changed = x.clone()
        changed[:, :, row::2, column::2] += 1
        differs = (skip(changed) - before).abs().amax(dim=(0, 2, 3)) > 1e-6
        assert differs.nonzero().flatten().tolist() == [2 * quarter, 2 * quarter + 1]


def test_doubling_before_or_after_the_pixelwise_layers_is_the_same() -> None:
    """The published order doubles the resolution first, at four times the cost."""
    torch.manual_seed(0)
    layer = InvertedResidual(4, 4, 3, up=True).eval()
    random_norms(layer)
    x = torch.randn(2, 4, 4, 4)
    up, *published = layer.conv
    y = up(x)
    for part in published:
        y = part(y)
    assert_close(layer(x), y)


def test_decoder_cells_are_a_small_step_from_their_skip() -> None:
    torch.manual_seed(0)
    cell = DecoderCell(4, 4, expansion=6, use_se=False).eval()
    x = torch.randn(2, 4, 4, 4)
    assert torch.allclose(cell(x) - x, 0.1 * cell._ops[0](x), atol=1e-6)


# folding


@pytest.mark.parametrize("use_se", [True, False])
@pytest.mark.parametrize(
    ("kind", "resized"), [("encoder", False), ("encoder", True), ("decoder", False), ("decoder", True)]
)
def test_a_folded_cell_computes_the_same(kind: str, resized: bool, use_se: bool) -> None:
    torch.manual_seed(0)
    cell: EncoderCell | DecoderCell
    if kind == "encoder":
        cell = EncoderCell(4, 8 if resized else 4, down=resized, use_se=use_se)
    else:
        cell = DecoderCell(4, 2 if resized else 4, up=resized, expansion=3, use_se=use_se)
    random_norms(cell.eval())
    x = torch.randn(3, 4, 4, 4)
    with torch.no_grad():
        wanted = cell(x)
        cell.fold()
        assert_close(cell(x), wanted)


@pytest.mark.parametrize("name", ["nvae", "nvae-flows"])
def test_the_folded_model_has_plain_convolutions_only_and_computes_the_same(name: str) -> None:
    model = tiny(name)
    folded = model.folded()
    assert not any(isinstance(m, WNConv2d | MaskedConv2d | nn.BatchNorm2d | BatchNormSwish) for m in folded.modules())
    assert any(isinstance(m, WNConv2d) for m in model.modules()), "the model itself stays as it was"
    noise = standard_noise(model.shapes, 2, torch.Generator().manual_seed(0))
    image = torch.full((2, model.config.image_channels, 8, 8), 90.0)
    with torch.no_grad():
        (parameters, levels), (folded_parameters, folded_levels) = (m.encode(image, noise) for m in (model, folded))
    assert_close(folded_parameters, parameters)
    for a, b in zip(folded_levels, levels, strict=True):
        assert_close(a.z, b.z)
        assert_close(a.kl, b.kl)


@settings(max_examples=5)
@given(st.integers(0, 2**31))
def test_training_makes_the_elbo_finite_and_gives_every_weight_a_gradient(seed: int) -> None:
    torch.manual_seed(seed)
    model = NVAE(config(num_nf=1)).train()
    noise = standard_noise(model.shapes, 4, torch.Generator().manual_seed(seed))
    image = (torch.rand(4, 1, 8, 8) > 0.5).float() * 255
    parameters, levels = model.encode(image, noise)
    loss = model.config.likelihood.nats(parameters, image).mean() + sum(level.kl.sum() for level in levels)
    loss.backward()
    assert loss.isfinite()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
