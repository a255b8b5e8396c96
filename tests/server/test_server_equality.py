"""One recipe, one image: whatever way it is asked for, it is the same file to the last byte."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from real_server import serve

from app.client import Answer, BlockingClient, Client, read
from server.api import create_app
from server.openapi_examples import DRAWING
from server.settings import Settings

RECIPES: dict[str, dict[str, Any]] = {
    "a sample, cooler below": {
        "source": {"seed": 1234},
        "temperature": {"schedule": "linear", "from": 1.0, "to": 0.5},
        "levels": {"1": {"draw": 2}},
        "output": {"image": "sample", "scale": 2},
    },
    "a test image, its fine levels from another, in noise": {
        "source": {"example": 0, "seed": 3},
        "edits": [
            {"op": "keep", "levels": "1x1..4x4"},
            {"op": "swap", "levels": "8x8", "source": {"seed": 9}, "space": "noise"},
        ],
    },
    "an upload, half the way to a test image": {
        "source": {"image": DRAWING},
        "edits": [{"op": "interpolate", "levels": "1x1..8x8", "source": {"example": 1}, "alpha": 0.5}],
    },
}


@pytest.fixture(scope="module")
def address(toy_zoo: Path, settings: Settings) -> Iterator[str]:
    with serve(create_app(toy_zoo, settings)) as address:
        yield address


@pytest.mark.parametrize("model", ["vdvae-toy", "vdvae-toy-colour"])
@pytest.mark.parametrize("name", RECIPES)
def test_one_recipe_has_one_file(address: str, model: str, name: str) -> None:
    recipe = RECIPES[name]
    url = f"{address}/v1/models/{model}"
    posted = httpx.post(f"{url}/sample", json=recipe).raise_for_status().json()
    picture = {"Accept": "image/png"}
    with BlockingClient.connect(address) as client:
        job = client.make({"kind": "sample", "model": model, "recipe": recipe})
        as_png = client.make({"kind": "sample", "model": model, "recipe": recipe, "media_type": "image/png"})
        found = {
            "POST": posted["images"][0]["sha256"],
            "POST, image/png": sha256(httpx.post(f"{url}/sample", json=recipe, headers=picture).content),
            "GET token": sha256(httpx.get(f"{url}/sample", params={"r": posted["token"]}, headers=picture).content),
            "resolved recipe": client.sample(model, posted["recipe"]).images[0].sha256,
            "client": client.sample(model, recipe).images[0].sha256,
            "client, token": client.restore(model, posted["token"]).images[0].sha256,
            "client, gallery": client.gallery(model, [recipe]).samples[0].images[0].sha256,
            "ladder's base": client.ladder(model, recipe, draws=1).base.sha256,
            "job": read(Answer, job).images[0].sha256,
            "job, image/png": sha256(as_png),
        }

    async def asynchronously() -> str:
        async with Client.connect(address) as client:
            return (await client.sample(model, recipe)).images[0].sha256

    found["async client"] = asyncio.run(asynchronously())
    assert found == dict.fromkeys(found, posted["images"][0]["sha256"])
    assert json.loads(job)["recipe_id"] == posted["recipe_id"]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
