"""The images that seeds and recipes made when they were recorded, they make today.

Floating point may differ in the last digits between instruction sets (a fused multiply-add rounds once) and between
versions of ONNX Runtime, and a grey level that lies on the edge then falls to the other side: so what is promised
everywhere is one grey level. With the instruction sets and the runtime that recorded them, the bytes are equal. (A
sample of p(x|z) could differ more where a uniform lies within rounding of its threshold; none of the recorded ones
does.)
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import numpy as np
import pytest
from golden import GOLDEN, arithmetic, recipes, render
from PIL import Image

from model_zoo.zoo import BUNDLES
from server.models import Model, open_models
from server.png import RECIPE_KEY
from server.settings import Settings

GOLD = json.loads(GOLDEN.read_text(encoding="utf-8"))
RECORDED: dict[str, Any] = GOLD["bundles"]


@pytest.fixture(scope="module")
def shipped(settings: Settings) -> dict[str, Any]:
    return {shown.id: shown.model for shown in open_models(BUNDLES, settings).shown()}


def test_every_shipped_bundle_is_recorded_as_it_is(shipped: dict[str, Model]) -> None:
    digests = {id: model.bundle.digest for id, model in shipped.items()}
    assert {id: recorded["digest"] for id, recorded in RECORDED.items()} == digests, "run tests/server/golden.py"


@pytest.mark.parametrize("name", ["sample", "reconstruction", "swap"])
@pytest.mark.parametrize("id", sorted(RECORDED))
def test_a_recipe_makes_the_image_that_was_recorded(shipped: dict[str, Model], id: str, name: str) -> None:
    model, recorded = shipped[id], RECORDED[id]["images"][name]
    pixels, png = render(model, recipes(model.bundle.manifest)[name])
    with Image.open(io.BytesIO(base64.b64decode(recorded["png"]))) as image:
        assert json.loads(image.info[RECIPE_KEY]) == json.loads(Image.open(io.BytesIO(png)).info[RECIPE_KEY])
        then = np.asarray(image).reshape(pixels.shape)
    assert np.abs(pixels.astype(int) - then).max() <= 1
    if arithmetic() == GOLD["arithmetic"]:
        assert hashlib.sha256(png).hexdigest() == recorded["sha256"]
