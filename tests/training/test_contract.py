"""One contract: every family passes the same tests (DESIGN.md, "One rule")."""

from __future__ import annotations

from typing import NamedTuple

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from tiny_families import FAMILIES, tiny
from torch import Tensor

from training.distributions import log_ratio
from training.graphs import DecoderGraph, EncoderGraph, decoder_arguments, encoder_arguments
from training.latents import pack, standard_noise, unpack
from training.models.contract import HierarchicalVAE
from training.objective import bound

EXACT = 1e-5  # max|a - b| <= EXACT * max(1, max|b|): float32, the same sums in another order


class Case(NamedTuple):
    model: HierarchicalVAE
    image: Tensor  # [3, C, H, W] as the likelihood observes it


@pytest.fixture(scope="module", params=FAMILIES)
def case(request: pytest.FixtureRequest) -> Case:
    model = tiny(request.param)
    config = model.config
    shape = (3, config.image_size, config.image_size, config.image_channels)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Case(model, config.likelihood.observe(pixels))


def noise_for(case: Case, seed: int = 2, batch: int = 3) -> list[Tensor]:
    return standard_noise(case.model.shapes, batch, torch.Generator().manual_seed(seed))


def prior_pass(case: Case, noise: list[Tensor], tau: float = 1.0, keep: bool = False) -> tuple[Tensor, list[Tensor]]:
    """Parameters and latents of a prior pass that keeps nothing, or everything at `noise`."""
    kept = [torch.full_like(eps, keep, dtype=torch.bool) for eps in noise]
    parameters, levels = case.model.decode(noise, noise, kept, torch.full((len(noise[0]), len(noise)), tau))
    return parameters, [level.z for level in levels]


def assert_close(got: Tensor, wanted: Tensor) -> None:
    assert got.shape == wanted.shape
    assert float((got - wanted).abs().max()) <= EXACT * max(1.0, float(wanted.abs().max()))


@torch.no_grad()
def test_decoding_the_posterior_latents_is_the_posterior_pass(case: Case) -> None:
    parameters, levels = case.model.encode(case.image, noise_for(case))
    decoded, latents = prior_pass(case, [level.z for level in levels], keep=True)
    assert_close(decoded, parameters)
    for level, z in zip(levels, latents, strict=True):
        assert torch.equal(level.z, z)


@torch.no_grad()
def test_both_passes_see_the_same_prior(case: Case) -> None:
    _, posterior = case.model.encode(case.image, noise_for(case))
    latents = [level.z for level in posterior]
    keep = [torch.ones_like(z, dtype=torch.bool) for z in latents]
    _, prior = case.model.decode(latents, latents, keep, torch.ones(3, len(latents)))
    for a, b in zip(prior, posterior, strict=True):
        assert_close(a.prior.mean, b.prior.mean)
        assert_close(a.prior.log_scale, b.prior.log_scale)


@torch.no_grad()
def test_shapes_are_those_promised(case: Case) -> None:
    model = case.model
    parameters, levels = model.encode(case.image, noise_for(case))
    size = model.config.image_size
    assert parameters.shape == (3, model.config.likelihood.parameters(model.config.image_channels), size, size)
    for level, shape in zip(levels, model.shapes, strict=True):
        for tensor in (level.z, level.kl, *level.prior, *level.posterior):
            assert tensor.shape == (3, *shape)
            assert tensor.dtype == torch.float32


@torch.no_grad()
def test_levels_are_ordered_from_coarse_to_fine(case: Case) -> None:
    heights = [shape.height for shape in case.model.shapes]
    assert heights == sorted(heights)


@torch.no_grad()
def test_temperature_0_is_deterministic(case: Case) -> None:
    first, latents = prior_pass(case, noise_for(case, seed=3), tau=0.0)
    second, others = prior_pass(case, noise_for(case, seed=4), tau=0.0)
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(latents, others, strict=True))


@torch.no_grad()
def test_a_latent_is_its_prior_at_the_temperature(case: Case) -> None:
    noise = noise_for(case)
    keep = [torch.zeros_like(eps, dtype=torch.bool) for eps in noise]
    _, levels = case.model.decode(noise, noise, keep, torch.full((3, len(noise)), 0.7))
    for level, eps in zip(levels, noise, strict=True):
        if case.model.prior == "bernoulli":
            p, normal = level.prior.mean, torch.distributions.Normal(0.0, 1.0)
            # Exactly at the edge rounding decides, so only elements clear of it are compared.
            clear = (normal.cdf(eps) - (p.logit() / 0.7).sigmoid()).abs() > 1e-4
            drawn = (normal.cdf(eps) < (p.logit() / 0.7).sigmoid()).float()
            assert torch.equal(level.z[clear], drawn[clear])
        else:
            assert_close(level.z, level.prior.mean + 0.7 * level.prior.scale * eps)


@torch.no_grad()
def test_kl_is_not_negative_where_it_is_analytic_and_finite_everywhere(case: Case) -> None:
    _, levels = case.model.encode(case.image, noise_for(case))
    for level in levels:
        assert level.kl.isfinite().all()
        if level.analytic or case.model.prior == "bernoulli":
            assert (level.kl >= -1e-6).all(), "rounding alone may take a KL of zero below it"


