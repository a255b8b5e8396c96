"""Every feature is a choice of noise, given, keep and temperature; these tests read the choice off the arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Settle

from model_zoo.manifest import Manifest
from server.compose import Seen, compose
from server.noise import normal
from server.plan import Known, Pass, noise_of, source_pass, start
from server.resolve import Resolved, references
from server.sources import ExampleImage, Reference, SeedSource

EXAMPLE, OTHER = ExampleImage(example=0), SeedSource(seed=99)


def plan(recipe: Resolved, manifest: Manifest) -> Pass:
    return compose(recipe, manifest, known(manifest), range(recipe.n), no_look)


def no_look(work: Pass) -> Seen:
    raise AssertionError("this plan needs no decode")


def known(manifest: Manifest) -> Known:
    """Recognisable latents and noises: the example's are 0.25 and 0.5 everywhere, the other image's 2 and 3."""
    size = manifest.latents
    latents: dict[Reference, Any] = {EXAMPLE: np.full(size, 0.25, np.float32), OTHER: np.full(size, 2, np.float32)}
    return Known(latents, {EXAMPLE: np.full(size, 0.5, np.float32), OTHER: np.full(size, 3, np.float32)})


def at(array: Any, manifest: Manifest, level: int) -> Any:
    part = manifest.levels[level]
    return array[:, part.offset : part.offset + part.size]


def test_sampling_keeps_nothing_and_draws_every_level_at_its_address(settle: Settle, manifest: Manifest) -> None:
    work = plan(settle(source={"seeds": [5, 3]}, temperature=[0.1, 0.2, 0.3, 0.4, 0.5]), manifest)
    assert not work.keep.any()
    np.testing.assert_allclose(work.temperature, [[0.1, 0.2, 0.3, 0.4, 0.5]] * 2)
    for row, seed in enumerate((5, 3)):
        for level in manifest.levels:
            expected = normal(seed, level.index, 0, level.size)
            np.testing.assert_array_equal(at(work.noise, manifest, level.index)[row], expected)


@pytest.mark.parametrize("level", range(5))
def test_a_new_draw_changes_the_noise_of_its_level_and_nothing_else(
    settle: Settle, manifest: Manifest, level: int
) -> None:
    before = plan(settle(), manifest)
    after = plan(settle(levels={str(level): {"draw": 3}}), manifest)
    for other in range(5):
        same = np.array_equal(at(before.noise, manifest, other), at(after.noise, manifest, other))
        assert same == (other != level)
    np.testing.assert_array_equal(before.temperature, after.temperature)


def test_mode_mean_is_temperature_0_without_noise(settle: Settle, manifest: Manifest) -> None:
    work = plan(settle(levels={"2": {"mode": "mean"}}), manifest)
    assert work.temperature[0].tolist() == [1, 1, 0, 1, 1]
    assert not at(work.noise, manifest, 2).any()


def test_a_swap_in_latent_space_keeps_the_latents_of_the_other_image(settle: Settle, manifest: Manifest) -> None:
    swap = {"op": "swap", "levels": [0, 3], "source": {"seed": 99}, "space": "latent"}
    work = plan(settle(n=2, edits=[swap]), manifest)
    for level in range(5):
        assert at(work.keep, manifest, level).all() == (level in (0, 3))
        assert at(work.keep, manifest, level).any() == (level in (0, 3))
    assert (at(work.given, manifest, 3) == 2).all()


def test_a_swap_in_noise_space_takes_the_noise_of_a_seed_at_the_recipes_temperature(
    settle: Settle, manifest: Manifest
) -> None:
    swap = {"op": "swap", "levels": [3], "source": {"seed": 99}, "space": "noise"}
    work = plan(settle(temperature=0.7, levels={"3": {"draw": 8}}, edits=[swap]), manifest)
    assert not work.keep.any()
    np.testing.assert_array_equal(at(work.noise, manifest, 3)[0], normal(99, 3, 0, manifest.levels[3].size))
    np.testing.assert_allclose(work.temperature, 0.7)


def test_a_swap_in_noise_space_takes_the_noise_of_an_example_at_temperature_1(
    settle: Settle, manifest: Manifest
) -> None:
    swap = {"op": "swap", "levels": [3], "source": {"example": 0}, "space": "noise"}
    work = plan(settle(temperature=0.7, edits=[swap]), manifest)
    assert (at(work.noise, manifest, 3) == 0.5).all()
    np.testing.assert_allclose(work.temperature, [[0.7, 0.7, 0.7, 1.0, 0.7]])


def test_each_image_may_take_levels_from_its_own_seed(settle: Settle, manifest: Manifest) -> None:
    swap = {"op": "swap", "levels": [3], "source": {"seeds": [8, 9]}, "space": "noise"}
    work = plan(settle(n=2, edits=[swap]), manifest)
    for row, seed in enumerate((8, 9)):
        np.testing.assert_array_equal(at(work.noise, manifest, 3)[row], normal(seed, 3, 0, manifest.levels[3].size))


def test_an_example_alone_is_a_reconstruction(settle: Settle, manifest: Manifest) -> None:
    work = plan(settle(source={"example": 0}), manifest)
    assert work.keep.all()
    assert (work.given == 0.25).all()


def test_keep_holds_its_levels_and_draws_the_others_with_the_seed(settle: Settle, manifest: Manifest) -> None:
    recipe = settle(source={"example": 0, "seed": 7}, n=2, edits=[{"op": "keep", "levels": "1x1..4x4"}])
    work = plan(recipe, manifest)
    kept = manifest.levels[3].offset
    assert work.keep[:, :kept].all()
    assert not work.keep[:, kept:].any()
    np.testing.assert_array_equal(at(work.noise, manifest, 4)[1], normal(8, 4, 0, manifest.levels[4].size))


def test_of_two_whole_levels_the_later_edit_is_seen(settle: Settle, manifest: Manifest) -> None:
    keep = {"op": "keep", "levels": [0, 1]}
    swap = {"op": "swap", "levels": [1, 2], "source": {"seed": 99}}
    first = plan(settle(source={"example": 0}, edits=[keep, swap]), manifest)
    last = plan(settle(source={"example": 0}, edits=[swap, keep]), manifest)
    assert (at(first.given, manifest, 1) == 2).all()
    assert (at(last.given, manifest, 1) == 0.25).all()
    assert (at(last.given, manifest, 2) == 2).all()


def test_rows_of_a_plan_are_the_plan_of_these_rows(settle: Settle, manifest: Manifest) -> None:
    recipe = settle(n=5)
    whole, part = plan(recipe, manifest), start(recipe, manifest, Known(), range(2, 4))
    np.testing.assert_array_equal(whole.rows(2, 4).noise, part.noise)
    assert len(part) == 2


def test_other_images_are_drawn_with_draw_0_or_kept_whole(settle: Settle, manifest: Manifest) -> None:
    recipe = settle(temperature=0.7, levels={"0": {"draw": 4}})
    work = source_pass(recipe, manifest, [SeedSource(seed=3), EXAMPLE], known(manifest))
    np.testing.assert_array_equal(at(work.noise, manifest, 0)[0], normal(3, 0, 0, manifest.levels[0].size))
    np.testing.assert_allclose(work.temperature[0], 0.7)
    assert not work.keep[0].any()
    assert work.keep[1].all()
    assert (work.given[1] == 0.25).all()


def test_only_images_whose_latents_are_unknown_need_a_pass(settle: Settle) -> None:
    def swap(source: dict[str, object], space: str) -> dict[str, object]:
        return {"op": "swap", "levels": [0], "source": source, "space": space}

    recipe = settle(
        n=2,
        edits=[
            swap({"seed": 1}, "noise"),
            swap({"seeds": [1, 2]}, "latent"),
            swap({"seed": 2}, "latent"),
            swap({"example": 0}, "noise"),
        ],
    )
    assert references(recipe) == [
        (SeedSource(seed=1), "latent"),
        (SeedSource(seed=2), "latent"),
        (ExampleImage(example=0), "noise"),
    ]


def test_the_noise_of_latents_would_draw_them_again() -> None:
    rng = np.random.default_rng(0)
    z, mean, scale = rng.normal(size=(3, 2, 10)).astype(np.float32)
    scale = np.exp(scale)
    np.testing.assert_allclose(mean + scale * noise_of(z, mean, scale), z, rtol=1e-5, atol=1e-6)
