"""Convolutional ladder VAE: where its levels are, and what makes no network."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tiny_families import CONV, IMAGE, tiny
from torch import nn

from training.latents import LatentShape
from training.models.families import Model, build
from training.models.ladder_conv import Residual
from training.recipe import load_recipe


def test_levels_of_the_shipped_recipe() -> None:
    model = build(load_recipe("lvae-conv-mnist").model)
    assert model.shapes == [
        LatentShape(16, 2, 2),
        LatentShape(16, 4, 4),
        LatentShape(16, 4, 4),
        LatentShape(8, 8, 8),
        LatentShape(8, 8, 8),
    ]


def test_the_top_prior_is_learned_and_knows_no_image() -> None:
    model = tiny("lvae-conv")
    noise = [torch.zeros(2, *shape) for shape in model.shapes]
    priors = [model.encode(torch.full((2, 1, 8, 8), grey), noise)[1][0].prior.mean for grey in (0.0, 255.0)]
    assert torch.equal(*priors)
    assert not torch.equal(priors[0], torch.zeros_like(priors[0]))


def test_a_posterior_hears_both_directions() -> None:
    model = tiny("lvae-conv")
    noise = [torch.zeros(1, *shape) for shape in model.shapes]
    other = [noise[0] + 1, *noise[1:]]
    image, black = torch.full((1, 1, 8, 8), 255.0), torch.zeros(1, 1, 8, 8)

    def lowest(pixels: torch.Tensor, eps: list[torch.Tensor]) -> torch.Tensor:
        return model.encode(pixels, eps)[1][-1].posterior.mean

    assert not torch.equal(lowest(image, noise), lowest(black, noise))
    assert not torch.equal(lowest(image, noise), lowest(image, other))


def test_folding_removes_the_norms_that_follow_a_convolution_and_no_others() -> None:
    folded = tiny("lvae-conv").folded()
    blocks = [module for module in folded.modules() if isinstance(module, Residual)]
    assert blocks
    assert all(isinstance(block.norm2, nn.Identity) and isinstance(block.norm1, nn.BatchNorm2d) for block in blocks)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latents": [2, 3]}, "latents, widths and halvings have 2, 3 and 3 entries"),
        ({"halvings": [1, -1, 1]}, "halvings at least 0"),
        ({"halvings": [1, 1, 1]}, "halved 4 times.*multiple of 16"),
        ({"blocks_per_level": 0}, "greater than 0"),
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(Model).validate_python(IMAGE | CONV | change)
