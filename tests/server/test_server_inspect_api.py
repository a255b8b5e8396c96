"""Inspection over REST: one call a screen, and every cell a recipe that `sample` makes the same file of."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DISCRETE
from PIL import Image
from starlette.testclient import TestClient

from model_zoo.zoo import BUNDLES
from server.api import create_app
from server.discrete import NO_NOISE
from server.inspect_orders import NO_SLOPE
from server.openapi_examples import DRAWING, INSPECTIONS
from server.settings import Settings

TOYS = ("vdvae-toy", "vdvae-toy-colour")
NPZ, PNG = {"Accept": "application/x-npz"}, {"Accept": "image/png"}


@pytest.fixture(scope="module")
def client(toy_zoo: Path, settings: Settings) -> Iterator[TestClient]:
    small = settings.model_copy(update={"max_inspect_images": 200})
    with TestClient(create_app(toy_zoo, small), raise_server_exceptions=False) as client:
        yield client


def inspect(client: TestClient, body: dict[str, Any], model: str = "vdvae-toy") -> Any:
    response = client.post(f"/v1/models/{model}/inspect", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def refused(client: TestClient, body: dict[str, Any], model: str = "vdvae-toy") -> tuple[list[str], str]:
    """Which fields are wrong, and why."""
    response = client.post(f"/v1/models/{model}/inspect", json=body)
    assert response.status_code == 422, response.text
    problem = response.json()
    return [fault["pointer"] for fault in problem["errors"]], problem["detail"]


def check_cell(client: TestClient, model: str, cell: dict[str, Any]) -> None:
    """The cell's recipe, sent to sample, makes exactly this file."""
    assert hashlib.sha256(base64.b64decode(cell["data"])).hexdigest() == cell["sha256"]
    answer = client.post(f"/v1/models/{model}/sample", json=cell["recipe"]).json()
    assert (answer["recipe"], answer["recipe_id"]) == (cell["recipe"], cell["recipe_id"])
    assert answer["images"][0]["sha256"] == cell["sha256"]


def pixels(file: dict[str, Any]) -> Any:
    with Image.open(io.BytesIO(base64.b64decode(file["data"]))) as image:
        return np.asarray(image)


