"""Estimates: published figures are met, small ones are counted by hand, and nothing is allocated."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from training.data.config import Data
from training.estimate import Estimate, convolution_backward_flops, describe, estimate
from training.likelihoods import Bernoulli
from training.models.vdvae import VDVAEConfig
from training.recipe import Optimiser, Recipe, Schedule, load_recipe


def one_level(**schedule: object) -> Recipe:
    """Two encoder blocks and one level at 4x4: small enough to count with a pencil."""
    return Recipe(
        name="one-level",
        data=Data(format="idx", path=".", name="none"),
        model=VDVAEConfig(
            image_size=4,
            image_channels=1,
            width=8,
            zdim=2,
            bottleneck_multiple=0.5,
            enc_blocks="4x2",
            dec_blocks="4x1",
            shift=0,
            scale=1,
            likelihood=Bernoulli(),
        ),
        optimiser=Optimiser(lr=1e-3),
        schedule=Schedule.model_validate({"steps": 10, "batch_size": 3} | schedule),
    )


@pytest.fixture(scope="module")
def small() -> Estimate:
    return estimate(one_level())


@pytest.fixture(scope="module")
def cifar10() -> Estimate:
    return estimate(load_recipe("vdvae-cifar10"))


def test_decoder_flops_counted_by_hand(small: Estimate) -> None:
    def bottleneck(inputs: int, middle: int, outputs: int) -> int:  # multiplications of a pixel
        return inputs * middle + 2 * 9 * middle * middle + middle * outputs

    prior, project, resnet, head = bottleneck(8, 4, 2 * 2 + 8), 2 * 8, bottleneck(8, 4, 8), 8 * 1
    assert small.decoder_flops == 2 * 16 * (prior + project + resnet + head)


def test_a_step_is_the_forward_pass_and_twice_that_backward_but_for_the_image(small: Estimate) -> None:
    def bottleneck(inputs: int, middle: int, outputs: int) -> int:
        return inputs * middle + 2 * 9 * middle * middle + middle * outputs

    encoder, image = 2 * bottleneck(8, 4, 8), 9 * 1 * 8
    posterior = bottleneck(16, 4, 2 * 2)
    # No gradient with respect to the image is needed, so its convolution costs two passes, not three.
    assert small.step_flops == 3 * (2 * 16 * (encoder + posterior) + small.decoder_flops) + 2 * 2 * 16 * image


def test_activations_grow_with_the_batch_and_weights_do_not(small: Estimate) -> None:
    assert small.casts == 0
    assert small.training_memory == 5 * 4 * small.parameters + 3 * small.activations
    # Each of the 5 bottlenecks keeps the inputs of 4 GELUs and of 4 convolutions; all have 16 positions of 4 bytes.
    enough = 16 * 4 * (3 * (2 * 8 + 6 * 4) + 2 * (2 * 8 + 6 * 4))
    assert enough <= small.activations < 2 * enough


def test_bfloat16_keeps_fewer_bytes_an_image_and_a_copy_of_the_weights(small: Estimate) -> None:
    half = estimate(one_level(precision="bfloat16"))
    assert half.activations < small.activations
    assert 0 < half.casts <= 2 * half.parameters
    assert half.step_flops == small.step_flops


def test_published_cifar10(cifar10: Estimate) -> None:
    assert cifar10.parameters == 39_145_700
    assert cifar10.latents == 412_432
    assert cifar10.decoder_flops == pytest.approx(25.3e9, rel=2e-3)
    assert 5 < cifar10.step_flops / cifar10.decoder_flops < 6, "encoder, posteriors, and the backward pass"


def test_description_has_units_and_every_resolution(cifar10: Estimate) -> None:
    text = describe(load_recipe("vdvae-cifar10"), cifar10)
    for words in ("39,145,700", "412,432 in 43 levels", "25.3 GFLOP an image", "32x32", "GiB at batch size 16"):
        assert words in text


@pytest.mark.parametrize("groups", [1, 8])
def test_gradients_of_a_grouped_convolution_are_counted_once(groups: int) -> None:
    """Depthwise convolutions are most of an NVAE's decoder."""
    conv, image = torch.nn.Conv2d(8, 8, 3, padding=1, groups=groups), torch.randn(2, 8, 4, 4, requires_grad=True)
    mapping = {torch.ops.aten.convolution_backward: convolution_backward_flops}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        conv(image).sum().backward()
    forward = 2 * (2 * 16) * 8 * (8 // groups) * 9
    assert counter.get_total_flops() == 3 * forward


def test_gradients_of_a_transposed_convolution() -> None:
    conv, image = torch.nn.ConvTranspose2d(4, 6, 3, stride=2), torch.randn(2, 4, 5, 5, requires_grad=True)
    mapping = {torch.ops.aten.convolution_backward: convolution_backward_flops}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        conv(image).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * (2 * 25) * 4 * 6 * 9
