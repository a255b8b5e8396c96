"""The REST contract of docs/rest.md, seen from outside."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from server.api import create_app
from server.openapi_examples import EXAMPLES
from server.settings import Settings

MODEL = "/v1/models/vdvae-toy"
SAMPLE = f"{MODEL}/sample"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def zoo(toy_zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toys, and one toy with a flipped byte."""
    zoo = tmp_path_factory.mktemp("served")
    shutil.copytree(toy_zoo, zoo, dirs_exist_ok=True)
    shutil.copytree(zoo / "vdvae-toy", zoo / "flipped")
    content = bytearray((zoo / "flipped" / "weights.bin").read_bytes())
    content[100] ^= 1
    (zoo / "flipped" / "weights.bin").write_bytes(content)
    return zoo


@pytest.fixture(scope="module")
def client(zoo: Path, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(zoo, settings, fresh_seed=lambda: 4711), raise_server_exceptions=False) as client:
        yield client


def post(client: TestClient, recipe: Any, **headers: str) -> Any:
    return client.post(SAMPLE, json=recipe, headers={name.replace("_", "-"): value for name, value in headers.items()})


def problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    """Check what all problems have in common, and return the document."""
    document: dict[str, Any] = response.json()
    assert response.status_code == status, document
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == document["request_id"]
    assert (document["status"], document["type"]) == (status, f"/problems/{kind}")
    assert document["title"]
    assert document["detail"]
    assert "Traceback" not in response.text
    return document


# --- models ---------------------------------------------------------------------------------------------------------


def test_cards_have_all_that_a_screen_needs(client: TestClient) -> None:
    listed = client.get("/v1/models").json()
    assert [card["id"] for card in listed["data"]] == ["flipped", "vdvae-toy", "vdvae-toy-colour"]
    assert listed["default"] == "vdvae-toy"
    card = client.get(MODEL).json()
    assert card in listed["data"]
    assert (card["state"], card["reason"], card["provider"], card["rng"]) == ("ready", None, "cpu", "philox-bm-1")
    assert [group["name"] for group in card["groups"]] == ["1x1", "4x4", "8x8"]
    assert [group["levels"] for group in card["groups"]] == [[0], [1, 2], [3, 4]]
    assert card["levels"][4]["group"] == "8x8"
    assert card["levels"][1]["kl_bits"] == pytest.approx(4 / np.log(2))
    assert card["temperature"] == {"min": 0.0, "max": 1.5, "default": 1.0}
    assert card["limits"] == {"max_images": 64}
    assert len(card["digest"]) == 64


def test_examples_are_the_bundles_own_files(client: TestClient, zoo: Path) -> None:
    example = client.get(MODEL).json()["examples"][2]
    response = client.get(example["url"])
    assert response.headers["content-type"] == "image/png"
    assert response.content == (zoo / "vdvae-toy/examples/2.png").read_bytes()
    problem(client.get(f"{MODEL}/examples/3"), 404, "not-found")
    problem(client.get(f"{MODEL}/examples/x"), 404, "not-found")


def test_a_broken_bundle_is_listed_with_its_reason_and_cannot_be_sampled(client: TestClient) -> None:
    card = client.get("/v1/models/flipped").json()
    assert card["state"] == "unavailable"
    assert "weights.bin has SHA-256" in card["reason"]
    document = problem(client.post("/v1/models/flipped/sample", json={}), 503, "unavailable")
    assert "weights.bin" in document["detail"]


def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(client: TestClient) -> None:
    for path in ("/v1/models/nvae", "/v1/models/nvae/sample?r=x", "/v1/models/nvae/examples/0"):
        assert "vdvae-toy" in problem(client.get(path), 404, "not-found")["detail"]


# --- sampling -------------------------------------------------------------------------------------------------------


