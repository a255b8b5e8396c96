"""Packed latents, and the one rule that chooses a latent."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from training.latents import LatentShape, choose, pack, standard_noise, unpack

shapes_of_models = st.lists(
    st.builds(LatentShape, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=5
)


@given(shapes_of_models, st.integers(1, 3))
def test_packing_is_undone_by_unpacking(shapes: list[LatentShape], batch: int) -> None:
    levels = [torch.randn(batch, *shape) for shape in shapes]
    packed = pack(levels)
    assert packed.shape == (batch, sum(shape.size for shape in shapes))
    for level, again in zip(levels, unpack(packed, shapes), strict=True):
        assert torch.equal(level, again)


def test_packed_order_is_top_first_then_channel_row_column() -> None:
    top, below = torch.arange(2.0).reshape(1, 2, 1, 1), torch.arange(2.0, 10).reshape(1, 2, 2, 2)
    assert pack([top, below]).tolist() == [list(range(10))]


def test_noise_is_a_function_of_the_generator() -> None:
    shapes = [LatentShape(2, 1, 1), LatentShape(2, 4, 4)]
    first = standard_noise(shapes, 3, torch.Generator().manual_seed(7))
    second = standard_noise(shapes, 3, torch.Generator().manual_seed(7))
    assert [eps.shape for eps in first] == [(3, 2, 1, 1), (3, 2, 4, 4)]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def rule(keep: Tensor, temperature: float) -> Tensor:
    mean, scale, noise, given_ = (torch.full((1, 1, 2, 2), value) for value in (1.0, 2.0, 3.0, -7.0))
    return choose(mean, scale, noise, given_, keep, torch.tensor([temperature]).view(1, 1, 1, 1))


def test_kept_elements_are_given_and_the_others_drawn() -> None:
    keep = torch.tensor([[[[True, False], [False, True]]]])
    assert rule(keep, 0.5).tolist() == [[[[-7.0, 4.0], [4.0, -7.0]]]]


def test_temperature_zero_is_the_mean_of_the_prior() -> None:
    assert rule(torch.zeros(1, 1, 2, 2, dtype=torch.bool), 0.0).unique().tolist() == [1.0]


def test_temperature_belongs_to_the_image() -> None:
    zeros, ones = torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1)
    drawn = choose(zeros, ones, ones, zeros, zeros.bool(), torch.tensor([0.25, 2.0]).view(2, 1, 1, 1))
    assert drawn.flatten().tolist() == [0.25, 2.0]
