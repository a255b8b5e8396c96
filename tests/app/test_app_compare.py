"""The Compare screen as it is read: both images with their difference, one rail, and what every level costs."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from fake_api import FakeApi, card_document, make_card
from test_app_explorer import Person
from test_app_screen import Reader

from app import compare, costs
from app.client import Answer, Card, RateMaps
from app.comparing import Comparison, recipe
from app.costs import Side
from app.reconstructing import Source

A, B = make_card((1, 4, 4, 8), "a"), make_card((4, 8, 8, 16), "b")
API = "http://api.test"


def document(resolutions: tuple[int, ...], name: str, **changes: Any) -> dict[str, Any]:
    return card_document(resolutions, name) | changes


@pytest.fixture
def api() -> FakeApi:
    return FakeApi(document((1, 4, 4, 8), "a"), document((4, 8, 8, 16), "b"))


def side(api: FakeApi, letter: str, card: Card, subject: dict[str, Any] | None = None) -> Side:
    answer = Answer.model_validate(api.sample(card.id, recipe(Comparison(), card, subject)))
    maps = RateMaps.model_validate(api.rate_maps(card.id, {"subject": subject})) if subject else None
    return Side(letter, card, answer, maps)


def test_one_handle_a_resolution_over_the_bits_of_both() -> None:
    page = Reader(compare.temperatures(A, B, Comparison(temperature={"8x8": 0.5})))
    handles = page.all("input", type="range")
    assert [handle.attributes["aria-label"] for handle in handles] == [
        "1 by 1, temperature of A",
        "4 by 4, temperature of both",
        "8 by 8, temperature of both",
        "16 by 16, temperature of B",
    ]
    assert [handle.attributes["aria-valuetext"] for handle in handles] == ["1.00", "1.00", "0.50", "1.00"]
    (rows,) = [element for element in page.elements if "data-rail" in element.attributes]
    assert json.loads(rows.attributes["data-names"] or "") == ["1x1", "4x4", "8x8", "16x16"]
    assert [e.text for e in page.elements if e.attributes.get("class") == "no"] == [
        "1 × 1only A",
        "4 × 4",
        "8 × 8",
        "16 × 16only B",
    ]
    assert [e.text for e in page.all("span", **{"class": "b"})][:4] == ["8.0", "–", "6.7", "8.0"]


def test_with_an_image_a_resolution_is_kept_until_it_is_drawn() -> None:
    page = Reader(compare.temperatures(A, B, Comparison(picture=Source(example=0), drawn=frozenset({"8x8"}))))
    assert [("disabled" in handle.attributes) for handle in page.all("input", type="range")] == [
        True,
        True,
        False,
        True,
    ]
    assert [intent["group"] for intent in page.intents("compare_draw")] == ["1x1", "4x4", "8x8", "16x16"]
    assert page.all("button", aria_label="Draw 8 by 8", aria_pressed="true")


def test_both_images_are_the_servers_bytes_and_say_how_to_get_them(api: FakeApi) -> None:
    a, b = side(api, "A", A), side(api, "B", B)
    page = Reader(compare.images(a, b, None, API))
    for shown, of in (("side-a", a), ("side-b", b)):
        (image,) = page.all("img", id=shown)
        assert image.attributes["src"] == of.image.url
        assert image.attributes["data-sha256"] == of.image.sha256
    copies = [e.attributes["data-copy"] or "" for e in page.elements if "data-copy" in e.attributes]
    assert [f"{API}/v1/models/{name}/sample" in copy for copy, name in zip(copies, "aabb", strict=True)] == [True] * 4
    assert [link.attributes["href"] for link in page.all("a")] == [
        f"?model={card.id}&screen=explore&r={of.answer.token}" for card, of in ((A, a), (B, b))
    ]
    assert "grey levels on average" in page.all("figcaption")[-1].text


def test_the_difference_of_an_image_with_itself_is_nothing(api: FakeApi) -> None:
    one = side(api, "A", A)
    assert "0.0 grey levels on average" in compare.images(one, one, None, API)


def test_an_image_stands_first_with_how_close_both_come(api: FakeApi) -> None:
    original = one = side(api, "A", A, {"example": 0}).image.data
    page = Reader(compare.images(side(api, "A", A, {"example": 0}), side(api, "B", B, {"image": one}), original, API))
    captions = [caption.text for caption in page.all("figcaption")]
    assert [caption.split(":")[0][:9] for caption in captions] == ["The image", "A", "B", "Differenc"]
    assert "the image itself" in captions[1]
    assert "dB PSNR" in captions[2]


def test_images_of_other_sizes_have_no_difference(api: FakeApi) -> None:
    small = make_card((4,), "b", image={"height": 4, "width": 4, "channels": 3})
    page = compare.images(side(api, "A", A), Side("B", small, side(api, "B", B).answer), None, API)
    assert "No difference image.</b> A makes images of 8 × 8 × 1, B of 4 × 4 × 3." in page
    assert "share a seed" in compare.source(A, small, Comparison(), [])


def test_every_level_of_both_has_a_column_and_every_resolution_its_bits(api: FakeApi) -> None:
    page = Reader(costs.rates(side(api, "A", A), side(api, "B", B)))
    titles = [e.attributes["title"] for e in page.all("i") if "level" in (e.attributes.get("title") or "")]
    assert titles[0] == "A, level 0: 8.00 bits"
    assert len(titles) == 8
    assert [e.text for e in page.elements if e.attributes.get("class") == "udl"] == [
        "8.01 × 1only A",
        "6.74 × 48.0",
        "2.08 × 86.7",
        "only B16 × 162.0",
    ]
    assert [e.text for e in page.elements if e.attributes.get("class") == "total"] == ["A16.7bits", "B16.7bits"]


def test_with_an_image_the_bits_are_its_own(api: FakeApi) -> None:
    page = costs.rates(side(api, "A", A, {"example": 0}), side(api, "B", B, {"example": 0}))
    assert "of this image" in page
    assert "A, level 0: 2.50 bits" in page


def test_figures_name_their_estimator_and_a_figure_that_one_lacks_is_a_dash(api: FakeApi) -> None:
    ours = {"estimator": "IW-100", "nats_per_image": 80.0, "bits_per_dim": 0.14, "split": "test", "images": 1000}
    more = make_card((4, 8, 8, 16), "b", metrics=[ours])
    page = Reader(costs.figures(side(api, "A", A), Side("B", more, side(api, "B", B).answer)))
    rows = {head.text: head for head in page.all("th", scope="row")}
    assert {"−ELBO", "−log p, IW-100", "Levels", "Latents", "Data set", "Image"} == set(rows)
    assert len([row for row in page.all("tr") if row.attributes.get("title")]) == len(rows)
    cells = [cell.text for cell in page.all("td")]
    assert "82.5 nats0.152 bits/dim" in cells
    assert cells[-2:] == ["–", "80.0 nats0.140 bits/dim"]


# --- through the explorer ---------------------------------------------------------------------------------------------


def test_both_are_asked_the_same(api: FakeApi) -> None:
    person = Person(api, {"screen": "compare"}).opens().wants()
    asked = [json.loads(request.content) for request in api.requests if request.method == "POST"]
    assert [request.url.path for request in api.requests if request.method == "POST"] == [
        "/v1/models/a/sample",
        "/v1/models/b/sample",
    ]
    assert asked[0]["source"] == asked[1]["source"]
    assert 'id="side-b"' in person.regions["both_images"]
    assert "with=b" in person.regions["header"]
    api.requests.clear()
    person.waits()
    assert len(api.requests) == 2
    assert "Seed 1244" in person.regions["both_seeds"]


def test_a_test_image_of_a_is_given_to_b_as_it_is(api: FakeApi) -> None:
    person = Person(api, {"screen": "compare"}).opens().wants({"do": "compare_image", "example": 2})
    samples = [json.loads(r.content) for r in api.requests if r.url.path.endswith("sample") and r.method == "POST"]
    assert samples[0]["source"] == {"example": 2, "seed": 1240}
    picture = next(r for r in api.requests if r.url.path.endswith("examples/2"))
    assert samples[1]["source"]["image"] == base64.b64encode(api.answer(picture).content).decode()
    assert "Both get test image 2" in person.regions["both_source"]
    person.waits()
    assert "a seed changes nothing" in person.regions["both_seeds"]


def test_an_upload_goes_to_both_and_what_is_no_image_is_told(api: FakeApi) -> None:
    person = Person(api, {"screen": "compare"}).opens().wants()
    upload = {"do": "upload", "media_type": "image/png"}
    person.wants({**upload, "data": base64.b64encode(b"no image").decode()})
    assert "This is no image" in person.regions["both_status"]
    content = side(api, "A", A).image.data
    person.wants({**upload, "data": content})
    samples = [json.loads(r.content) for r in api.requests if r.url.path.endswith("sample")][-2:]
    assert [sample["source"]["image"] for sample in samples] == [content, content]


def test_one_model_has_nothing_to_be_compared_with() -> None:
    person = Person(query={"screen": "compare"}).opens().wants()
    assert "There is one model on this server" in person.regions["both_status"]
    assert person.waits().regions == {}


def test_a_server_that_is_busy_is_told_and_the_rail_stays(api: FakeApi) -> None:
    person = Person(api, {"screen": "compare"}).opens().wants()
    api.answer_with = httpx.Response(429, json={"status": 429}, headers={"Retry-After": "2"})
    person.wants({"do": "compare_seed", "seed": 3})
    assert "Busy. Next try in 2 s." in person.regions["both_status"]
    assert "both_images" not in person.regions
    assert "data-rail" in person.regions["both_rail"]
