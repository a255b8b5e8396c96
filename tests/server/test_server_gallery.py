"""Many recipes at once are what each makes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Settle
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from server.gallery import render, render_latents, render_means
from server.images import to_text
from server.models import Model
from server.sample import sample

sources = st.sampled_from([{"seed": 1}, {"seed": 5}, {"example": 0}, {"example": 2, "seed": 3}])
others = st.sampled_from([{"seed": 9}, {"example": 1}])
levels = st.lists(st.integers(0, 4), min_size=1, max_size=3)
edits = st.fixed_dictionaries(
    {"op": st.just("swap"), "levels": levels, "source": others, "space": st.sampled_from(["latent", "noise"])}
) | st.fixed_dictionaries(
    {
        "op": st.just("interpolate"),
        "levels": levels,
        "source": others,
        "space": st.sampled_from(["latent", "noise"]),
        "alpha": st.sampled_from([0.0, 0.3, 1.0]),
    }
)
recipes = st.fixed_dictionaries(
    {
        "source": sources,
        "temperature": st.sampled_from([0.7, 1.0]),
        "edits": st.lists(edits, max_size=2),
        "output": st.fixed_dictionaries({"image": st.sampled_from(["mean", "sample"])}),
    }
)


@given(st.lists(recipes, min_size=1, max_size=6))
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_images_and_latents_are_those_of_sample_to_the_last_bit(
    toys: dict[str, Model], settle: Settle, documents: list[dict[str, Any]]
) -> None:
    model = toys["vdvae-toy-colour"]
    resolved = [settle(model.bundle.manifest, **document) for document in documents]
    alone = [sample(model.engine, model.examples, recipe, ("latents",)) for recipe in resolved]
    np.testing.assert_array_equal(render(model, resolved, {}), np.concatenate([made.images for made in alone]))
    latents = np.concatenate([made.arrays["latents"] for made in alone])
    np.testing.assert_array_equal(render_latents(model, resolved, {}), latents)


def test_means_round_to_the_mean_image(toys: dict[str, Model], settle: Settle) -> None:
    for model in toys.values():
        recipes = [settle(model.bundle.manifest, source={"seed": seed}) for seed in range(5)]
        values = render_means(model, recipes, {})
        assert (values != np.round(values)).any()
        np.testing.assert_array_equal(np.round(values).astype(np.uint8), render(model, recipes, {}))


def test_what_several_recipes_refer_to_is_encoded_once(
    toy: Model, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = type(toy.engine).encode

    def count(engine: Any, images: Any, noise: Any, outputs: Any) -> Any:
        encoded.append(len(images))
        return encode(engine, images, noise, outputs)

    monkeypatch.setattr(type(toy.engine), "encode", count)
    own = {"image": to_text(toy.examples[0])}
    render(toy, [settle(source=source) for source in ({"example": 1}, own, {"example": 1}, own)], {})
    assert encoded == [2]
