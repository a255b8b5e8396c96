"""Where latents are 0 or 1, what cannot be done is refused with the reason, and all else is done."""

from __future__ import annotations

from typing import Any

import pytest

from model_zoo.manifest import Manifest
from server.recipe import Recipe, RecipeError
from server.resolve import resolve

MASK = {"resolution": 2, "rows": ["01", "00"]}
RESAMPLE = {"op": "resample", "levels": [1]}
BETWEEN = {"op": "interpolate", "levels": [1], "source": {"seed": 5}, "alpha": 0.5, "space": "noise"}


def settle(manifest: Manifest, *edits: dict[str, Any], **fields: Any) -> None:
    discrete = manifest.model_copy(update={"prior": "bernoulli"})
    recipe = Recipe.model_validate({"source": {"seed": 1}, "temperature": 0.8, "edits": edits, **fields})
    resolve(recipe, discrete, fresh_seed=lambda: 1, max_images=4)


@pytest.mark.parametrize(
    ("edits", "where", "why"),
    [
        ([{**BETWEEN, "space": "latent"}], "#/edits/0/space", "nothing between"),
        ([{**BETWEEN, "source": {"example": 0}}], "#/edits/0/space", "does not say"),
        ([{"op": "swap", "levels": [1], "source": {"seed": 2}}, BETWEEN], "#/edits/1/levels", "not known"),
        ([{**RESAMPLE, "temperature": 0.5}, BETWEEN], "#/edits/1/levels", "one temperature"),
        ([{**RESAMPLE, "temperature": 0.5, "mask": MASK}], "#/edits/0/temperature", "one temperature"),
        ([{**RESAMPLE, "temperature": 0.5}, {**RESAMPLE, "mask": MASK}], "#/edits/1/mask", "one temperature"),
    ],
)
def test_what_has_no_meaning_is_refused(manifest: Manifest, edits: list[dict[str, Any]], where: str, why: str) -> None:
    with pytest.raises(RecipeError) as caught:
        settle(manifest, *edits)
    (fault,) = caught.value.faults
    assert fault.pointer == where
    assert why in fault.detail


@pytest.mark.parametrize(
    "edits",
    [
        [BETWEEN],
        [{**RESAMPLE, "mask": MASK}],
        [{**RESAMPLE, "mask": MASK, "mode": "mean"}],
        [{**RESAMPLE, "mask": MASK, "temperature": 0.8}],
        [{**RESAMPLE, "temperature": 0.5}],
        [{**RESAMPLE, "mode": "mean"}, {**RESAMPLE, "mask": MASK, "temperature": 0.5}],
        [{"op": "swap", "levels": [1], "source": {"example": 0}, "mask": MASK}, {**RESAMPLE, "mask": MASK}],
        [{"op": "swap", "levels": [1], "source": {"example": 0}}, {**RESAMPLE, "mask": MASK, "temperature": 0.5}],
        [{"op": "swap", "levels": [1], "source": {"example": 0}}, RESAMPLE, BETWEEN],
    ],
)
def test_what_has_one_is_done(manifest: Manifest, edits: list[dict[str, Any]]) -> None:
    settle(manifest, *edits)


def test_an_encoded_image_is_held_until_it_is_resampled(manifest: Manifest) -> None:
    with pytest.raises(RecipeError, match="not known"):
        settle(manifest, BETWEEN, source={"example": 0})
    settle(manifest, RESAMPLE, BETWEEN, source={"example": 0})