def test_json_has_each_image_as_png_with_its_digest_and_its_own_recipe(client: TestClient) -> None:
    answer = post(client, {"source": {"seed": 7}, "n": 3, "temperature": 0.8, "output": {"scale": 2}}).json()
    assert (answer["model"], answer["levels_computed"], answer["provider"]) == ("vdvae-toy", 5, "cpu")
    assert answer["recipe"]["source"] == {"seeds": [7, 8, 9]}
    assert answer["recipe"]["temperature"] == [0.8] * 5
    assert answer["timing"]["total_ms"] >= answer["timing"]["decode_ms"] > 0
    for index, image in enumerate(answer["images"]):
        png = base64.b64decode(image["data"])
        assert hashlib.sha256(png).hexdigest() == image["sha256"]
        with Image.open(io.BytesIO(png)) as opened:
            assert opened.size == (image["width"], image["height"]) == (32, 32)
            own = json.loads(opened.info["strata.recipe"])
            assert opened.info["strata.model"] == "vdvae-toy"
        assert (image["index"], image["seed"], own["source"], own["n"]) == (index, 7 + index, {"seeds": [7 + index]}, 1)
        alone = post(client, own).json()["images"][0]
        assert alone["data"] == image["data"]


def test_the_same_recipe_gives_the_same_bytes_by_every_way(client: TestClient) -> None:
    recipe = {"source": {"seed": 7}, "edits": [{"op": "swap", "levels": "4x4", "source": {"example": 1}}]}
    answer = post(client, recipe).json()
    again = post(client, answer["recipe"]).json()
    assert (again["recipe"], again["recipe_id"], again["token"]) == (
        answer["recipe"], answer["recipe_id"], answer["token"],
    )  # fmt: skip
    png = post(client, recipe, Accept="image/png").content
    linked = client.get(SAMPLE, params={"r": answer["token"]}, headers={"Accept": "image/*"}).content
    assert base64.b64decode(answer["images"][0]["data"]) == png == linked


def test_a_seed_that_the_server_drew_is_returned(client: TestClient) -> None:
    assert post(client, {"n": 2}).json()["recipe"]["source"] == {"seeds": [4711, 4712]}


def test_several_images_as_one_png_are_a_contact_sheet_that_carries_the_whole_recipe(client: TestClient) -> None:
    recipe = {"source": {"seed": 7}, "n": 4}
    response = post(client, recipe, Accept="image/png")
    with Image.open(io.BytesIO(response.content)) as sheet:
        assert sheet.size == (32, 32)
        assert json.loads(sheet.info["strata.recipe"])["source"] == {"seeds": [7, 8, 9, 10]}
    answer = post(client, {**recipe, "output": {"layout": "grid"}}).json()
    assert base64.b64decode(answer["sheet"]["data"]) == response.content
    assert (answer["sheet"]["height"], answer["sheet"]["width"], len(answer["images"])) == (32, 32, 4)
    assert post(client, recipe).json()["sheet"] is None


def test_npz_has_pixels_and_the_arrays_that_were_asked_for(client: TestClient) -> None:
    recipe = {"source": {"seed": 7}, "n": 2, "output": {"include": ["latents", "prior_scale"]}}
    response = post(client, recipe, Accept="application/x-npz")
    assert response.headers["content-type"] == "application/x-npz"
    with np.load(io.BytesIO(response.content), allow_pickle=False) as arrays:
        assert set(arrays) == {"pixels", "seeds", "recipe", "model", "latents", "prior_scale"}
        assert (arrays["pixels"].shape, arrays["pixels"].dtype) == ((2, 16, 16, 1), np.uint8)
        assert (arrays["latents"].shape, arrays["latents"].dtype) == ((2, 356), np.float32)
        assert arrays["seeds"].tolist() == [7, 8]
        resolved = json.loads(str(arrays["recipe"]))
    assert post(client, resolved, Accept="application/x-npz").content == response.content


