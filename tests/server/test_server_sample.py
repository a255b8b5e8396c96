"""What the images promise: each depends on its own seed only, and each edit does what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Settle
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from server.edits import Mask
from server.masks import inside
from server.models import Model
from server.recipe import Recipe
from server.resolve import Resolved, resolve
from server.sample import Sample, sample

few = hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def make(model: Model, **fields: object) -> Sample:
    recipe = Recipe.model_validate({"source": {"seed": 1}, **fields})
    resolved = resolve(recipe, model.bundle.manifest, fresh_seed=lambda: 0, max_images=64)
    return sample(model.engine, model.examples, resolved, ("latents", "prior_mean", "prior_scale"))


def levels_that_differ(model: Model, one: Sample, other: Sample) -> list[int]:
    return [
        level.index
        for level in model.bundle.manifest.levels
        if not np.array_equal(
            one.arrays["latents"][:, level.offset : level.offset + level.size],
            other.arrays["latents"][:, level.offset : level.offset + level.size],
        )
    ]


@given(
    seeds=st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=7),
    temperature=st.sampled_from([1.0, 0.7, 0.0]),
    image=st.sampled_from(["mean", "sample"]),
    draws=st.dictionaries(st.sampled_from("01234"), st.integers(1, 9)),
)
@few
def test_an_image_of_a_batch_is_the_image_alone(
    any_model: Model, seeds: list[int], temperature: float, image: str, draws: dict[str, int]
) -> None:
    """To the last bit, whatever the batch, its order, and the draws."""
    fields = {
        "temperature": temperature,
        "levels": {
            key: {"draw": draw} for key, draw in draws.items() if int(key) < len(any_model.bundle.manifest.levels)
        },
        "output": {"image": image},
    }
    together = make(any_model, source={"seeds": seeds}, **fields)
    backwards = make(any_model, source={"seeds": seeds[::-1]}, **fields)
    np.testing.assert_array_equal(together.images, backwards.images[::-1])
    for index in {0, len(seeds) - 1}:
        alone = make(any_model, source={"seed": seeds[index]}, **fields)
        np.testing.assert_array_equal(alone.images[0], together.images[index])
        np.testing.assert_array_equal(alone.arrays["latents"][0], together.arrays["latents"][index])


def test_a_new_draw_at_a_level_leaves_all_levels_above_as_they_were(any_model: Model) -> None:
    before, count = make(any_model), len(any_model.bundle.manifest.levels)
    after = make(any_model, levels={str(level): {"draw": 1} for level in range(count // 2, count)})
    assert levels_that_differ(any_model, before, after)[0] >= count // 2
    assert not np.array_equal(before.images, after.images)


def test_a_new_draw_changes_its_own_level(normal_model: Model) -> None:
    middle = len(normal_model.bundle.manifest.levels) // 2
    after = make(normal_model, levels={str(middle): {"draw": 1}})
    assert levels_that_differ(normal_model, make(normal_model), after)[0] == middle


def test_temperature_0_is_the_prior_mean_whatever_the_seed(any_model: Model) -> None:
    cold = make(any_model, source={"seeds": [1, 2]}, temperature=0)
    mean = cold.arrays["prior_mean"]
    most_likely = mean if any_model.bundle.manifest.prior == "normal" else mean > 0.5
    np.testing.assert_array_equal(cold.arrays["latents"], most_likely)
    np.testing.assert_array_equal(cold.images[0], cold.images[1])


def test_mode_mean_is_temperature_0_at_that_level(any_model: Model) -> None:
    count = len(any_model.bundle.manifest.levels)
    by_mode = make(any_model, levels={"0": {"mode": "mean"}})
    by_temperature = make(any_model, temperature=[0.0] + [1.0] * (count - 1))
    np.testing.assert_array_equal(by_mode.images, by_temperature.images)


@pytest.mark.parametrize("space", ["latent", "noise"])
def test_swapping_every_level_gives_the_other_image(any_model: Model, space: str) -> None:
    everything = list(range(len(any_model.bundle.manifest.levels)))
    swapped = make(any_model, edits=[{"op": "swap", "levels": everything, "source": {"seed": 9}, "space": space}])
    np.testing.assert_array_equal(swapped.images, make(any_model, source={"seed": 9}).images)


@pytest.mark.parametrize("space", ["latent", "noise"])
def test_swapping_levels_with_oneself_changes_nothing(any_model: Model, space: str) -> None:
    swap = {"op": "swap", "levels": [0, 2], "source": {"seed": 1}, "space": space}
    np.testing.assert_array_equal(make(any_model, edits=[swap]).images, make(any_model).images)


def test_a_latent_swap_holds_z_while_a_noise_swap_adapts_to_the_levels_above(normal_model: Model) -> None:
    last = len(normal_model.bundle.manifest.levels) - 1
    level = normal_model.bundle.manifest.levels[last]
    columns = slice(level.offset, level.offset + level.size)
    other = make(normal_model, source={"seed": 9}).arrays["latents"][:, columns]
    z = {}
    for space in ("latent", "noise"):
        swap = {"op": "swap", "levels": [last], "source": {"seed": 9}, "space": space}
        z[space] = make(normal_model, edits=[swap]).arrays["latents"][:, columns]
    np.testing.assert_array_equal(z["latent"], other)
    assert not np.array_equal(z["noise"], other)


def test_the_noise_of_an_example_reconstructs_it_under_its_own_levels(normal_model: Model) -> None:
    everything = list(range(len(normal_model.bundle.manifest.levels)))
    swap = {"op": "swap", "levels": everything, "source": {"example": 0}, "space": "noise"}
    by_noise = make(normal_model, temperature=0.5, edits=[swap]).arrays["latents"]
    by_latents = make(normal_model, source={"example": 0}).arrays["latents"]
    np.testing.assert_allclose(by_noise, by_latents, rtol=1e-3, atol=1e-3)


def test_keeping_every_level_is_the_reconstruction_and_keeping_some_draws_the_rest(any_model: Model) -> None:
    everything = list(range(len(any_model.bundle.manifest.levels)))
    whole = make(any_model, source={"example": 0})
    kept = make(any_model, source={"example": 0}, edits=[{"op": "keep", "levels": everything}])
    np.testing.assert_array_equal(kept.images, whole.images)
    some = make(any_model, source={"example": 0, "seed": 3}, n=2, edits=[{"op": "keep", "levels": [0, 1]}])
    end = sum(level.size for level in any_model.bundle.manifest.levels[:2])
    np.testing.assert_array_equal(some.arrays["latents"][0, :end], whole.arrays["latents"][0, :end])
    assert not np.array_equal(some.images[0], some.images[1])


def test_painting_on_a_reconstruction_changes_nothing_outside_the_mask(any_model: Model) -> None:
    """Every level outside it is held, and so is every other level within it."""
    levels = any_model.bundle.manifest.levels
    middle = levels[len(levels) // 2]
    mask = Mask(resolution=2, rows=("10", "00"))
    paint = {"op": "resample", "levels": [middle.index], "draw": 3, "mask": mask.model_dump(mode="json")}
    before = make(any_model, source={"example": 0})
    after = make(any_model, source={"example": 0}, edits=[paint])
    changed = before.arrays["latents"][0] != after.arrays["latents"][0]
    allowed = np.zeros_like(changed)
    allowed[middle.offset : middle.offset + middle.size] = inside(mask, middle)
    assert not changed[~allowed].any()
    if any_model.bundle.manifest.prior == "normal":
        assert changed[allowed].all()


def test_a_batch_with_one_style_each_equals_each_with_its_style(toy: Model) -> None:
    def swap(source: dict[str, object]) -> list[dict[str, object]]:
        return [{"op": "swap", "levels": "1x1", "source": source}]

    together = make(toy, source={"seeds": [1, 2]}, edits=swap({"seeds": [8, 9]}))
    for index, (seed, style) in enumerate(((1, 8), (2, 9))):
        alone = make(toy, source={"seed": seed}, edits=swap({"seed": style}))
        np.testing.assert_array_equal(alone.images[0], together.images[index])


def test_a_recipe_of_one_image_of_a_batch_makes_that_image(toy: Model, settle: Settle) -> None:
    swap = {"op": "swap", "levels": "1x1", "source": {"seeds": [8, 9, 10]}}
    recipe: Resolved = settle(source={"example": 1, "seed": 4}, n=3, edits=[{"op": "keep", "levels": [1]}, swap])
    together = sample(toy.engine, toy.examples, recipe)
    for index in range(3):
        alone = sample(toy.engine, toy.examples, recipe.image(index))
        np.testing.assert_array_equal(alone.images[0], together.images[index])


def test_the_output_noise_is_a_level_of_its_own(normal_model: Model) -> None:
    mean = make(normal_model)
    drawn = [make(normal_model, output={"image": "sample", "draw": draw}) for draw in (0, 1)]
    assert not np.array_equal(drawn[0].images, drawn[1].images)
    assert not np.array_equal(drawn[0].images, mean.images)
    np.testing.assert_array_equal(drawn[0].arrays["latents"], mean.arrays["latents"])
