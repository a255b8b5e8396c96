"""Morphs: every frame a recipe, from keyframe to keyframe, coarse levels first where that is wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Settle
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from model_zoo.manifest import Level, Manifest
from server.gallery import render, render_latents
from server.models import Model
from server.morph import (
    Frame,
    Keyframe,
    Morph,
    bands,
    between,
    frame_count,
    frames,
    morph_faults,
    plain,
    staggered,
)
from server.recipe import Recipe
from server.resolve import Resolved, resolve

few = hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ask(**fields: Any) -> Morph:
    two = [{"source": {"seed": 1}}, {"source": {"seed": 2}}]
    return Morph.model_validate({"keyframes": two, "fps": 4, "transition_s": 1.0, **fields})


def keyframe(recipe: Resolved) -> Keyframe:
    assert plain(recipe)
    return Keyframe(recipe, recipe.source)


sources = st.sampled_from([{"seed": 1}, {"seed": 2}, {"example": 0}, {"example": 1}])
keyframes = st.lists(
    st.fixed_dictionaries({"source": sources, "temperature": st.sampled_from([0.5, 0.9, 1.2])}), min_size=2, max_size=4
)


@given(keyframes, st.booleans(), st.sampled_from([0.0, 0.5]), st.sampled_from(["auto", "noise", "latent"]))
@few
def test_every_frame_is_a_recipe_and_the_keyframes_are_their_own(
    toy: Model, settle: Settle, documents: list[dict[str, Any]], loop: bool, stagger: float, space: str
) -> None:
    asked, manifest = ask(loop=loop, stagger=stagger, space=space), toy.bundle.manifest
    ends = [settle(**document) for document in documents]
    made = frames([keyframe(end) for end in ends], asked, manifest)
    assert len(made) == frame_count(len(ends), asked) == (4 * len(ends) if loop else 4 * (len(ends) - 1) + 1)
    for frame in made:
        again = Recipe.model_validate(frame.recipe.model_dump(mode="json", by_alias=True))
        assert resolve(again, manifest, fresh_seed=lambda: 0, max_images=64) == frame.recipe
    for index, end in enumerate(ends):
        np.testing.assert_array_equal(render(toy, [made[4 * index].recipe], {}), render(toy, [end], {}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"source": {"seed": 1}, "temperature": 0.7}, {"source": {"seed": 2}, "temperature": 1.1}),
        ({"source": {"example": 0}}, {"source": {"example": 1}}),
        ({"source": {"seed": 1}}, {"source": {"example": 1}}),
        ({"source": {"example": 1}}, {"source": {"seed": 1}}),
    ],
)
@pytest.mark.parametrize("space", ["noise", "latent"])
def test_a_morph_leaves_from_one_image_and_comes_to_the_other(
    toy: Model, settle: Settle, one: dict[str, Any], other: dict[str, Any], space: Any
) -> None:
    """The frame at 0 is the first image and at 1 the last, within float32 of the latents: 1e-3."""
    here, there = settle(**one), settle(**other)
    groups = bands(toy.bundle.manifest)
    ends = [between(keyframe(here), keyframe(there), dict.fromkeys(groups, alpha), space) for alpha in (0.0, 1.0)]
    np.testing.assert_allclose(
        render_latents(toy, ends, {}), render_latents(toy, [here, there], {}), rtol=1e-3, atol=1e-3
    )


def test_frames_move_by_small_steps(toy: Model, settle: Settle) -> None:
    """No step of the way is more than three times the mean one: nothing jumps, in whatever space and order."""
    pairs = [({"seed": 1}, {"seed": 2}), ({"example": 0}, {"example": 1}), ({"example": 0}, {"seed": 1})]
    for one, other in pairs:
        for space in ("auto", "noise"):
            for stagger in (0.0, 0.6):
                asked = ask(loop=False, fps=24, easing="linear", space=space, stagger=stagger)
                ends = [keyframe(settle(source=source)) for source in (one, other)]
                made = frames(ends, asked, toy.bundle.manifest)
                latents = render_latents(toy, [frame.recipe for frame in made], {})
                steps = np.sqrt(np.square(np.diff(latents, axis=0)).mean(axis=1))
                assert steps.max() < 3 * steps.mean(), (one, other, space, stagger)


def test_temperatures_go_along(toy: Model, settle: Settle) -> None:
    ends = [keyframe(settle(temperature=0.5)), keyframe(settle(source={"seed": 2}, temperature=1.0))]
    made = frames(ends, ask(loop=False, easing="linear"), toy.bundle.manifest)
    assert [set(frame.recipe.temperature) for frame in made] == [{0.5}, {0.625}, {0.75}, {0.875}, {1.0}]


def test_two_seeds_go_through_noise_without_looking_at_latents(toy: Model, settle: Settle) -> None:
    made = frames([keyframe(settle()), keyframe(settle(source={"seed": 2}))], ask(), toy.bundle.manifest)
    assert {edit.space for frame in made for edit in frame.recipe.edits if edit.op == "interpolate"} == {"noise"}


@given(st.floats(0, 1), st.floats(0, 0.9), st.integers(1, 12))
def test_coarse_bands_are_never_behind_fine_ones(time: float, stagger: float, count: int) -> None:
    parts = [(index,) for index in range(count)]
    for easing in ("linear", "smooth"):
        alphas = [*staggered(time, stagger, parts, easing).values()]
        assert alphas == sorted(alphas, reverse=True)
        assert all(0 <= alpha <= 1 for alpha in alphas)
    assert set(staggered(0.0, stagger, parts, "smooth").values()) == {0.0}
    assert set(staggered(1.0, stagger, parts, "smooth").values()) == {1.0}
    assert len(set(staggered(time, 0.0, parts, "smooth").values())) == 1


def test_bands_are_resolutions_or_parts_of_the_only_one(manifest: Manifest) -> None:
    assert bands(manifest) == [(0,), (1, 2), (3, 4)]
    for count, sizes in ((1, [1]), (5, [1] * 5), (196, [25] * 7 + [21])):
        levels = tuple(Level(index=i, channels=1, height=1, width=1, offset=i) for i in range(count))
        made = bands(manifest.model_copy(update={"levels": levels}))
        assert [len(band) for band in made] == sizes
        assert [level for band in made for level in band] == list(range(count))


def test_times_add_up(toy: Model, settle: Settle) -> None:
    def seconds(made: list[Frame]) -> float:
        return sum(frame.seconds for frame in made)

    ends = [keyframe(settle(source={"seed": seed})) for seed in (1, 2, 3)]
    asked = ask(hold_s=0.5, transition_s=1.5, loop=True)
    assert seconds(frames(ends, asked, toy.bundle.manifest)) == pytest.approx(3 * (0.5 + 1.5))
    asked = ask(hold_s=0.5, transition_s=1.5, loop=False)
    assert seconds(frames(ends, asked, toy.bundle.manifest)) == pytest.approx(3 * 0.5 + 2 * 1.5)


def test_what_cannot_be_a_keyframe_is_named(manifest: Manifest, settle: Settle) -> None:
    one, two = settle(), settle(n=2)
    assert [f.pointer for f in morph_faults([one, two], ask(), manifest)] == ["#/keyframes/1/n"]
    discrete = manifest.model_copy(update={"prior": "bernoulli"})
    assert morph_faults([one, one], ask(), discrete) == []
    drawn_again, test_image = settle(levels={"0": {"draw": 1}}), settle(source={"example": 0})
    faults = morph_faults([one, drawn_again, test_image], ask(space="latent"), discrete)
    assert [f.pointer for f in faults] == ["#/space", "#/keyframes/1", "#/keyframes/2"]