def test_a_permalink_is_cached_until_something_changes(client: TestClient) -> None:
    token = post(client, {"source": {"seed": 7}}).json()["token"]
    first = client.get(SAMPLE, params={"r": token})
    assert first.headers["vary"] == "Accept"
    assert "max-age" in first.headers["cache-control"]
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(SAMPLE, params={"r": token}, headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    assert client.get(SAMPLE, params={"r": token}, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get(SAMPLE, params={"r": token}, headers={"Accept": "image/png"}).headers["etag"] != etag


def test_a_posted_sample_is_not_cached(client: TestClient) -> None:
    response = post(client, {"source": {"seed": 7}})
    assert response.headers["cache-control"] == "no-store"
    assert "etag" not in response.headers


def test_headers_say_how_long_it_took_and_what_made_it(client: TestClient) -> None:
    response = post(client, {}, X_Request_Id="mine-1.2")
    assert response.headers["server-timing"].startswith("queue;dur=")
    assert response.headers["x-model-digest"] == client.get(MODEL).json()["digest"]
    assert response.headers["x-request-id"] == "mine-1.2"


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 65, b"\xe9"])
def test_an_unfit_request_id_is_replaced(client: TestClient, given: bytes) -> None:
    response = client.get("/healthz", headers={b"X-Request-Id": given})
    assert len(response.headers["x-request-id"]) == 32


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"temperature": NaN}', "#/temperature"),
        ('{"temperature": -1}', "#/temperature"),
        ('{"source": {"seed": NaN}}', "#/source/seed"),
        ('{"source": {"seed": true}}', "#/source/seed"),
        ('{"levels": {"5": {"draw": 1}}}', "#/levels/5"),
        ('{"edits": [{"op": "swap", "levels": [7], "source": {"seed": 1}}]}', "#/edits/0/levels"),
        ('{"tempreture": 1}', "#/tempreture"),
        ('{"n": 65}', "#/n"),
        ('{"source": {"image": "AAAA"}}', "#/source/image"),
        ('{"source": {"latents": "' + 64 * "0" + '"}}', "#/source/latents"),
        ('{"edits": [{"op": "extrapolate"}]}', "#/edits/0"),
    ],
)
def test_a_wrong_recipe_is_422_with_a_pointer(client: TestClient, body: str, pointer: str) -> None:
    document = problem(client.post(SAMPLE, content=body, headers=JSON), 422, "invalid-recipe")
    assert [error["pointer"] for error in document["errors"]] == [pointer]


KEYS = ["source", "seed", "seeds", "example", "image", "n", "temperature", "schedule", "from", "to", "levels", "0", "9"]
KEYS += ["draw", "mode", "edits", "op", "space", "output", "scale", "layout", "include", "recipe_version", "a/~b"]
KEYS += ["latents", "mask", "resolution", "rows", "alpha", "op", "edits", "levels"]
WORDS = [
    "linear",
    "mean",
    "sample",
    "swap",
    "keep",
    "resample",
    "interpolate",
    "01",
    "iVBORw0KGgo=",
    64 * "a",
    "noise",
    "latent",
    "1x1",
    "1x1..9x9",
    "grid",
    "",
    "é",
]
scalars = st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.just(10**40) | st.sampled_from(WORDS)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)


@given(st.dictionaries(st.sampled_from(KEYS), documents, max_size=4))
def test_whatever_is_sent_the_server_does_not_fail(client: TestClient, document: dict[str, Any]) -> None:
    response = client.post(SAMPLE, content=json.dumps(document), headers=JSON)
    assert response.status_code == 200 or problem(response, 422, "invalid-recipe")["errors"]


MASKS = st.fixed_dictionaries(
    {"resolution": st.integers(0, 3), "rows": st.lists(st.text("01x", max_size=3), max_size=3)}
)
EDITS = st.fixed_dictionaries(
    {"op": st.sampled_from(["swap", "resample", "interpolate", "keep", "melt"]), "levels": st.lists(st.integers(0, 5))},
    optional={
        "source": st.fixed_dictionaries({}, optional=dict.fromkeys(("seed", "example", "image", "latents"), scalars)),
        "mask": MASKS | scalars,
        "alpha": scalars,
        "temperature": scalars,
        "draw": scalars,
        "space": st.sampled_from(["latent", "noise", "z"]),
    },
)


@given(st.lists(EDITS, max_size=4), st.sampled_from([{"seed": 1}, {"example": 0}, {"image": "AAAA"}]))
def test_whatever_edits_are_sent_the_server_does_not_fail(
    client: TestClient, edits: list[dict[str, Any]], source: dict[str, Any]
) -> None:
    body = json.dumps({"source": source, "edits": edits})
    response = client.post(SAMPLE, content=body, headers=JSON)
    assert response.status_code == 200 or problem(response, 422, "invalid-recipe")["errors"]


def test_the_input_is_never_repeated(client: TestClient) -> None:
    response = client.post(SAMPLE, content='{"source": {"seed": "SECRET"}, "temperature": "SECRET"}', headers=JSON)
    problem(response, 422, "invalid-recipe")
    assert "SECRET" not in response.text


