"""Dense ladder VAE: the merge of both directions, and how the three models to be compared differ."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tiny_families import DENSE, IMAGE, tiny

from training.latents import standard_noise
from training.models.contract import Normal
from training.models.families import Model, build
from training.models.ladder_dense import merge
from training.recipe import load_recipe

numbers = st.floats(-3, 3)


@given(numbers, numbers, numbers, numbers)
def test_merge_is_the_product_of_the_two_gaussians(a: float, b: float, log_a: float, log_b: float) -> None:
    up, p = (Normal(torch.tensor(mean), torch.tensor(scale)) for mean, scale in ((a, log_a), (b, log_b)))
    q = merge(up, p)
    z = torch.linspace(-4, 4, 9)

    def log_density(n: Normal) -> torch.Tensor:
        return torch.distributions.Normal(n.mean.double(), n.scale.double()).log_prob(z.double())

    constant = log_density(up) + log_density(p) - log_density(q)
    assert float(constant.max() - constant.min()) < 1e-3 * (1 + float(constant.abs().max()))


def test_merge_is_never_wider_than_either() -> None:
    q = merge(Normal(torch.zeros(2), torch.tensor([0.0, -2.0])), Normal(torch.ones(2), torch.tensor([-1.0, 1.0])))
    assert (q.log_scale < torch.tensor([-1.0, -2.0])).all()


@torch.no_grad()
def test_a_ladder_posterior_listens_to_the_levels_above_and_a_plain_one_does_not() -> None:
    for name, listens in (("lvae-dense", True), ("hvae-dense", False)):
        model = tiny(name)
        image = torch.zeros(1, 1, 8, 8)
        noise = standard_noise(model.shapes, 1, torch.Generator().manual_seed(0))
        other = [noise[0] + 1, *noise[1:]]
        before, after = (model.encode(image, eps)[1][-1].posterior.mean for eps in (noise, other))
        assert torch.equal(before, after) != listens


def test_with_one_level_both_inferences_are_the_same_model() -> None:
    ladder, plain = (load_recipe("vae-mnist", [f"model.inference={way}"]).model for way in ("ladder", "bottom-up"))
    torch.manual_seed(0)
    a, b = build(ladder).eval(), build(plain).eval()
    b.load_state_dict(a.state_dict())
    image, noise = torch.full((2, 1, 28, 28), 255.0), standard_noise(a.shapes, 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(a.encode(image, noise)[0], b.encode(image, noise)[0])


def test_the_recipe_has_the_sizes_of_the_paper() -> None:
    model = build(load_recipe("lvae-mnist").model)
    assert [shape.size for shape in model.shapes] == [4, 8, 16, 32, 64]
    sizes = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}
    assert [sizes[f"up.{level}.0.weight"] for level in range(5)] == [
        (32, 64), (64, 128), (128, 256), (256, 512), (512, 784)
    ]  # fmt: skip


def test_the_three_recipes_differ_in_the_model_alone() -> None:
    ours, plain, vanilla = (load_recipe(name) for name in ("lvae-mnist", "hvae-mnist", "vae-mnist"))
    for other in (plain, vanilla):
        for section in ("data", "objective", "optimiser", "schedule", "seed"):
            assert getattr(other, section) == getattr(ours, section)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latents": [2, 3]}, "latents has 2 levels, hidden 3"),
        ({"latents": [2, 0, 4]}, "at least 1"),
        ({"inference": "sideways"}, "'ladder' or 'bottom-up'"),
        ({"network": "cloud"}, "'dense', 'conv'"),
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(Model).validate_python(IMAGE | DENSE | change)
