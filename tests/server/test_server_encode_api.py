"""Encoding over REST, and what comes back as a source of recipes."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from server.api import create_app
from server.openapi_examples import DRAWING
from server.settings import Settings

ENCODE, SAMPLE = "/v1/models/vdvae-toy/encode", "/v1/models/vdvae-toy/sample"
NPZ = {"Accept": "application/x-npz"}


@pytest.fixture(scope="module")
def client(toy_zoo: Path, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(toy_zoo, settings), raise_server_exceptions=False) as client:
        yield client


def photo(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def encode(client: TestClient, body: dict[str, Any]) -> Any:
    response = client.post(ENCODE, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def sample(client: TestClient, **recipe: Any) -> Any:
    response = client.post(SAMPLE, json=recipe)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_answer_says_what_the_image_costs_and_how_that_was_found(client: TestClient) -> None:
    answer = encode(client, {"example": 1})
    assert (answer["model"], answer["estimator"], answer["noise_seed"]) == ("vdvae-toy", "ELBO", 0)
    assert [level["index"] for level in answer["levels"]] == [0, 1, 2, 3, 4]
    assert answer["rate_bits"] == pytest.approx(sum(level["bits"] for level in answer["levels"]))
    assert answer["nats_per_image"] == pytest.approx(answer["rate_nats"] + answer["distortion_nats"])
    assert answer["bits_per_dim"] == pytest.approx((answer["rate_bits"] + answer["distortion_bits"]) / 256)
    assert answer["psnr"] > 0
    png = base64.b64decode(answer["image"]["data"])
    assert hashlib.sha256(png).hexdigest() == answer["image"]["sha256"]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_image_as_body_is_the_image_in_json(client: TestClient, kind: str) -> None:
    content = photo(kind)
    raw = client.post(ENCODE, content=content, headers={"Content-Type": f"image/{kind.lower()}"}).json()
    assert raw == encode(client, {"image": base64.b64encode(content).decode()})
    assert raw["image"] == encode(client, {"image": raw["image"]["data"]})["image"]


def test_npz_has_the_arrays(client: TestClient) -> None:
    response = client.post(ENCODE, json={"example": 0}, headers=NPZ)
    assert response.content == client.post(ENCODE, json={"example": 0}, headers=NPZ).content
    with np.load(io.BytesIO(response.content), allow_pickle=False) as arrays:
        for name in ("latents", "posterior_mean", "posterior_scale", "kl"):
            assert (arrays[name].shape, arrays[name].dtype) == ((356,), np.float32)
        assert arrays["image"].shape == arrays["reconstruction"].shape == (16, 16, 1)
        answer = encode(client, {"example": 0})
        assert str(arrays["id"]) == answer["latents"]
        assert float(arrays["kl"].sum(dtype=np.float64)) == pytest.approx(answer["rate_nats"])


# --- as a source ------------------------------------------------------------------------------------------------------


def test_an_example_its_file_and_its_latents_are_one_source(client: TestClient, toy_zoo: Path) -> None:
    file = base64.b64encode((toy_zoo / "vdvae-toy/examples/1.png").read_bytes()).decode()
    latents = encode(client, {"example": 1})["latents"]
    edits = [{"op": "keep", "levels": "1x1..4x4"}]
    for more in ({}, {"edits": edits, "n": 2}):
        made = [
            client.post(SAMPLE, json={"source": source, **more}, headers=NPZ).content
            for source in ({"example": 1, "seed": 4}, {"image": file, "seed": 4}, {"latents": latents, "seed": 4})
        ]
        pixels = [np.load(io.BytesIO(content))["pixels"] for content in made]
        np.testing.assert_array_equal(pixels[0], pixels[1])
        np.testing.assert_array_equal(pixels[0], pixels[2])


@pytest.mark.parametrize("space", ["latent", "noise"])
def test_and_one_source_of_an_edit(client: TestClient, toy_zoo: Path, space: str) -> None:
    file = base64.b64encode((toy_zoo / "vdvae-toy/examples/1.png").read_bytes()).decode()
    latents = encode(client, {"example": 1})["latents"]
    pixels = []
    for source in ({"example": 1}, {"image": file}, {"latents": latents}):
        swap = {"op": "swap", "levels": [1, 3], "source": source, "space": space}
        answer = client.post(SAMPLE, json={"source": {"seed": 1}, "edits": [swap]}, headers=NPZ)
        pixels.append(np.load(io.BytesIO(answer.content))["pixels"])
    np.testing.assert_array_equal(pixels[0], pixels[1])
    np.testing.assert_array_equal(pixels[0], pixels[2])


def test_the_recipe_of_an_own_image_carries_it_in_the_models_size(client: TestClient) -> None:
    big = base64.b64encode(photo("PNG")).decode()
    answer = sample(client, source={"image": big})
    assert answer["recipe"]["source"] == {"image": encode(client, {"image": big})["image"]["data"], "seed": 0}
    assert answer["token_length"] == len(answer["token"])
    again = sample(client, **answer["recipe"])
    assert (again["recipe"], again["recipe_id"]) == (answer["recipe"], answer["recipe_id"])
    linked = client.get(SAMPLE, params={"r": answer["token"]}, headers={"Accept": "image/png"})
    assert base64.b64decode(answer["images"][0]["data"]) == linked.content
    own = Image.open(io.BytesIO(linked.content)).info["strata.recipe"]
    assert (
        client.post(SAMPLE, content=own, headers={"Content-Type": "application/json"}).json()["images"]
        == (answer["images"])
    )


def test_latents_of_another_model_or_forgotten_ones_say_encode_again(client: TestClient) -> None:
    other = client.post("/v1/models/vdvae-toy-colour/encode", json={"example": 0}).json()["latents"]
    for id in (other, 64 * "0"):
        swap = {"op": "swap", "levels": [0], "source": {"latents": id}}
        response = client.post(SAMPLE, json={"source": {"latents": id}, "edits": [swap]})
        assert response.status_code == 422
        errors = response.json()["errors"]
        assert [error["pointer"] for error in errors] == ["#/source/latents", "#/edits/0/source/latents"]
        assert "encode the image again" in errors[0]["detail"]


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind", "status", "problem"),
    [
        (b"{}", "application/json", 422, "invalid-recipe"),
        (b"{", "application/json", 400, "malformed"),
        (b'{"example": 3}', "application/json", 422, "invalid-recipe"),
        (b'{"example": true}', "application/json", 422, "invalid-recipe"),
        (b'{"image": "AAAA"}', "application/json", 422, "invalid-image"),
        (b'{"image": "AAAA", "seed": 1}', "application/json", 422, "invalid-recipe"),
        (b"", "image/png", 422, "invalid-image"),
        (b"not an image", "image/jpeg", 422, "invalid-image"),
        (b"GIF89a", "image/gif", 415, "unsupported-media-type"),
        (b" " * (1 << 20) + b"{}", "application/json", 413, "too-large"),
        (b"0" * ((8 << 20) + 1), "image/png", 413, "too-large"),
    ],
)
def test_what_cannot_be_encoded_is_a_problem(
    client: TestClient, content: bytes, kind: str, status: int, problem: str
) -> None:
    response = client.post(ENCODE, content=content, headers={"Content-Type": kind})
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{problem}")


@given(st.binary(max_size=200), st.sampled_from(["", "\x89PNG\r\n\x1a\n", "RIFF0000WEBP", "\xff\xd8\xff\xe0"]))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_upload_makes_the_server_fail(client: TestClient, content: bytes, start: str) -> None:
    body = start.encode("latin-1") + content
    response = client.post(ENCODE, content=body, headers={"Content-Type": "image/png"})
    assert response.status_code in (200, 422)


def test_the_documented_requests_work(client: TestClient) -> None:
    content = client.get("/openapi.json").json()["paths"]["/v1/models/{model_id}/encode"]["post"]["requestBody"][
        "content"
    ]
    assert set(content) == {"application/json", "image/png", "image/jpeg", "image/webp"}
    for example in content["application/json"]["examples"].values():
        encode(client, example["value"])
    assert len(encode(client, {"image": DRAWING})["latents"]) == 64
