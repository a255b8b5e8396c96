"""Flow cells: autoregressive in channels and positions, so that volume is kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.models.flows import FlowCell, FlowPair, MaskedConv2d, causal_mask
from training.models.nvae_cells import norm

CHANNELS, SIZE = 3, 4


def jacobian(cell: torch.nn.Module) -> Tensor:
    """d output / d input [N, N] with N ordered by position, then channel."""
    z = torch.randn(CHANNELS, SIZE, SIZE, dtype=torch.float32)
    full = torch.autograd.functional.jacobian(lambda x: cell(x[None])[0], z)  # [C, H, W, C, H, W]
    return full.permute(1, 2, 0, 4, 5, 3).reshape(z.numel(), z.numel())


@pytest.fixture
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.usefixtures("seeded")
def test_a_cell_sees_only_positions_and_channels_before_each_output() -> None:
    matrix = jacobian(FlowCell(CHANNELS, mirror=False))
    assert torch.equal(matrix.triu(1), torch.zeros_like(matrix))
    assert torch.equal(matrix.diagonal(), torch.ones(len(matrix)))
    assert matrix.tril(-1).count_nonzero() > 0


@pytest.mark.usefixtures("seeded")
def test_a_mirrored_cell_reads_positions_backwards_but_channels_forwards() -> None:
    matrix = jacobian(FlowCell(CHANNELS, mirror=True))
    positions = matrix.unflatten(1, (-1, CHANNELS)).unflatten(0, (-1, CHANNELS))  # [P, C, P, C]
    reversed_positions = positions.flip(0, 2).reshape(matrix.shape)
    assert torch.equal(reversed_positions.triu(1), torch.zeros_like(matrix))
    assert torch.equal(matrix.diagonal(), torch.ones(len(matrix)))


@pytest.mark.usefixtures("seeded")
def test_a_pair_keeps_volume_and_looks_both_ways() -> None:
    pair = FlowPair(CHANNELS)
    for parameter in pair.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    matrix = jacobian(pair)
    assert float(torch.linalg.det(matrix.double())) == pytest.approx(1, abs=1e-4)
    assert matrix.triu(1).count_nonzero() > 0
    assert matrix.tril(-1).count_nonzero() > 0


@pytest.mark.usefixtures("seeded")
def test_a_fresh_flow_is_near_the_identity() -> None:
    z = torch.randn(8, CHANNELS, SIZE, SIZE)
    assert float((FlowPair(CHANNELS)(z) - z).detach().abs().mean()) < 0.1


@pytest.mark.parametrize(
    ("inputs", "outputs", "see_self", "rows"),
    [
        (2, 2, False, ["00", "10"]),
        (2, 2, True, ["10", "11"]),
        (2, 4, False, ["00", "00", "10", "10"]),  # every input's share is two outputs
        (4, 2, True, ["1100", "1111"]),  # every output's share is two inputs
        (1, 3, True, ["1", "1", "1"]),  # depthwise
    ],
)
def test_channels_seen_at_the_position_itself(inputs: int, outputs: int, see_self: bool, rows: list[str]) -> None:
    mask = causal_mask(inputs, outputs, 3, see_self=see_self)
    assert ["".join(str(int(seen)) for seen in row) for row in mask[:, :, 1, 1]] == rows


def test_positions_seen() -> None:
    mask = causal_mask(1, 1, 3, see_self=False)[0, 0]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]


def test_weights_are_masked_before_they_are_normalised() -> None:
    torch.manual_seed(0)
    conv = MaskedConv2d(3, 6, 3, see_self=True, mirror=False)
    weight = conv.effective_weight()
    assert torch.equal(weight, weight * conv.mask)
    assert torch.allclose(norm(weight), conv.log_weight_norm.exp(), rtol=1e-3)


def test_masks_are_no_part_of_the_state_but_follow_the_model() -> None:
    conv = MaskedConv2d(3, 6, 3, see_self=True, mirror=False)
    assert "mask" not in conv.state_dict()
    assert conv.to(torch.float64).mask.dtype == torch.float64
