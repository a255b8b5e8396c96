"""Mixing: the recipes of two images and a choice of levels, and back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from fake_api import FakeApi, card_document, make_card
from hypothesis import given
from hypothesis import strategies as st

from app import mixing, recipes
from app.client import Card
from app.mixing import Mix, Source, Space, from_recipe, mixed

CARD = make_card((1, 4, 4, 8))
LEVELS = st.sets(st.integers(0, 3)).map(lambda chosen: tuple(sorted(chosen)))
SEEDS = st.integers(0, 1000).map(lambda seed: {"seed": seed})
EXAMPLES = st.integers(0, 2).map(lambda index: {"example": index})
SOURCES = SEEDS | EXAMPLES
MIXES = st.builds(Mix, SOURCES, SOURCES, LEVELS, st.just((1.0, 0.9, 0.8, 0.7)))


@given(MIXES, st.sampled_from(["noise", "latent"]))
def test_every_level_comes_from_exactly_one_image(mix: Mix, space: Space) -> None:
    edits = mixed(mix, space, 4)["edits"]
    named = {level: edit["source"] for edit in edits for level in edit["levels"]}
    assert sorted(level for edit in edits for level in edit["levels"]) == [0, 1, 2, 3]
    assert named == {level: mix.b if level in mix.levels else mix.a for level in range(4)}
    assert {edit["space"] for edit in edits} == {space}


@given(MIXES, st.sampled_from(["noise", "latent"]))
def test_a_mix_is_what_its_resolved_recipe_says(mix: Mix, space: Space) -> None:
    resolved = FakeApi().sample("toy", mixed(mix, space, 4))["recipe"]
    back = from_recipe(recipes.from_resolved(resolved), mix)
    if mix.a == mix.b:
        assert (back.a, back.b) == (mix.a, mix.b)
    else:
        assert back == mix


def test_a_source_alone_is_not_mixed() -> None:
    mix = Mix({"seed": 1}, {"example": 2}, (0,), (1.0,) * 4)
    assert mixing.alone(mix, mix.b)["source"] == {"example": 2}
    assert mixing.alone(mix, mix.b)["edits"] == []


@pytest.mark.parametrize("resolutions", [(1,), (1, 4), (1, 4, 4, 8), (1, 4, 8, 16, 32), (1, 2, 4, 8, 16, 32, 64)])
def test_coarse_middle_and_fine_are_all_levels_once(resolutions: tuple[int, ...]) -> None:
    parts = mixing.thirds(make_card(resolutions))
    assert [level for part in parts.values() for level in part] == list(range(len(resolutions)))
    assert parts["coarse"][0] == 0


def test_levels_of_one_resolution_are_in_three_parts_too() -> None:
    parts = mixing.thirds(make_card((1,) * 196))
    assert [len(part) for part in parts.values()] == [66, 65, 65]
    assert [level for part in parts.values() for level in part] == list(range(196))


@pytest.mark.parametrize(("a", "b"), [({"seed": 1}, {"example": 0}), ({"example": 0}, {"seed": 1})])
def test_a_test_image_of_a_model_with_discrete_latents_has_no_noise_to_give(a: Source, b: Source) -> None:
    discrete = make_card(prior="bernoulli")
    assert mixing.spaces(discrete, Mix(a, b, (), ())) == ("latent",)
    assert mixing.spaces(discrete, Mix({"seed": 1}, {"seed": 2}, (), ())) == ("noise", "latent")
    assert mixing.spaces(CARD, Mix(a, b, (), ())) == ("noise", "latent")
    assert mixing.shown_spaces(discrete, Mix(a, b, (), ()), "noise") == ("latent",)
    assert mixing.shown_spaces(CARD, Mix(a, b, (), ()), "noise") == ("noise",)


@pytest.mark.parametrize("count", [1, 4, 15, 66])
def test_cuts_reach_from_none_to_all_and_fit_the_page(count: int) -> None:
    resolutions = tuple(2 ** (5 * level // count) for level in range(count))
    cuts = mixing.cuts(make_card(resolutions))
    assert cuts[0] == 0
    assert cuts[-1] == count
    assert list(cuts) == sorted(set(cuts))
    assert len(cuts) <= max(mixing.MATRIX_COLUMNS, len(set(resolutions)) + 1)


def test_cuts_of_many_equal_levels_are_evenly_spread() -> None:
    document = card_document((1,) * 160)
    for level in document["levels"]:
        level["kl_bits"] = 0.5
    cuts = mixing.cuts(Card.model_validate(document))
    assert len(cuts) == mixing.MATRIX_COLUMNS
    assert {after - before for before, after in pairwise(cuts)} == {10, 20}


@given(SOURCES, SOURCES)
def test_rows_start_at_b_and_leave_out_a(a: Source, b: Source) -> None:
    rows = mixing.rows(Mix(a, b, (), ()), CARD)
    assert a not in rows
    assert len(rows) == len({str(row) for row in rows})
    if a != b:
        assert rows[0] == b


@given(SOURCES)
def test_sources_survive_a_link(source: Source) -> None:
    assert mixing.from_text(mixing.to_text(source), CARD) == source


@pytest.mark.parametrize(
    "text", ["", "seed", "seed-", "seed--1", "example-3", "seed-9007199254740992", "x-1", "seed-²"]
)
def test_a_source_that_is_none_is_left_out(text: str) -> None:
    assert mixing.from_text(text, CARD) is None
