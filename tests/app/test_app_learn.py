"""The Learn screen as it is read: a text, images that are the server's, one handle, and a way to the other screens."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fake_api import FakeApi, card_document, make_card
from test_app_explorer import Person
from test_app_screen import Reader

from app import figures, learn, tables, touring

STEPS = touring.load()
MODELS = ("vdvae-mnist", "lvae-mnist", "nvae-mnist-small", "autoregressive-mnist14")


@pytest.fixture
def api() -> FakeApi:
    return FakeApi(*(card_document(name=name) for name in MODELS))


def at(api: FakeApi, step: int, **query: str) -> Person:
    return Person(api, {"screen": "learn", "step": str(step), **query}).opens().wants()


def posted(api: FakeApi) -> list[tuple[str, dict[str, Any]]]:
    return [(r.url.path, json.loads(r.content)) for r in api.requests if r.method == "POST"]


@pytest.mark.parametrize("step", range(1, len(STEPS) + 1))
def test_every_step_shows_the_servers_images_with_one_handle(api: FakeApi, step: int) -> None:
    person = at(api, step)
    page = Reader(person.regions["tour_live"])
    assert len(page.all("input", type="range")) == 1
    shown = [image.attributes["data-sha256"] for image in page.all("img") if "data-sha256" in image.attributes]
    samples = [api.sample(path.split("/")[3], recipe) for path, recipe in posted(api) if path.endswith("/sample")]
    assert sorted(filter(None, shown)) == sorted(image["sha256"] for one in samples for image in one["images"])
    (link,) = page.all("a", id="tour-open")
    query = dict(httpx.QueryParams((link.attributes["href"] or "").removeprefix("?")))
    assert query["screen"] == STEPS[step - 1].opens
    assert query["model"] in STEPS[step - 1].models
    assert query["r"]


def test_progress_and_the_ways_on_and_back() -> None:
    first, last = Reader(learn.heading(STEPS, 0)), Reader(learn.heading(STEPS, len(STEPS) - 1))
    assert "disabled" in first.all("button", id="tour-back")[0].attributes
    assert first.intents("tour_step")[1] == {"do": "tour_step", "step": 1}
    assert len(first.all("button", aria_current="step")) == 1
    assert last.all("button", id="tour-next")[0].text == "Start again"
    assert f"Step {len(STEPS)} of {len(STEPS)}" in last.all("p", role="status")[0].text


def test_words_between_stars_are_definitions_and_text_is_escaped() -> None:
    step = STEPS[0].model_copy(update={"text": "The *prior* is <b>\n\nand on"})
    assert learn.prose(step).count("<p>") == 2
    assert "The <dfn>prior</dfn> is &lt;b&gt;" in learn.prose(step)


def test_a_step_whose_model_is_not_there_says_so_and_goes_on() -> None:
    person = at(FakeApi(), 10)
    assert "autoregressive-mnist14" in person.regions["tour_live"]
    assert "this server has not got" in person.regions["tour_live"]
    assert "Proposition 1" in person.regions["tour"]
    person.wants({"do": "tour_step", "step": 10})
    assert "Distance from the truth" in person.regions["tour_figure"]


def test_the_handle_asks_for_other_images_and_undo_for_none(api: FakeApi) -> None:
    person = at(api, 2).wants({"do": "tour_value", "value": 0.5, "gesture": 1})
    assert posted(api)[-1][1]["temperature"] == [0.5] * 4
    count = len(api.requests)
    person.wants({"do": "undo"})
    assert "T = 1.00 at every level" in person.regions["tour_live"]
    assert len(api.requests) == count
    person.wants({"do": "redo"})
    assert "value=0.5" in person.regions["header"]


def test_the_command_that_is_copied_is_for_the_steps_model(api: FakeApi) -> None:
    person = at(api, 10)
    assert "/v1/models/autoregressive-mnist14/sample" in person.regions["header"]
    assert "model=vdvae-mnist" in person.regions["header"], "the page keeps its own"


def test_what_an_image_costs_has_units_and_explanations(api: FakeApi) -> None:
    page = Reader(at(api, 3).regions["tour_live"])
    (costs,) = page.all("dl")
    assert costs.text == "Rate10.0 bitsDistortion7.2 bitsTogether17.2 bitsIn nats12.0 natsPer pixel value0.114 bits/dim"
    assert all(element.attributes["title"] for element in page.all("div", tabindex="0"))


def test_a_server_that_is_busy_leaves_the_text(api: FakeApi) -> None:
    api.answer_with = httpx.Response(429, json={"status": 429}, headers={"Retry-After": "2"})
    person = at(api, 5)
    assert "Busy. Next try in 2 s." in person.regions["tour_status"]
    assert "hierarchical VAE" in person.regions["tour_text"]
    assert "tour_live" not in person.regions


# --- figures ----------------------------------------------------------------------------------------------------------


def test_rates_have_a_column_a_level() -> None:
    page = Reader(tables.rates(make_card((1, 4, 4, 8))))
    assert [e.attributes["title"] for e in page.all("i")][0] == "Level 0: 8.00 bits"
    assert len(page.all("i")) == 4
    assert "16.7 bits in all" in page.all("span", **{"class": "mut"})[0].text


def test_the_depth_study_says_how_far_each_depth_is_from_the_truth() -> None:
    page = Reader(tables.depth(figures.load().depth))
    assert len(page.all("svg")) == 5
    bars = [element.text for element in page.all("div", **{"class": "sr two"})]
    assert bars[0] == "1 level0.87 nats (0.80 to 0.97)"
    assert len(bars) == 5


def test_published_figures_stand_beside_ours_with_estimator_and_source() -> None:
    ours = make_card(name="ours", dataset="MNIST")
    page = Reader(tables.published(figures.load().published, [ours]))
    rows = [row.text for row in page.all("tr")]
    assert rows[1] == "MNIST", "the data sets that the server has come first"
    assert rows[2] == "oursELBO82.50.15210,000 testthis server"
    assert any(row.startswith("NVAEIW-100078.0") and "arXiv:2007.03898" in row for row in rows)
    heads = [head.text for head in page.all("th", scope="rowgroup")]
    assert "CIFAR-10" in heads
    assert len(heads) == len(set(heads))
