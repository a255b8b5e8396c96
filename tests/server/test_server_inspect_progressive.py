"""Progressive reconstruction: the first k levels are the image's own, the others the prior's."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Settle

from server.encode import encode, mean_square_error, psnr
from server.gallery import render, render_latents
from server.inspect_progressive import kept_bits, progressive, steps_of
from server.models import Model
from server.recipe import RecipeError
from server.sample import sample


@pytest.mark.parametrize("others", ["mean", "sample"])
def test_step_k_holds_k_levels_and_takes_the_others_from_the_prior(
    any_model: Model, settle: Settle, others: str
) -> None:
    manifest = any_model.bundle.manifest
    count = len(manifest.levels)
    whole = settle(manifest, source={"example": 0, "seed": 5})
    posterior = encode(any_model.engine, np.asarray(any_model.examples[0])).latents
    steps = (0, 1, count // 2, count)
    recipes = progressive(whole, steps, others)  # type: ignore[arg-type]
    for kept, recipe in zip(steps, recipes, strict=True):
        made = sample(any_model.engine, any_model.examples, recipe, ("latents", "prior_mean")).arrays
        end = manifest.levels[kept].offset if kept < count else manifest.latents
        np.testing.assert_array_equal(made["latents"][0, :end], posterior[:end])
        if others == "mean" and manifest.prior == "normal":
            np.testing.assert_array_equal(made["latents"][0, end:], made["prior_mean"][0, end:])
    if others == "sample" and manifest.prior == "normal":
        np.testing.assert_array_equal(
            render_latents(any_model, [recipes[0]], {}),
            render_latents(any_model, [settle(manifest, source={"seed": 5})], {}),
        )


def test_all_levels_are_the_reconstruction(any_model: Model, settle: Settle) -> None:
    encoding = encode(any_model.engine, np.asarray(any_model.examples[0]))
    whole = settle(any_model.bundle.manifest, source={"example": 0})
    (image,) = render(any_model, progressive(whole, (len(whole.temperature),), "mean"), {})
    np.testing.assert_array_equal(image, encoding.reconstruction)
    assert psnr(mean_square_error(encoding.image, image)) == encoding.psnr


def test_bits_are_those_of_the_levels_kept(toy: Model) -> None:
    encoding = encode(toy.engine, np.asarray(toy.examples[0]))
    bits = kept_bits(encoding, (0, 2, 5))
    assert bits[0] == 0
    assert bits[1] == pytest.approx(sum(encoding.rates[:2]) / np.log(2))
    assert bits[2] == pytest.approx(sum(encoding.rates) / np.log(2))


def test_steps_by_level_by_resolution_and_by_hand(toy: Model) -> None:
    manifest = toy.bundle.manifest
    assert steps_of("levels", manifest) == (0, 1, 2, 3, 4, 5)
    assert steps_of("groups", manifest) == (0, 1, 3, 5)
    assert steps_of((3, 1, 3), manifest) == (1, 3)
    with pytest.raises(RecipeError) as caught:
        steps_of((1, 6), manifest)
    assert [fault.pointer for fault in caught.value.faults] == ["#/steps/1"]


def test_an_image_that_is_the_original_has_no_finite_psnr() -> None:
    black, grey = np.zeros((2, 2, 1), np.uint8), np.full((2, 2, 1), 5, np.uint8)
    assert psnr(mean_square_error(black, black)) is None
    assert mean_square_error(black, grey) == 25
    assert psnr(25) == pytest.approx(10 * np.log10(255**2 / 25))