@torch.no_grad()
def test_analytic_kl_is_the_mean_of_the_log_ratio(case: Case) -> None:
    """On the level whose prior and posterior do not depend on noise: the first that the posterior pass draws."""
    activations = {key: tensor[:1].expand(4096, *tensor.shape[1:]) for key, tensor in bottom_up(case).items()}
    _, levels = case.model.posterior_pass(activations, noise_for(case, batch=4096))
    fixed = [level for level in levels if level.analytic and (level.posterior.mean.std(dim=0) < 1e-6).all()]
    fixed = [level for level in fixed if (level.prior.mean.std(dim=0) < 1e-6).all()]
    for level in fixed:
        ratios = log_ratio(level).flatten(1).sum(dim=1)
        error = 5 * ratios.std() / len(ratios) ** 0.5 + 1e-4
        assert (ratios.mean() - level.kl[0].sum()).abs() < error
    assert fixed or not any(level.analytic for level in levels) or is_bottom_up(case), "nothing was compared"


def bottom_up(case: Case) -> dict[int, Tensor]:
    return case.model.bottom_up(case.image)


def is_bottom_up(case: Case) -> bool:
    """The plain hierarchical VAE draws from below: where its posterior is fixed, its prior is not."""
    return getattr(case.model.config, "inference", None) == "bottom-up" and len(case.model.shapes) > 1


@torch.no_grad()
def test_image_i_does_not_depend_on_the_batch(case: Case) -> None:
    noise = noise_for(case)
    parameters, levels = case.model.encode(case.image, noise)
    alone, own = case.model.encode(case.image[1:2], [eps[1:2] for eps in noise])
    assert_close(alone, parameters[1:2])
    for a, b in zip(own, levels, strict=True):
        assert_close(a.z, b.z[1:2])
        assert_close(a.kl, b.kl[1:2])
    drawn, _ = prior_pass(case, noise)
    drawn_alone, _ = prior_pass(case, [eps[1:2] for eps in noise])
    assert_close(drawn_alone, drawn[1:2])


@given(level=st.integers(0, 10), seed=st.integers(0, 5))
@settings(max_examples=5)
@torch.no_grad()
def test_a_level_knows_nothing_of_those_below(case: Case, level: int, seed: int) -> None:
    level %= len(case.model.shapes)
    noise, other = noise_for(case, seed), noise_for(case, seed + 100)
    changed = [eps if index <= level else other[index] for index, eps in enumerate(noise)]
    _, latents = prior_pass(case, noise)
    _, after = prior_pass(case, changed)
    for a, b in zip(latents[: level + 1], after[: level + 1], strict=True):
        assert torch.equal(a, b)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=5)
def test_latents_pack_and_unpack(case: Case, seed: int) -> None:
    latents = noise_for(case, seed)
    packed = pack(latents)
    assert packed.shape == (3, sum(shape.size for shape in case.model.shapes))
    for a, b in zip(unpack(packed, case.model.shapes), latents, strict=True):
        assert torch.equal(a, b)


@torch.no_grad()
def test_folded_model_is_the_same_function_and_leaves_the_model_alone(case: Case) -> None:
    before = {name: tensor.clone() for name, tensor in case.model.state_dict().items()}
    folded, noise = case.model.folded(), noise_for(case)
    wanted, levels = case.model.encode(case.image, noise)
    got, own = folded.encode(case.image, noise)
    assert_close(got, wanted)
    for a, b in zip(own, levels, strict=True):
        assert_close(a.kl, b.kl)
    with_priors, _ = prior_pass(Case(folded, case.image), noise)
    assert_close(with_priors, prior_pass(case, noise)[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in case.model.state_dict().items())


def test_every_parameter_gets_a_gradient_from_the_bound(case: Case) -> None:
    """In training mode, with the image and all latents in play: a parameter without one is dead weight."""
    model = tiny_copy(case)
    terms, _ = bound(model.train(), model.config.likelihood, case.image, noise_for(case))
    terms.nats.mean().backward()
    idle = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not idle


def tiny_copy(case: Case) -> HierarchicalVAE:
    return tiny(next(name for name in FAMILIES if tiny(name).config == case.model.config))


def test_both_graphs_trace_with_any_batch(case: Case) -> None:
    """What the exporter to ONNX builds on: a pass that fixes the batch (by `len`, say) is no graph."""
    model, config = case.model, case.model.config
    generator, batch = torch.Generator().manual_seed(0), torch.export.Dim("batch", min=1)
    image = (config.image_size, config.image_size, config.image_channels)
    decoder = (DecoderGraph(model), decoder_arguments(model, 2, generator))
    encoder = (EncoderGraph(model, config.likelihood), encoder_arguments(model, image, 2, generator))
    for graph, arguments in (decoder, encoder):
        program = torch.export.export(graph, arguments, dynamic_shapes=tuple({0: batch} for _ in arguments))
        three = tuple(torch.cat([argument, argument[:1]]) for argument in arguments)
        for traced, eager in zip(program.module()(*three), graph(*three), strict=True):
            assert_close(traced, eager)
