"""The Very Deep VAE: block strings, the one rule, and what published weights rely on."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from tiny_recipe import tiny_config
from torch import Tensor

from training.latents import LatentShape, standard_noise
from training.likelihoods import DMOL
from training.models.contract import PosteriorLevel
from training.models.vdvae import VDVAE, BlockSpec, DecoderBlock, VDVAEConfig, parse_blocks


def noise_for(model: VDVAE, batch: int, seed: int = 0) -> list[Tensor]:
    return standard_noise(model.shapes, batch, torch.Generator().manual_seed(seed))


def observed(model: VDVAE, images: NDArray[np.uint8]) -> Tensor:
    return model.config.likelihood.observe(torch.from_numpy(images))


def keep(model: VDVAE, batch: int, levels: int) -> list[Tensor]:
    """Keep the first `levels` levels."""
    return [torch.full((batch, *shape), index < levels) for index, shape in enumerate(model.shapes)]


def ones(model: VDVAE, batch: int) -> Tensor:
    return torch.ones(batch, len(model.shapes))


# Block strings


def test_grammar_of_block_strings() -> None:
    assert parse_blocks("32x2,32d2,16, 16m8") == [
        BlockSpec(32),
        BlockSpec(32),
        BlockSpec(32, down=2),
        BlockSpec(16),
        BlockSpec(16, mixin=8),
    ]


block = st.one_of(
    st.builds(lambda r, n: (f"{r}x{n}", [BlockSpec(r)] * n), st.integers(1, 99), st.integers(1, 9)),
    st.builds(lambda r, s: (f"{r}m{s}", [BlockSpec(r, mixin=s)]), st.integers(1, 99), st.integers(1, 99)),
    st.builds(lambda r, s: (f"{r}d{s}", [BlockSpec(r, down=s)]), st.integers(1, 99), st.integers(1, 99)),
    st.builds(lambda r: (str(r), [BlockSpec(r)]), st.integers(1, 99)),
)


@given(st.lists(block, min_size=1))
def test_every_sentence_of_the_grammar_is_read(parts: list[tuple[str, list[BlockSpec]]]) -> None:
    assert parse_blocks(",".join(text for text, _ in parts)) == [spec for _, specs in parts for spec in specs]


@pytest.mark.parametrize("text", ["", "8y2", "8x0", "0x3", "8x", "x3", "8x2,,4", "8x-1", "8x1.5", "8d2d2"])
def test_what_is_no_block_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="cannot read block"):
        parse_blocks(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enc_blocks": "8x1,8z2"}, "cannot read block '8z2'"),
        ({"enc_blocks": "16x1"}, "enc_blocks: a block at 16 cannot follow when the activation is at 8"),
        ({"enc_blocks": "8d2,8x1"}, "enc_blocks: a block at 8 cannot follow when the activation is at 4"),
        ({"enc_blocks": "8d3"}, "enc_blocks: '8d3': 8 is no multiple of it"),
        ({"enc_blocks": "8m4"}, "enc_blocks: '8m4': only the decoder mixes in"),
        ({"dec_blocks": "1x1,4d2"}, "dec_blocks: '4d2': only the encoder pools"),
        ({"dec_blocks": "1x1,2m1,8m2"}, r"dec_blocks: resolution 2 has no encoder activation; there are \[1, 4, 8\]"),
        ({"dec_blocks": "1x1,8m4"}, "dec_blocks: '8m4' mixes in resolution 4, which no block has made yet"),
        ({"dec_blocks": "4x1,8m4,1m8"}, "dec_blocks: '1m8': 1 is no multiple of 8"),
        ({"dec_blocks": "4x1,8m4,4x1"}, "dec_blocks: resolution 4 comes after 8; go from coarse to fine"),
        ({"dec_blocks": "1x1,4m1"}, "dec_blocks: no block at 8, the finest resolution"),
        ({"no_bias_above": 4, "dec_blocks": "4x1,8x1"}, "the first block at 8 starts from nothing.* e.g. '8m4'"),
        ({"custom_width_str": "8:16"}, "width 8 at 4 is below 16 at 8"),
        ({"custom_width_str": "8=4"}, "custom_width_str '8=4': write 'resolution:width"),
        ({"custom_width_str": "32:4"}, r"custom_width_str: no block works at \[32\]; blocks work at \[1, 4, 8\]"),
        ({"bottleneck_multiple": 0.1}, "width 8 at 1 times bottleneck_multiple leaves no channel"),
        ({"patch": 3}, r"image_size 8 \+ 2 \* pad 0 is no multiple of patch 3"),
        ({"depth": 3}, "Extra inputs are not permitted"),
    ],
)
def test_impossible_networks_are_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tiny_config(**changes)


# The one rule


def test_decoding_all_posterior_latents_is_the_posterior_pass(tiny_model: VDVAE, images: NDArray[np.uint8]) -> None:
    with torch.no_grad():
        parameters, levels = tiny_model.encode(observed(tiny_model, images), noise_for(tiny_model, 12))
        given_ = [level.z for level in levels]
        other = noise_for(tiny_model, 12, seed=1)
        decoded, priors = tiny_model.decode(other, given_, keep(tiny_model, 12, 4), ones(tiny_model, 12))
    torch.testing.assert_close(decoded, parameters, rtol=0, atol=1e-6)
    for level, prior in zip(levels, priors, strict=True):
        assert torch.equal(prior.z, level.z)
        torch.testing.assert_close(prior.prior.mean, level.prior.mean, rtol=0, atol=1e-6)


def test_encode_is_its_two_halves(tiny_model: VDVAE, images: NDArray[np.uint8]) -> None:
    image, noise = observed(tiny_model, images), noise_for(tiny_model, 12)
    with torch.no_grad():
        whole, _ = tiny_model.encode(image, noise)
        halves, _ = tiny_model.posterior_pass(tiny_model.bottom_up(image), noise)
    assert torch.equal(whole, halves)


def test_temperature_zero_needs_no_noise(tiny_model: VDVAE) -> None:
    zeros, none = noise_for(tiny_model, 2), keep(tiny_model, 2, 0)
    cold = torch.zeros(2, 4)
    with torch.no_grad():
        first, levels = tiny_model.decode(zeros, zeros, none, cold)
        second, _ = tiny_model.decode(noise_for(tiny_model, 2, seed=1), zeros, none, cold)
    assert torch.equal(first, second)
    assert all(torch.equal(level.z, level.prior.mean) for level in levels)


def test_noise_of_a_level_changes_no_level_above(tiny_model: VDVAE) -> None:
    noise, none = noise_for(tiny_model, 1), keep(tiny_model, 1, 0)
    with torch.no_grad():
        _, before = tiny_model.decode(noise, noise, none, ones(tiny_model, 1))
        changed = [eps + 1 if index == 2 else eps for index, eps in enumerate(noise)]
        _, after = tiny_model.decode(changed, noise, none, ones(tiny_model, 1))
    same = [torch.equal(a.z, b.z) for a, b in zip(before, after, strict=True)]
    assert same == [True, True, False, False]
    assert torch.equal(before[2].prior.mean, after[2].prior.mean), "the prior of the level itself is from above"
    assert not torch.equal(before[3].prior.mean, after[3].prior.mean)


def test_an_image_does_not_depend_on_its_neighbours(tiny_model: VDVAE) -> None:
    noise, none = noise_for(tiny_model, 5), keep(tiny_model, 5, 0)
    with torch.no_grad():
        batch, _ = tiny_model.decode(noise, noise, none, ones(tiny_model, 5))
        alone = [eps[3:4] for eps in noise]
        single, _ = tiny_model.decode(alone, alone, keep(tiny_model, 1, 0), ones(tiny_model, 1))
    torch.testing.assert_close(batch[3:4], single, rtol=0, atol=1e-5)


# Rates


def test_analytic_kl_is_not_negative_and_is_the_mean_of_the_log_ratio(
    tiny_model: VDVAE, images: NDArray[np.uint8]
) -> None:
    draws = 4000
    with torch.no_grad():
        activations = tiny_model.bottom_up(observed(tiny_model, images[:1]))
        many = {r: a.expand(draws, -1, -1, -1) for r, a in activations.items()}
        _, levels = tiny_model.posterior_pass(many, noise_for(tiny_model, draws))
    for level in levels:
        assert level.kl.min() >= -1e-6
        sampled, analytic = ratio(level), level.kl.sum(dim=(1, 2, 3))
        error = (sampled - analytic).std() / draws**0.5
        assert abs((sampled - analytic).mean()) < 5 * error + 1e-6


def ratio(level: PosteriorLevel) -> Tensor:
    q = torch.distributions.Normal(level.posterior.mean, level.posterior.scale)
    p = torch.distributions.Normal(level.prior.mean, level.prior.scale)
    return (q.log_prob(level.z) - p.log_prob(level.z)).sum(dim=(1, 2, 3))


# What is published


def test_published_initialisation() -> None:
    torch.manual_seed(0)
    model = VDVAE(tiny_config(enc_blocks="8x10,8d2,4x1,4d4,1x1"))
    with torch.no_grad():
        noise = noise_for(model, 1)
        _, levels = model.decode(noise, noise, keep(model, 1, 0), ones(model, 1))
    assert all(level.prior.mean.abs().max() == 0 for level in levels), "every level starts as N(0, 1)"
    assert all(level.prior.log_scale.abs().max() == 0 for level in levels)
    biases = [value for name, value in model.named_parameters() if re.search(r"c\d\.bias|conv\.bias|proj\.bias", name)]
    assert biases
    assert all(bias.abs().max() == 0 for bias in biases)
    # torch draws weights from U(-1/sqrt(fan in), 1/sqrt(fan in)); blocks end in sqrt(1/number of blocks) times that.
    limit = 1 / 4**0.5
    last = model.encoder.enc_blocks[0].get_parameter("c4.weight").abs().max().item()
    assert 0.7 * limit / 14**0.5 < last <= limit / 14**0.5


def test_names_and_shapes_of_published_weights() -> None:
    shapes = {name: tuple(value.shape) for name, value in VDVAE(tiny_config()).state_dict().items()}
    assert shapes["encoder.in_conv.weight"] == (8, 1, 3, 3)
    assert shapes["encoder.enc_blocks.1.c2.weight"] == (4, 4, 3, 3)
    assert shapes["encoder.enc_blocks.4.c2.weight"] == (4, 4, 1, 1), "no 3x3 where the resolution is 2 or less"
    assert shapes["decoder.dec_blocks.1.enc.c1.weight"] == (4, 16, 1, 1)
    assert shapes["decoder.dec_blocks.1.prior.c4.weight"] == (2 * 2 + 8, 4, 1, 1)
    assert shapes["decoder.dec_blocks.1.z_proj.weight"] == (8, 2, 1, 1)
    assert [shapes[f"decoder.bias_xs.{k}"] for k in range(3)] == [(1, 8, 1, 1), (1, 8, 4, 4), (1, 8, 8, 8)]
    assert shapes["decoder.out_net.out_conv.weight"] == (1, 8, 1, 1)
    assert shapes["decoder.gain"] == (1, 8, 1, 1)


# Shapes


@pytest.mark.parametrize(
    "config",
    [
        tiny_config(custom_width_str="8:4,4:8,1:12"),
        tiny_config(no_bias_above=4),
        tiny_config(image_channels=3, likelihood={"kind": "dmol", "mixtures": 2}),
        tiny_config(image_size=6, pad=1),
        tiny_config(image_size=14, pad=1, patch=2),
        tiny_config(image_channels=3, image_size=14, pad=1, patch=2, likelihood={"kind": "dmol", "mixtures": 2}),
    ],
    ids=["widths", "no-bias", "colour", "pad", "pad-patch", "pad-patch-colour"],
)
def test_both_passes_fit_the_image_and_the_gradient_reaches_every_weight(config: VDVAEConfig) -> None:
    model = VDVAE(config)
    for block_ in model.decoder.dec_blocks:
        torch.nn.init.normal_(block_.get_parameter("prior.c4.weight"))
    size, channels = config.image_size, config.image_channels
    image = torch.randint(0, 256, (2, channels, size, size), generator=torch.Generator().manual_seed(0)).float()
    parameters, levels = model.encode(image, noise_for(model, 2))
    assert parameters.shape == (2, config.likelihood.parameters(channels), size, size)
    assert model.shapes == [LatentShape(2, r, r) for r in (1, 4, 8, 8)]
    assert [tuple(level.kl.shape[1:]) for level in levels] == [tuple(shape) for shape in model.shapes]
    (config.likelihood.nats(parameters, image) + sum(level.kl.sum(dim=(1, 2, 3)) for level in levels)).sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_padding_is_black_and_patches_keep_their_place() -> None:
    model = VDVAE(tiny_config(image_size=14, pad=1, patch=2, shift=0, scale=1))
    image = torch.arange(14.0 * 14).reshape(1, 1, 14, 14)
    seen = model._to_network(image)
    assert seen.shape == (1, 4, 8, 8)
    assert seen[0, :, 0, 0].tolist() == [0, 0, 0, image[0, 0, 0, 0]]
    assert seen[0, :, 1, 1].tolist() == [image[0, 0, r, c] for r, c in ((1, 1), (1, 2), (2, 1), (2, 2))]


def test_an_even_upscale_of_the_coarser_state_enters_a_level() -> None:
    model = VDVAE(tiny_config(custom_width_str="8:4,4:8,1:8"))
    states = {4: torch.arange(8.0 * 16).reshape(1, 8, 4, 4), 8: torch.ones(1, 4, 8, 8)}
    level = model.decoder.dec_blocks[2]  # 8m4: the bias of 8, plus the first 4 channels of 4
    assert isinstance(level, DecoderBlock)
    expected = states[4][:, :4].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) + 1
    assert torch.equal(level.enter(states), expected)


def test_likelihood_of_the_recipe_is_the_one_used() -> None:
    config = tiny_config(image_channels=3, likelihood={"kind": "dmol", "mixtures": 2, "bits": 5})
    assert config.likelihood == DMOL(mixtures=2, bits=5)