def test_a_reply_does_not_grow_with_the_number_of_errors(client: TestClient) -> None:
    document = problem(post(client, {"temperature": [-1] * 1000}), 422, "invalid-recipe")
    assert len(document["errors"]) == 20
    assert document["detail"] == "1000 fields are wrong"


@pytest.mark.parametrize("body", ["", "{", "{'n': 1}", "[" * 10_000])
def test_malformed_json_is_400(client: TestClient, body: str) -> None:
    problem(client.post(SAMPLE, content=body, headers=JSON), 400, "malformed")


@pytest.mark.parametrize("query", ["", "?r=", "?r=%00", "?r=abc", "?r=é", "?q=abc"])
def test_a_broken_permalink_is_400(client: TestClient, query: str) -> None:
    problem(client.get(SAMPLE + query), 400, "malformed")


@pytest.mark.parametrize("accept", ["text/html", "image/webp", "application/json;q=0", "*/*;q=0", "nonsense"])
def test_what_cannot_be_made_is_406(client: TestClient, accept: str) -> None:
    assert "image/png" in problem(post(client, {}, Accept=accept), 406, "not-acceptable")["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_415(client: TestClient, content_type: str) -> None:
    response = client.post(SAMPLE, content="{}", headers={"Content-Type": content_type})
    problem(response, 415, "unsupported-media-type")


def test_a_large_body_is_413(client: TestClient) -> None:
    problem(client.post(SAMPLE, content=b" " * (1 << 20) + b"{}", headers=JSON), 413, "too-large")


def test_unknown_addresses_and_methods_are_problems_too(client: TestClient) -> None:
    problem(client.get("/nowhere"), 404, "not-found")
    response = client.delete(MODEL)
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET"


def test_a_fault_of_the_server_is_500_without_a_traceback(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("SECRET")

    monkeypatch.setattr("server.sample_api.sample", fail)
    response = post(client, {}, X_Request_Id="r-1")
    problem(response, 500, "internal")
    assert "SECRET" not in response.text
    assert "request r-1 failed" in caplog.text


def test_more_waiting_requests_than_allowed_are_429(
    zoo: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue stands for itself: the limit is set below the nobody that waits."""
    app = create_app(zoo, settings.model_copy(update={"max_waiting": 0}))
    response = TestClient(app).post(SAMPLE, json={})
    problem(response, 429, "busy")
    assert response.headers["retry-after"] == "1"


# --- health and documentation ---------------------------------------------------------------------------------------


def test_health_and_discovery(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["models"] == {"flipped": "unavailable", "vdvae-toy": "ready", "vdvae-toy-colour": "ready"}
    found = client.get("/").json()
    for name in ("models_url", "docs_url", "openapi_url"):
        assert client.get(found[name]).status_code == 200


def test_a_server_without_a_usable_model_is_alive_but_not_ready(tmp_path: Path, settings: Settings) -> None:
    client = TestClient(create_app(tmp_path, settings))
    assert client.get("/healthz").status_code == 200
    assert "no bundle" in problem(client.get("/readyz"), 503, "unavailable")["detail"]
    assert client.get("/v1/models").json() == {"data": [], "default": None}
    (tmp_path / "empty").mkdir()
    client = TestClient(create_app(tmp_path, settings))
    assert "manifest.json" in problem(client.get("/readyz"), 503, "unavailable")["detail"]


def test_openapi_names_every_schema_it_refers_to(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    references = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            references.update([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
            walk(child)

    walk(document)
    assert {f"#/components/schemas/{name}" for name in document["components"]["schemas"]} >= references
    assert "#/components/schemas/Recipe" in references
    assert "HTTPValidationError" not in document["components"]["schemas"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_documentation_work(client: TestClient, name: str) -> None:
    assert post(client, EXAMPLES[name]).status_code == 200


def test_the_documentation_page_needs_nothing_from_outside(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "<script" not in page
    assert "src=" not in page
    assert "//" not in page.replace("http://testserver", "")
    assert "curl http://testserver/v1/models/vdvae-toy/sample" in page
    assert "Roll level 3 again" in page
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page
    assert "&quot;model&quot;: &quot;vdvae-toy&quot;" in page, "jobs name the model that is shown"
