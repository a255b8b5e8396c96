"""The penalties on weights: singular values by power iteration, and batch norms' scales."""

from __future__ import annotations

import torch
from tiny_families import tiny
from torch import Tensor, nn

from training.models.nvae_cells import WNConv2d
from training.norms import NormPenalty, effective_weight


def exact(model: nn.Module) -> float:
    convs = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    return sum(float(torch.linalg.matrix_norm(effective_weight(conv).detach().flatten(1), 2)) for conv in convs)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(WNConv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=4))


def test_the_first_call_is_close_from_below_and_later_calls_come_closer() -> None:
    model = tiny("nvae-flows")
    torch.manual_seed(0)
    penalty = NormPenalty(model)
    with torch.no_grad():
        values = [float(penalty.spectral()) for _ in range(20)]
    wanted = exact(model)
    assert 0.99 * wanted <= values[0] <= wanted * (1 + 1e-5)
    assert values[0] <= values[-1] <= wanted * (1 + 1e-5)


def test_the_vectors_follow_weights_that_change() -> None:
    model = small()
    penalty = NormPenalty(model)
    with torch.no_grad():
        penalty()
        for conv in model.modules():
            if isinstance(conv, nn.Conv2d):
                conv.weight.add_(0.1 * torch.randn_like(conv.weight))
        values = [float(penalty.spectral()) for _ in range(30)]
    assert abs(values[-1] - exact(model)) < 1e-3 * exact(model)


def test_gradients_are_those_of_the_largest_singular_values() -> None:
    model = small()
    penalty = NormPenalty(model)
    for _ in range(50):
        penalty()
    penalty.spectral().backward()
    conv = model[2]
    assert isinstance(conv, nn.Conv2d)
    u, _, vh = torch.linalg.svd(conv.weight.detach().flatten(1), full_matrices=False)
    assert torch.allclose(gradient(conv), torch.outer(u[:, 0], vh[0]), atol=1e-3)


def gradient(conv: nn.Conv2d) -> Tensor:
    assert conv.weight.grad is not None
    return conv.weight.grad.flatten(1)


def test_batch_norms_count_by_their_largest_scale() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2))
    for norm, scales in zip(model, ([1.0, -3.0], [0.5, 0.25]), strict=True):
        assert isinstance(norm, nn.BatchNorm2d)
        norm.weight.data = torch.tensor(scales)
    assert float(NormPenalty(model)()) == 3.5


def test_a_model_without_such_layers_has_no_penalty() -> None:
    penalty = NormPenalty(nn.Linear(2, 2))
    assert float(penalty()) == 0
    assert penalty.layers == 0


def test_the_state_continues_exactly_and_holds_no_weights() -> None:
    model = small()
    first = NormPenalty(model)
    first()
    state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    wanted = float(first())
    again = NormPenalty(model)
    again.load_state_dict(state)
    assert float(again()) == wanted
    assert list(again.parameters()) == []


def test_autocast_does_not_touch_the_iteration() -> None:
    model = small()
    torch.manual_seed(1)
    plain = NormPenalty(model)
    torch.manual_seed(1)
    autocast = NormPenalty(model)
    with torch.autocast("cpu", torch.bfloat16):
        value = autocast()
    assert float(value) == float(plain())
