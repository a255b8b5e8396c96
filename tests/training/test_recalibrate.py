"""Batch-norm statistics of a decoder for a low sampling temperature."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_families import tiny
from torch import nn

from training.recalibrate import CalibrationError, decoder_norms, recalibrate, sample


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_statistics_of_the_decoder_change_and_nothing_else() -> None:
    model = tiny("nvae-flows")
    before = copy.deepcopy(model).state_dict()
    recalibrate(model, 0.5, iterations=3, batch=4, generator=generator())
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert changed
    assert all(name.startswith(("dec_tower", "post_process")) and name.endswith(statistics) for name in changed)
    assert not any(module.training for module in model.modules())


def test_after_it_a_prior_pass_has_normalised_activations() -> None:
    """What a batch norm gives out at the temperature has mean beta and standard deviation |gamma|."""
    model = tiny("nvae")
    recalibrate(model, 0.5, iterations=200, batch=64, generator=generator())
    first = decoder_norms(model, generator())[0]
    seen = []
    first.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        sample(model, 0.5, 512, generator())
    assert torch.allclose(seen[0].mean(dim=(0, 2, 3)), first.bias, atol=0.1)
    assert torch.allclose(seen[0].std(dim=(0, 2, 3)), first.weight.abs(), atol=0.1)


def test_the_same_seed_gives_the_same_statistics() -> None:
    a, b = tiny("nvae"), tiny("nvae")
    for model in (a, b):
        recalibrate(model, 0.7, iterations=2, batch=2, generator=generator())
    for name, tensor in a.state_dict().items():
        assert torch.equal(tensor, b.state_dict()[name])


def test_a_decoder_without_batch_norm_has_nothing_to_calibrate() -> None:
    with pytest.raises(CalibrationError, match="decoder of a vdvae has no batch norm"):
        recalibrate(tiny("vdvae"), 0.7, iterations=1, batch=1, generator=generator())


def test_values_that_are_not_finite_are_refused() -> None:
    model = tiny("nvae")
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.data.fill_(float("inf"))
    with pytest.raises(CalibrationError, match=r"temperature 0\.7 gave values that are not finite"):
        recalibrate(model, 0.7, iterations=2, batch=2, generator=generator())
