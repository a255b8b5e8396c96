"""Edits act in order, each on what those before it left: as the slow reference says, for all of them together."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from slow_reference import PlainEngine, Reference

from model_zoo.manifest import Level, Manifest
from server.chain import Decoded, Outputs
from server.compose import draw, slerp
from server.engine import Engine
from server.images import to_text
from server.models import Model
from server.plan import Pass
from server.recipe import Recipe
from server.resolve import Resolved, resolve
from server.sample import sample

SIZES = ((1, 1, 3), (2, 2, 1), (4, 4, 2))  # height, width, channels; 3 does not divide a mask of 4, nor 4 one of 3
EXAMPLES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1), np.uint8)
OWN = to_text(EXAMPLES[0, ::-1])
STORED = {"ab" * 32: np.linspace(-1, 1, 39, dtype=np.float32)}


@pytest.fixture(scope="module")
def small(manifest: Manifest) -> Manifest:
    """Three levels, 39 latents, two examples."""
    levels: list[Level] = []
    for index, (height, width, channels) in enumerate(SIZES):
        offset = levels[-1].offset + levels[-1].size if levels else 0
        levels.append(Level(index=index, channels=channels, height=height, width=width, offset=offset))
    return manifest.model_copy(update={"levels": tuple(levels), "examples": manifest.examples[:2]})


def settle(manifest: Manifest, document: dict[str, Any]) -> Resolved:
    recipe = Recipe.model_validate(document)
    return resolve(recipe, manifest, fresh_seed=lambda: 0, max_images=64, stored=STORED)


def latents(manifest: Manifest, document: dict[str, Any], max_batch: int = 2) -> Any:
    engine = cast(Engine, PlainEngine(manifest, max_batch))
    return sample(engine, EXAMPLES, settle(manifest, document), ("latents",), STORED).arrays["latents"]


# --- everything together ----------------------------------------------------------------------------------------------

seeds = st.integers(0, 20)
encoded = st.sampled_from([{"example": 0}, {"example": 1}, {"image": OWN}, {"latents": "ab" * 32}])
two_seeds = st.lists(seeds, min_size=2, max_size=2).map(lambda pair: {"seeds": pair})
others = encoded | two_seeds | seeds.map(lambda seed: {"seed": seed})
temperatures = st.sampled_from([0.0, 0.5, 0.8, 1.0, 1.3])
levels = st.lists(st.integers(0, 2), min_size=1, max_size=3)
spaces = st.sampled_from(["latent", "noise"])


@st.composite
def masks(pick: st.DrawFn) -> dict[str, Any]:
    size = pick(st.integers(1, 5))
    rows = st.text("01", min_size=size, max_size=size)
    return {"resolution": size, "rows": pick(st.lists(rows, min_size=size, max_size=size))}


swaps = st.fixed_dictionaries(
    {"op": st.just("swap"), "levels": levels, "source": others, "space": spaces}, optional={"mask": masks()}
)
resamples = st.fixed_dictionaries(
    {"op": st.just("resample"), "levels": levels, "draw": seeds},
    optional={"mask": masks(), "mode": st.sampled_from(["sample", "mean"]), "temperature": temperatures},
)
interpolations = st.fixed_dictionaries(
    {
        "op": st.just("interpolate"),
        "levels": levels,
        "source": others,
        "alpha": st.sampled_from([0.0, 0.25, 0.7, 1.0]),
        "space": spaces,
    }
)
keeps = st.fixed_dictionaries({"op": st.just("keep"), "levels": levels}, optional={"mask": masks()})
rest = {
    "n": st.just(2),
    "temperature": st.lists(temperatures, min_size=3, max_size=3),
    "levels": st.dictionaries(
        st.sampled_from("012"), st.fixed_dictionaries({"draw": seeds, "mode": st.sampled_from(["sample", "mean"])})
    ),
}
drawn_recipes = st.fixed_dictionaries(
    {"source": two_seeds, "edits": st.lists(swaps | resamples | interpolations, max_size=5), **rest}
)
encoded_recipes = st.fixed_dictionaries(
    {"source": encoded, "edits": st.lists(swaps | resamples | interpolations | keeps, max_size=5), **rest}
)
recipes = drawn_recipes | encoded_recipes


COLD = {
    "source": {"seeds": [1, 2]},
    "temperature": [0.0, 0.0, 1.0],
    "edits": [{"op": "resample", "levels": [1], "temperature": 0.5, "mask": {"resolution": 2, "rows": ["10", "00"]}}],
}


@example(COLD)
@given(recipes)
@hypothesis_settings(max_examples=300)
def test_any_edits_in_any_order_are_what_the_rule_says(small: Manifest, document: dict[str, Any]) -> None:
    made = latents(small, document)
    reference = Reference(settle(small, document), small, EXAMPLES, STORED)
    for index in range(2):
        np.testing.assert_allclose(made[index], reference.latents(index), rtol=1e-3, atol=1e-3)


@given(recipes)
def test_edits_do_not_depend_on_the_batch(small: Manifest, document: dict[str, Any]) -> None:
    together = latents(small, document, max_batch=2)
    np.testing.assert_array_equal(latents(small, document, max_batch=1), together)
    for index in range(2):
        alone = settle(small, document).image(index).model_dump(mode="json", by_alias=True)
        np.testing.assert_array_equal(latents(small, alone)[0], together[index])


# --- to the last bit --------------------------------------------------------------------------------------------------


def with_edit(document: dict[str, Any], *edits: dict[str, Any]) -> dict[str, Any]:
    return {**document, "edits": [*document["edits"], *edits]}


@given(recipes, interpolations)
def test_alpha_0_changes_nothing_and_alpha_1_is_a_swap(
    small: Manifest, document: dict[str, Any], interpolation: dict[str, Any]
) -> None:
    none = with_edit(document, {**interpolation, "alpha": 0.0})
    np.testing.assert_array_equal(latents(small, none), latents(small, document))
    whole = with_edit(document, {**interpolation, "alpha": 1.0})
    swap = {name: value for name, value in interpolation.items() if name != "alpha"} | {"op": "swap"}
    np.testing.assert_array_equal(latents(small, whole), latents(small, with_edit(document, swap)))


@given(recipes, swaps | resamples)
def test_an_empty_mask_changes_nothing_and_a_full_one_is_no_mask(
    small: Manifest, document: dict[str, Any], edit: dict[str, Any]
) -> None:
    empty = with_edit(document, {**edit, "mask": {"resolution": 2, "rows": ["00", "00"]}})
    np.testing.assert_array_equal(latents(small, empty), latents(small, document))
    full = with_edit(document, {**edit, "mask": {"resolution": 2, "rows": ["11", "11"]}})
    plain = with_edit(document, {name: value for name, value in edit.items() if name != "mask"})
    np.testing.assert_array_equal(latents(small, full), latents(small, plain))


@given(recipes, swaps | resamples, masks())
def test_levels_above_an_edit_stay_as_they_were(
    small: Manifest, document: dict[str, Any], edit: dict[str, Any], mask: dict[str, Any]
) -> None:
    before, after = latents(small, document), latents(small, with_edit(document, {**edit, "mask": mask}))
    first = small.levels[min(edit["levels"])].offset
    np.testing.assert_array_equal(after[:, :first], before[:, :first])


@given(recipes, masks())
def test_a_painted_area_in_two_parts_is_the_whole(
    small: Manifest, document: dict[str, Any], mask: dict[str, Any]
) -> None:
    """Latents copied within a mask and then outside it are latents copied everywhere."""
    swap = {"op": "swap", "levels": [0, 1, 2], "source": {"example": 1}}
    outside = {**mask, "rows": [row.translate(str.maketrans("01", "10")) for row in mask["rows"]]}
    parts = with_edit(document, {**swap, "mask": mask}, {**swap, "mask": outside})
    np.testing.assert_array_equal(latents(small, parts), latents(small, with_edit(document, swap)))


# --- single rules -----------------------------------------------------------------------------------------------------


def test_without_an_interpolation_one_decode_makes_the_images(small: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = PlainEngine.decode

    def count(engine: PlainEngine, work: Pass, outputs: Outputs) -> Decoded:
        decoded.append(len(work))
        return decode(engine, work, outputs)

    monkeypatch.setattr(PlainEngine, "decode", count)
    edits = [
        {"op": "resample", "levels": [1], "draw": 2, "mask": {"resolution": 2, "rows": ["01", "00"]}},
        {"op": "swap", "levels": [0], "source": {"seed": 3}, "space": "noise"},
        {"op": "keep", "levels": [2]},
    ]
    latents(small, {"source": {"example": 0}, "n": 2, "edits": edits})
    latents(small, {"source": {"seed": 0}, "n": 2})
    assert decoded == [2, 2]
    between = {"op": "interpolate", "levels": [0], "source": {"seed": 3}, "alpha": 0.5, "space": "noise"}
    latents(small, {"source": {"seed": 0}, "n": 2, "edits": [between]})
    assert decoded == [2, 2, 2]
    latents(small, {"source": {"seed": 0}, "n": 2, "edits": [{**between, "space": "latent"}]})
    assert decoded == [2, 2, 2, 1, 2, 2]  # the other image, a look, the images


def test_the_cost_of_a_recipe_is_known_before(small: Manifest) -> None:
    between = {"op": "interpolate", "levels": [0], "source": {"seed": 3}, "alpha": 0.5}
    assert settle(small, {"source": {"seed": 0}, "n": 2}).decodes == 2
    assert settle(small, {"source": {"seed": 0}, "n": 2, "edits": [between]}).decodes == 5


def test_a_part_of_a_level_may_be_cooler_than_the_rest(manifest: Manifest) -> None:
    """Half the temperature at the same tau is half the noise."""
    work, level = Pass.blank(1, manifest), manifest.levels[0]
    everywhere, first = np.ones(4, np.bool_), np.array([True, False, False, False])
    draw(work, level, everywhere, np.full((1, 4), 2, np.float32), 1.0)
    draw(work, level, first, np.full((1, 4), 2, np.float32), 0.5)
    assert work.noise[0, :4].tolist() == [1, 2, 2, 2]
    assert work.temperature[0, 0] == 1
    draw(work, level, everywhere, np.full((1, 4), 2, np.float32), 0.0)
    draw(work, level, first, np.full((1, 4), 2, np.float32), 0.5)
    assert work.noise[0, :4].tolist() == [2, 0, 0, 0]
    assert work.temperature[0, 0] == 0.5


def test_an_arc_keeps_the_size_of_the_noise_and_a_line_does_not() -> None:
    here, there = np.random.default_rng(0).normal(size=(2, 3, 10_000)).astype(np.float32)
    there *= (np.linalg.norm(here, axis=1) / np.linalg.norm(there, axis=1))[:, None]
    middle = slerp(here, there, 0.5)
    np.testing.assert_allclose(np.linalg.norm(middle, axis=1), np.linalg.norm(here, axis=1), rtol=1e-5)
    assert (np.linalg.norm((here + there) / 2, axis=1) < 0.75 * np.linalg.norm(here, axis=1)).all()
    np.testing.assert_allclose(slerp(here, here, 0.3), here, rtol=1e-6)
    np.testing.assert_allclose(slerp(np.zeros_like(here), there, 0.5), there / 2, rtol=1e-6)


@pytest.mark.parametrize("space", ["latent", "noise"])
def test_a_real_model_goes_from_one_image_to_the_other(toy: Model, space: str) -> None:
    """The mean square step to the far end shrinks as alpha grows."""
    far = make(toy, [{"op": "swap", "levels": "1x1..8x8", "source": {"example": 1}, "space": space}])
    way = [{"op": "interpolate", "levels": "1x1..8x8", "source": {"example": 1}, "space": space, "alpha": a / 4}
           for a in range(5)]  # fmt: skip
    distances = [float(np.square(make(toy, [edit]) - far).mean()) for edit in way]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == 0


def make(toy: Model, edits: list[dict[str, Any]]) -> Any:
    recipe = Recipe.model_validate({"source": {"seed": 1}, "edits": edits})
    resolved = resolve(recipe, toy.bundle.manifest, fresh_seed=lambda: 0, max_images=4)
    return sample(toy.engine, toy.examples, resolved, ("latents",)).arrays["latents"]