def arrays(client: TestClient, body: dict[str, Any], model: str = "vdvae-toy") -> dict[str, Any]:
    response = client.post(f"/v1/models/{model}/inspect", json=body, headers=NPZ)
    assert response.status_code == 200, response.text
    with np.load(io.BytesIO(response.content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive}


def cells_of(answer: Any) -> list[dict[str, Any]]:
    if answer["kind"] == "ladder_grid":
        return [answer["base"], *(cell for row in answer["rows"] for cell in row["cells"])]
    return answer.get("steps", [])


@pytest.mark.parametrize("name", INSPECTIONS)
@pytest.mark.parametrize("model", TOYS)
def test_every_documented_example_runs_and_every_cell_is_a_recipe(client: TestClient, model: str, name: str) -> None:
    answer = inspect(client, INSPECTIONS[name], model)
    assert (answer["model"], answer["kind"]) == (model, INSPECTIONS[name]["kind"])
    for cell in cells_of(answer):
        check_cell(client, model, cell)
    assert arrays(client, INSPECTIONS[name], model)["model"] == model


HARD = {
    "source": {"example": 0, "seed": 3},
    "n": 2,
    "temperature": [1.0, 0.9, 0.8, 0.7, 0.6],
    "levels": {"4": {"draw": 2}},
    "edits": [
        {"op": "keep", "levels": [0, 1, 3]},
        {"op": "swap", "levels": [2], "source": {"seeds": [5, 6]}, "mask": {"resolution": 2, "rows": ["10", "01"]}},
    ],
    "output": {"image": "sample", "scale": 3},
}


@pytest.mark.parametrize("below", ["noise", "mean", "resample"])
def test_a_ladder_from_an_edited_recipe(client: TestClient, below: str) -> None:
    body = {"kind": "ladder_grid", "recipe": HARD, "index": 1, "draws": 3, "show": 2, "below": below}
    answer = inspect(client, body)
    assert answer["base"]["recipe"]["edits"][1]["source"] == {"seed": 6}
    assert (
        answer["base"]["sha256"] == client.post("/v1/models/vdvae-toy/sample", json=HARD).json()["images"][1]["sha256"]
    )
    assert [row["levels"] for row in answer["rows"]] == [[0], [1], [2], [3], [4]]
    for row in answer["rows"]:
        assert [cell["draw"] for cell in row["cells"]] == [3, 4]
        for cell in row["cells"]:
            assert cell["height"] == 48
            check_cell(client, "vdvae-toy", cell)
    found = arrays(client, body)
    assert found["cells"].shape == (5, 2, 16, 16, 1)
    assert len(json.loads(str(found["recipes"]))) == 11
    for row, change, moved in zip(answer["rows"], found["mean_change"], found["ink_moved"], strict=True):
        assert (row["mean_change"], row["ink_moved"]) == (pytest.approx(change), pytest.approx(moved))


def test_rows_are_levels_resolutions_or_what_is_named_and_say_what_they_carry(client: TestClient) -> None:
    body = {
        "kind": "ladder_grid",
        "recipe": {"source": {"seed": 1}},
        "draws": 4,
        "show": 0,
        "rows": [[0], "4x4", [1, 4]],
    }
    rows = inspect(client, body)["rows"]
    assert [(row["levels"], row["group"], row["cells"]) for row in rows] == [
        ([0], "1x1", []),
        ([1, 2], "4x4", []),
        ([1, 4], None, []),
    ]
    bits = [8 / (index + 1) / np.log(2) for index in range(5)]
    assert [row["kl_bits"] for row in rows] == pytest.approx([bits[0], bits[1] + bits[2], bits[1] + bits[4]])
    assert rows[0]["share"] == pytest.approx(bits[0] / sum(bits))


def test_maps_of_a_ladder_share_one_scale(client: TestClient) -> None:
    body = {"kind": "ladder_grid", "recipe": {"source": {"seed": 1}}, "draws": 6}
    answer, found = inspect(client, body), arrays(client, body)
    for name in ("change", "deviation"):
        scale = answer["scales"][name]
        assert scale == {"top": pytest.approx(found[name].max()), "unit": "grey levels", "colours": "viridis"}
        maps = np.stack([pixels(row[name]) for row in answer["rows"]])
        brightest = np.unravel_index(found[name].argmax(), found[name].shape)
        assert maps[brightest].tolist() == [253, 231, 37]
        assert maps.shape == (5, 16, 16, 3)
    expected = np.abs(found["cells"].astype(float) - found["base"]).mean(axis=(1, 4))
    np.testing.assert_allclose(found["change"], expected, rtol=1e-5)


def test_colour_has_no_ink(client: TestClient) -> None:
    body = {"kind": "ladder_grid", "recipe": {"source": {"seed": 1}}, "draws": 2}
    assert {row["ink_moved"] for row in inspect(client, body, "vdvae-toy-colour")["rows"]} == {None}
    assert np.isnan(arrays(client, body, "vdvae-toy-colour")["ink_moved"]).all()


def test_a_ladder_as_one_picture_is_the_grid_of_its_cells(client: TestClient) -> None:
    body = {"kind": "ladder_grid", "recipe": {"source": {"seed": 1}, "output": {"scale": 2}}, "draws": 3, "show": 2}
    response = client.post("/v1/models/vdvae-toy/inspect", json=body, headers=PNG)
    cells = arrays(client, body)["cells"]
    with Image.open(io.BytesIO(response.content)) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (5 * 32, 2 * 32)
    np.testing.assert_array_equal(sheet[64:96:2, 32:64:2], cells[2, 1, ..., 0])


# --- an image that is encoded -------------------------------------------------------------------------------------


def test_rate_maps_are_what_encode_says_split_over_the_image(client: TestClient) -> None:
    encoded = client.post("/v1/models/vdvae-toy/encode", json={"example": 1}).json()
    answer = inspect(client, {"kind": "kl", "subject": {"example": 1}})
    for name in ("rate_bits", "distortion_bits", "bits_per_dim", "nats_per_image", "estimator", "image"):
        assert answer[name] == encoded[name]
    assert answer["source"] == {"example": 1, "seed": 0}
    assert [level["bits"] for level in answer["levels"]] == pytest.approx(
        [level["bits"] for level in encoded["levels"]]
    )
    assert answer["levels"][-1]["cumulative_bits"] == pytest.approx(encoded["rate_bits"])
    assert [pixels(level["map"]).shape for level in answer["levels"]] == [(r, r, 3) for r in (1, 4, 4, 8, 8)]
    assert [(group["name"], group["levels"]) for group in answer["groups"]] == [
        ("1x1", [0]),
        ("4x4", [1, 2]),
        ("8x8", [3, 4]),
    ]
    assert pixels(answer["total"]).shape == (16, 16, 3)
    found = arrays(client, {"kind": "kl", "subject": {"example": 1}})
    assert [found[f"level_{index}"].shape for index in range(5)] == [(r, r) for r in (1, 4, 4, 8, 8)]
    assert found["image"].sum() == pytest.approx(encoded["rate_bits"], rel=1e-4)
    picture = client.post("/v1/models/vdvae-toy/inspect", json={"kind": "kl", "subject": {"example": 1}}, headers=PNG)
    assert base64.b64encode(picture.content).decode() == answer["total"]["data"]


@pytest.mark.parametrize("kind", ["kl", "progressive"])
def test_the_same_image_whatever_way_it_comes(client: TestClient, kind: str) -> None:
    encoded = client.post("/v1/models/vdvae-toy/encode", json={"example": 2}).json()
    ways = (
        {"example": 2},
        {"image": encoded["image"]["data"]},
        {"latents": encoded["latents"]},
    )
    answers = [inspect(client, {"kind": kind, "subject": way}) for way in ways]
    for answer, way in zip(answers, ways, strict=True):
        assert answer["image"] == encoded["image"]
        assert {key: answer["source"][key] for key in way} == way
        for cell in cells_of(answer):
            check_cell(client, "vdvae-toy", cell)
    assert answers[0]["rate_bits"] == answers[1]["rate_bits"] == answers[2]["rate_bits"]
    steps = [[(s["bits"], s["psnr"], pixels(s).tolist()) for s in answer.get("steps", [])] for answer in answers]
    assert steps[0] == steps[1] == steps[2]


def test_a_sample_is_made_first_and_then_encoded(client: TestClient) -> None:
    recipe = {"source": {"seed": 5}, "n": 3}
    made = client.post("/v1/models/vdvae-toy/sample", json=recipe).json()["images"][2]
    answer = inspect(client, {"kind": "progressive", "subject": {"recipe": recipe, "index": 2}, "steps": [0, 5]})
    np.testing.assert_array_equal(pixels(answer["image"]), pixels(made))
    assert answer["source"]["image"] == answer["image"]["data"]


def test_the_curve_ends_where_encode_is(client: TestClient) -> None:
    encoded = client.post("/v1/models/vdvae-toy/encode", json={"example": 0}).json()
    steps = inspect(client, {"kind": "progressive", "subject": {"example": 0}})["steps"]
    assert [step["kept"] for step in steps] == [0, 1, 2, 3, 4, 5]
    assert [step["bits"] for step in steps] == sorted(step["bits"] for step in steps)
    assert (steps[0]["bits"], steps[0]["share"], steps[-1]["share"]) == (0, 0, 1)
    assert steps[-1]["bits"] == pytest.approx(encoded["rate_bits"])
    assert steps[-1]["psnr"] == pytest.approx(encoded["psnr"])
    for step in steps:
        assert step["psnr"] == pytest.approx(10 * np.log10(255**2 / step["mse"]))
    found = arrays(client, {"kind": "progressive", "subject": {"example": 0}})
    np.testing.assert_allclose(found["bits"], [step["bits"] for step in steps])
    assert found["pixels"].shape == (6, 16, 16, 1)


def test_latents_without_an_image_have_no_rate(client: TestClient, toy_zoo: Path, settings: Settings) -> None:
    latents = "ab" * 32
    where, why = refused(client, {"kind": "kl", "subject": {"latents": latents}})
    assert where == ["#/subject/latents"]
    assert "encode the image again" in why


# --- galleries and slopes -------------------------------------------------------------------------------------------


def test_a_gallery_answers_to_each_recipe_what_sample_does(client: TestClient) -> None:
    recipes = [HARD, {"source": {"seed": 4}, "n": 3}, {"source": {"image": DRAWING}}]
    samples = inspect(client, {"kind": "gallery", "recipes": recipes})["samples"]
    for recipe, made in zip(recipes, samples, strict=True):
        alone = client.post("/v1/models/vdvae-toy/sample", json=recipe).json()
        assert made == {name: alone[name] for name in ("recipe", "recipe_id", "token", "token_length", "images")}


def test_sensitivity_is_asked_for_some_levels_or_all(client: TestClient) -> None:
    body = {"kind": "sensitivity", "recipe": {"source": {"seed": 1}, "temperature": 0.8}}
    every = inspect(client, body)
    assert [level["index"] for level in every["levels"]] == [0, 1, 2, 3, 4]
    assert all(level["change"] > 0 for level in every["levels"])
    assert "per 0.1 of temperature" in every["unit"]
    some = inspect(client, {**body, "levels": "4x4"})
    assert some["levels"] == every["levels"][1:3]
    found = arrays(client, body)
    assert found["maps"].shape == (5, 16, 16)
    np.testing.assert_allclose(found["change"], [level["change"] for level in every["levels"]])


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "where", "why"),
    [
        ({"kind": "ladder_grid", "draws": 40}, "#/draws", "39 draws a row would fit"),
        ({"kind": "ladder_grid", "draws": 1, "rows": [[0]] * 400}, "#/draws", "about 199 rows"),
        ({"kind": "ladder_grid", "draws": 256, "rows": [[0]] * 200_000}, "#/rows", "1024"),
        ({"kind": "ladder_grid", "draws": 2, "rows": [[0], [7]]}, "#/rows/1", "levels 0 to 4"),
        ({"kind": "ladder_grid", "recipe": {"temperature": [1.0]}}, "#/recipe/temperature", "1 temperatures for 5"),
        ({"kind": "ladder_grid", "recipe": {"n": 2}, "index": 2}, "#/index", "2 images"),
        ({"kind": "ladder_grid", "recipe": {"output": {"scale": 33}}}, "#/recipe/output/scale", "32"),
        ({"kind": "ladder_grid", "below": "above"}, "#/below", "noise"),
        ({"kind": "kl"}, "#/subject", "required"),
        ({"kind": "kl", "subject": {"example": 9}}, "#/subject/example", "3 examples"),
        ({"kind": "kl", "subject": {"image": "x"}}, "#/subject/image", "base64"),
        ({"kind": "kl", "subject": {"recipe": {"n": 0}}}, "#/subject/recipe/n", "1"),
        ({"kind": "kl", "subject": {"recipe": {"n": 99}}}, "#/subject/recipe/n", "64"),
        ({"kind": "progressive", "subject": {"example": 0}, "steps": [9]}, "#/steps/0", "5 levels"),
        ({"kind": "progressive", "subject": {"example": 0}, "temperature": 2.0}, "#/temperature", "1.5"),
        ({"kind": "sensitivity", "levels": "9x9"}, "#/levels", "1x1"),
        ({"kind": "sensitivity", "step": 0.0}, "#/step", "0.001"),
        ({"kind": "gallery", "recipes": [{}, {"n": -1}]}, "#/recipes/1/n", "1"),
        ({"kind": "gallery", "recipes": [{"n": 64}] * 4}, "#/recipes", "3 such recipes"),
        ({"kind": "grid"}, "#", "ladder"),
        ([], "#", "ladder"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(client: TestClient, body: Any, where: str, why: str) -> None:
    pointers, detail = refused(client, body)
    assert pointers == [where]
    assert why in detail


def test_only_what_can_be_made_is_accepted(client: TestClient) -> None:
    body = {"kind": "sensitivity"}
    assert client.post("/v1/models/vdvae-toy/inspect", json=body, headers=PNG).status_code == 406
    assert client.post("/v1/models/vdvae-toy/inspect", content=b"{}").status_code == 415
    assert client.post("/v1/models/none/inspect", json=body).status_code == 404


# --- models whose latents are 0 or 1 --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def discrete(settings: Settings) -> Iterator[tuple[TestClient, str]]:
    """The shipped model with 196 levels of one bit each."""
    if not DISCRETE:
        pytest.skip("no bundle with a bernoulli prior is shipped")
    with TestClient(create_app(BUNDLES, settings), raise_server_exceptions=False) as client:
        yield client, sorted(DISCRETE)[0]


def test_discrete_latents_answer_what_is_possible(discrete: tuple[TestClient, str]) -> None:
    client, model = discrete
    rows = [[0], [97], [195]]
    ladder = {"kind": "ladder_grid", "recipe": {"source": {"seed": 1}}, "rows": rows, "draws": 2}
    for below in ("noise", "mean", "resample"):
        for cell in cells_of(inspect(client, {**ladder, "below": below}, model)):
            check_cell(client, model, cell)
    rates = inspect(client, {"kind": "kl", "subject": {"example": 0}}, model)
    assert len(rates["levels"]) == 196
    assert rates["levels"][-1]["cumulative_bits"] == pytest.approx(rates["rate_bits"], rel=1e-5)
    curve = inspect(client, {"kind": "progressive", "subject": {"example": 0}, "steps": [0, 98, 196]}, model)
    for cell in curve["steps"]:
        check_cell(client, model, cell)
    encoded = client.post(f"/v1/models/{model}/encode", json={"example": 0}).json()
    assert curve["steps"][-1]["psnr"] == pytest.approx(encoded["psnr"])


def test_discrete_latents_say_what_is_not(discrete: tuple[TestClient, str]) -> None:
    client, model = discrete
    held = {"kind": "ladder_grid", "recipe": {"source": {"example": 0}}, "rows": [[0]], "draws": 1}
    assert refused(client, held, model) == (["#/below"], NO_NOISE)
    assert inspect(client, {**held, "below": "resample"}, model)
    assert refused(client, {"kind": "sensitivity"}, model) == (["#/kind"], NO_SLOPE)
