"""The shipped recipes: every one is valid, and the published configurations have the published networks."""

import pytest
import torch

from training.likelihoods import DMOL
from training.models.nvae import NVAE, NVAEConfig
from training.models.vdvae import VDVAE, VDVAEConfig, parse_blocks
from training.recipe import load_recipe, shipped_recipes

# name, parameters, encoder blocks, decoder blocks (levels), latent numbers N: openai/vdvae
PUBLISHED = [
    ("vdvae-cifar10", 39_145_700, 33, 43, 412_432),
    ("vdvae-imagenet32", 119_280_868, 48, 78, 765_216),
    ("vdvae-imagenet64", 125_005_860, 65, 75, 1_451_040),
    ("vdvae-ffhq256", 114_874_852, 68, 66, 4_470_816),
    ("vdvae-ffhq1024", 109_366_904, 70, 70, 27_588_640),
]


def vdvae(name: str) -> VDVAEConfig:
    config = load_recipe(name).model
    assert isinstance(config, VDVAEConfig)
    return config


# name, parameters, groups of each scale from the coarsest, latent numbers N: NVlabs/NVAE
PUBLISHED_NVAE = [
    ("nvae-mnist", 33_363_134, [5, 10], 14_400),
    ("nvae-cifar10", 130_852_480, [30], 153_600),
    ("nvae-celeba64", 153_281_364, [5, 10, 20], 467_200),
    ("nvae-imagenet32", 268_509_444, [28], 143_360),
    ("nvae-celebahq256", 330_798_664, [4, 4, 4, 8, 16], 6_005_760),
    ("nvae-ffhq256", 330_798_664, [4, 4, 4, 8, 16], 6_005_760),
]


@pytest.mark.parametrize(("name", "parameters", "encoder", "decoder", "latents"), PUBLISHED)
def test_published_configurations(name: str, parameters: int, encoder: int, decoder: int, latents: int) -> None:
    config = vdvae(name)
    with torch.device("meta"):  # shapes only: no memory, no time
        model = VDVAE(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert len(parse_blocks(config.enc_blocks)) == encoder
    assert len(parse_blocks(config.dec_blocks)) == decoder
    assert len(model.shapes) == decoder
    assert sum(shape.size for shape in model.shapes) == latents


@pytest.mark.parametrize("name", [row[0] for row in PUBLISHED])
def test_published_configurations_keep_the_published_likelihood_and_optimiser(name: str) -> None:
    recipe = load_recipe(name)
    likelihood = recipe.model.likelihood
    assert isinstance(likelihood, DMOL)
    assert likelihood.edge_rule == "reference-vdvae"
    assert likelihood.bits == (5 if name == "vdvae-ffhq256" else 8)
    assert recipe.optimiser.betas == (0.9, 0.9)
    assert recipe.schedule.kl_warmup_steps == 0
    assert not recipe.data.flips


@pytest.mark.parametrize(("name", "parameters", "groups", "latents"), PUBLISHED_NVAE)
def test_published_nvae_configurations(name: str, parameters: int, groups: list[int], latents: int) -> None:
    config = load_recipe(name).model
    assert isinstance(config, NVAEConfig)
    with torch.device("meta"):
        model = NVAE(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert config.groups == groups
    assert len(model.shapes) == sum(groups)
    assert sum(shape.size for shape in model.shapes) == latents


@pytest.mark.parametrize("name", [row[0] for row in PUBLISHED_NVAE])
def test_published_nvae_configurations_keep_the_published_objective_and_optimiser(name: str) -> None:
    recipe = load_recipe(name)
    likelihood = recipe.model.likelihood
    if isinstance(likelihood, DMOL):
        assert likelihood.edge_rule == "reference-nvae"
        assert likelihood.bits == (5 if "256" in name else 8)
    assert recipe.objective.unit == "nats/image"
    assert recipe.objective.balance_kl
    assert recipe.objective.norm_penalty in (0.1, 0.01)
    assert (recipe.optimiser.name, recipe.optimiser.eps, recipe.optimiser.weight_decay) == ("adamax", 1e-3, 3e-4)
    assert recipe.schedule.kl_warmup_steps == round(0.3 * recipe.schedule.steps + 1e-6)
    assert recipe.data.flips == (name != "nvae-mnist")


def test_network_input_of_every_published_configuration_is_about_standardised() -> None:
    for name, *_ in PUBLISHED:
        model = vdvae(name)
        assert 100 < -model.shift < 130, "the mean of natural images, in 0..255"
        assert 60 < 1 / model.scale < 75, "their standard deviation"


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_and_carries_its_own_name(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    assert recipe.data.image_size in (None, recipe.model.image_size)
