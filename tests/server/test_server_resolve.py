"""Resolving settles every choice, once: doing it again changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Settle
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from model_zoo.manifest import Manifest
from server.fields import MAX_SEED
from server.permalink import canonical, recipe_id
from server.recipe import Recipe, RecipeError, parse
from server.resolve import resolve
from server.resolve_edits import select

# The toy has level 0 at 1x1, 1 and 2 at 4x4, 3 and 4 at 8x8, and three examples.
small = st.integers(0, 1000)
temperatures = st.floats(0, 1.5)
selectors = st.one_of(
    st.lists(st.integers(0, 4), min_size=1, max_size=6), st.sampled_from(["1x1", "8x8", "4x4..8x8", "1x1..8x8"])
)
edit_sources = st.one_of(
    small.map(lambda s: {"seed": s}),
    st.lists(small, min_size=3, max_size=3).map(lambda s: {"seeds": s}),
    st.integers(0, 2).map(lambda i: {"example": i}),
)
swaps = st.fixed_dictionaries(
    {"op": st.just("swap"), "levels": selectors, "source": edit_sources},
    optional={"space": st.sampled_from(["latent", "noise"])},
)
recipes: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"n": st.just(3)},
    optional={
        "source": st.one_of(
            small.map(lambda s: {"seed": s}),
            st.lists(small, min_size=3, max_size=3).map(lambda s: {"seeds": s}),
            st.fixed_dictionaries({"example": st.integers(0, 2)}, optional={"seed": small}),
        ),
        "temperature": st.one_of(
            temperatures,
            st.lists(temperatures, min_size=5, max_size=5),
            st.dictionaries(st.sampled_from(["1x1", "4x4", "8x8"]), temperatures),
            st.fixed_dictionaries({"schedule": st.just("linear"), "from": temperatures, "to": temperatures}),
        ),
        "levels": st.dictionaries(
            st.sampled_from("01234"),
            st.fixed_dictionaries({}, optional={"draw": small, "mode": st.sampled_from(["sample", "mean"])}),
        ),
        "edits": st.lists(swaps, max_size=3),
        "output": st.fixed_dictionaries({}, optional={"image": st.sampled_from(["mean", "sample"]), "draw": small}),
    },
)


def faults(settle: Settle, **fields: object) -> dict[str, str]:
    with pytest.raises(RecipeError) as caught:
        settle(**fields)
    return {fault.pointer: fault.detail for fault in caught.value.faults}


@given(recipes)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_resolving_again_changes_nothing(manifest: Manifest, document: dict[str, Any]) -> None:
    once = resolve(Recipe.model_validate(document), manifest, fresh_seed=lambda: 5, max_images=64)
    again = resolve(parse(canonical(once).encode()), manifest, fresh_seed=lambda: 6, max_images=64)
    assert again == once
    assert recipe_id(again) == recipe_id(once)
    for index in range(once.n):
        alone = resolve(parse(canonical(once.image(index)).encode()), manifest, fresh_seed=lambda: 6, max_images=64)
        assert alone == once.image(index)
        assert alone.seeds == (once.seeds[index],)


def test_a_seed_becomes_one_seed_an_image(settle: Settle) -> None:
    assert settle(source={"seed": 7}, n=3).seeds == (7, 8, 9)
    assert settle(source={"seed": 7}, n=3) == settle(source={"seeds": [7, 8, 9]})
    assert settle(source={"example": 1, "seed": 7}, n=3).seeds == (7, 8, 9)


def test_without_a_source_the_drawn_seed_is_in_the_recipe(manifest: Manifest) -> None:
    resolved = resolve(Recipe(n=2), manifest, fresh_seed=lambda: 1234, max_images=64)
    assert resolved.seeds == (1234, 1235)


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (0.8, (0.8,) * 5),
        ([0, 1, 0.5, 0.25, 1.5], (0.0, 1.0, 0.5, 0.25, 1.5)),
        ({"4x4": 0.5, "8x8": 0}, (1.0, 0.5, 0.5, 0.0, 0.0)),
        ({"schedule": "linear", "from": 1.0, "to": 0.6}, (1.0, 0.9, 0.8, 0.7, 0.6)),
        (-0.0, (0.0,) * 5),
    ],
)
def test_every_way_to_say_temperatures(settle: Settle, temperature: object, expected: tuple[float, ...]) -> None:
    assert settle(temperature=temperature).temperature == expected


def test_minus_zero_is_the_same_recipe_as_zero(settle: Settle) -> None:
    assert recipe_id(settle(temperature=-0.0)) == recipe_id(settle(temperature=0))


@given(st.floats(0, 1.5), st.floats(0, 1.5))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_schedule_reaches_both_ends(settle: Settle, start: float, end: float) -> None:
    temperature = settle(temperature={"schedule": "linear", "from": start, "to": end}).temperature
    assert (temperature[0], temperature[-1]) == (start, end)


@pytest.mark.parametrize(
    ("selector", "levels"),
    [
        ((4, 0, 4), (0, 4)),
        ("4x4", (1, 2)),
        ("1x1..4x4", (0, 1, 2)),
        ("8x8..8x8", (3, 4)),
        ("1x1..8x8", (0, 1, 2, 3, 4)),
    ],
)
def test_levels_are_selected_by_number_resolution_or_range(
    manifest: Manifest, selector: tuple[int, ...] | str, levels: tuple[int, ...]
) -> None:
    assert select(selector, manifest) == levels


@pytest.mark.parametrize("selector", ["16x16", "4x4..", "..", "8x8..4x4", "1x1..4x4..8x8", "", "4X4", (5,)])
def test_a_selector_of_nothing_is_refused(manifest: Manifest, selector: tuple[int, ...] | str) -> None:
    with pytest.raises(ValueError, match="No such resolution|from the coarser|does not exist"):
        select(selector, manifest)


def test_only_levels_that_differ_are_kept(settle: Settle) -> None:
    resolved = settle(levels={"3": {"mode": "mean"}, "2": {}, "1": {"draw": 2}, "0": {"draw": 0, "mode": "sample"}})
    assert list(resolved.levels) == ["1", "3"]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"levels": {"5": {}}}, "#/levels/5"),
        ({"levels": {"03": {}}}, "#/levels/03"),
        ({"levels": {"-1": {}}}, "#/levels/-1"),
        ({"temperature": [1, 1]}, "#/temperature"),
        ({"temperature": {"16x16": 1}}, "#/temperature/16x16"),
        ({"n": 65}, "#/n"),
        ({"source": {"seeds": list(range(65))}}, "#/source"),
        ({"source": {"seeds": [1, 2]}, "n": 3}, "#/n"),
        ({"source": {"seed": MAX_SEED}, "n": 2}, "#/source/seed"),
        ({"source": {"example": 3}}, "#/source/example"),
        ({"edits": [{"op": "swap", "levels": [5], "source": {"seed": 1}}]}, "#/edits/0/levels"),
        ({"edits": [{"op": "swap", "levels": "2x2", "source": {"seed": 1}}]}, "#/edits/0/levels"),
        ({"edits": [{"op": "swap", "levels": [0], "source": {"example": 3}}]}, "#/edits/0/source/example"),
        ({"edits": [{"op": "swap", "levels": [0], "source": {"seeds": [1, 2]}}], "n": 3}, "#/edits/0/source/seeds"),
        ({"edits": [{"op": "keep", "levels": [0]}]}, "#/edits/0"),
    ],
)
def test_what_this_model_has_not_is_pointed_at(settle: Settle, fields: dict[str, object], where: str) -> None:
    assert list(faults(settle, **fields)) == [where]


def test_pixels_of_a_large_model_are_bounded(settle: Settle, manifest: Manifest) -> None:
    large = manifest.model_copy(update={"image": manifest.image.model_copy(update={"height": 1024, "width": 1024})})
    settle(manifest=large, n=64)
    assert list(faults(settle, manifest=large, n=64, output={"scale": 2})) == ["#/output/scale"]


def test_arrays_of_a_large_model_are_bounded(settle: Settle, manifest: Manifest) -> None:
    (level, *_) = manifest.levels
    wide = level.model_copy(update={"channels": 1_000_000})
    large = manifest.model_copy(update={"levels": (wide,)})
    assert list(faults(settle, manifest=large, n=64, output={"include": ["latents", "prior_mean"]})) == [
        "#/output/include"
    ]


def test_a_fault_says_what_there_is_instead(settle: Settle) -> None:
    assert faults(settle, levels={"9": {}}) == {"#/levels/9": "No such level; this model has levels 0 to 4"}


def test_edits_cannot_ask_for_more_work_than_images_can(settle: Settle) -> None:
    swap = {"op": "swap", "levels": [0], "source": {"seeds": list(range(64))}}
    settle(n=64, edits=[swap])
    more = {"op": "swap", "levels": [1], "source": {"seeds": list(range(100, 164))}}
    assert "more than 64" in faults(settle, n=64, edits=[swap, more])["#/edits"]


# --- discrete latents -------------------------------------------------------------------------------------------------


def swap(source: dict[str, int], space: str) -> Recipe:
    return Recipe.model_validate({"edits": [{"op": "swap", "levels": [0], "source": source, "space": space}]})


def test_the_noise_of_an_example_is_refused_where_latents_are_discrete(manifest: Manifest) -> None:
    discrete = manifest.model_copy(update={"prior": "bernoulli"})
    with pytest.raises(RecipeError) as caught:
        resolve(swap({"example": 0}, "noise"), discrete, fresh_seed=lambda: 1, max_images=4)
    (fault,) = caught.value.faults
    assert fault.pointer == "#/edits/0/space"
    assert "0 or 1" in fault.detail
    assert 'space "latent"' in fault.detail


@pytest.mark.parametrize(
    ("source", "space"), [({"example": 0}, "latent"), ({"seed": 5}, "noise"), ({"seed": 5}, "latent")]
)
def test_everything_else_stays_possible_with_discrete_latents(
    manifest: Manifest, source: dict[str, int], space: str
) -> None:
    discrete = manifest.model_copy(update={"prior": "bernoulli"})
    resolved = resolve(swap(source, space), discrete, fresh_seed=lambda: 1, max_images=4)
    assert [edit.levels for edit in resolved.edits] == [(0,)]
