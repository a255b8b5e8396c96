"""What an operator sees: one line a request, figures for Prometheus, and spans; and nothing that a client made up."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from server.api import create_app
from server.logs import JsonFormatter, TextFormatter, with_fields
from server.settings import Settings
from server.tracing import Tracing, TracingError

SAMPLE = "/v1/models/vdvae-toy/sample"
ROUTE = "/v1/models/{model_id}/sample"


@pytest.fixture
def client(toy_zoo: Path, settings: Settings) -> TestClient:
    return TestClient(create_app(toy_zoo, settings))


def figures(client: TestClient) -> dict[str, dict[tuple[str, ...], float]]:
    """Name of a sample -> the values of its labels, in the order of their names -> its value."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(dict(sorted(sample.labels.items())).values())] = sample.value
    return found


def test_one_line_a_request_says_what_it_was(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "strata.requests")
    response = client.post(SAMPLE, json={"n": 2}, headers={"X-Request-Id": "r-1"})
    [record] = [record for record in caplog.records if record.name == "strata.requests"]
    line = json.loads(JsonFormatter().format(record))
    assert {name: line[name] for name in ("request_id", "route", "model", "status", "level", "client")} == {
        **{"request_id": "r-1", "route": ROUTE, "model": "vdvae-toy", "status": 200},
        **{"level": "info", "client": "testclient"},
    }
    assert line["bytes_out"] == len(response.content)
    assert line["bytes_in"] == len(b'{"n":2}')
    assert line["ms"] >= line["queue_ms"] + line["infer_ms"] - 0.2
    assert line["infer_ms"] > 0


def test_what_a_client_made_up_stands_in_no_line_and_no_label(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "strata.requests")
    for path in ("/v1/models/made-up", "/v1/models/made-up/sample?r=made-up", "/made-up"):
        assert client.get(path).status_code == 404
    ours = [record for record in caplog.records if record.name.startswith("strata.")]  # the client has a log, too
    assert ours
    assert "made-up" not in str([(record.getMessage(), record.__dict__.get("fields")) for record in ours])
    assert "made-up" not in client.get("/metrics").text


def test_probes_are_not_in_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "strata.requests")
    for path in ("/healthz", "/readyz", "/metrics"):
        client.get(path)
    assert [record.name for record in caplog.records if record.name == "strata.requests"] == []


def test_figures_count_requests_images_and_refusals(client: TestClient) -> None:
    client.post(SAMPLE, json={"n": 3})
    client.post(SAMPLE, json={"n": 0})
    found = figures(client)
    for status in ("200", "422"):
        assert found["strata_requests_total"][("POST", "vdvae-toy", ROUTE, status)] == 1
    assert found["strata_images_total"][("vdvae-toy",)] == 3
    assert found["strata_queue_depth"][()] == 0
    assert found["strata_models_ready"][()] == 2
    assert found["strata_infer_seconds_count"][("vdvae-toy",)] >= 1
    assert found["strata_request_seconds_count"][(ROUTE,)] == 2


def test_each_app_has_figures_of_its_own(client: TestClient, toy_zoo: Path, settings: Settings) -> None:
    client.post(SAMPLE, json={})
    other = TestClient(create_app(toy_zoo, settings))
    assert "strata_images_total" not in figures(other)


def test_the_client_is_told_how_long_it_waited_and_was_worked_for(client: TestClient) -> None:
    timing = client.post(SAMPLE, json={}).headers["server-timing"]
    parts = dict(part.split(";dur=") for part in timing.split(", "))
    assert set(parts) == {"queue", "infer", "total"}
    assert float(parts["total"]) >= float(parts["infer"]) > 0


def test_an_entry_is_one_line_in_either_form_even_if_its_content_is_not() -> None:
    record = logging.makeLogRecord({"name": "x", "msg": "a\nb", "levelname": "INFO", **with_fields(route="c\nd")})
    assert json.loads(JsonFormatter().format(record))["route"] == "c\nd"
    assert "\n" not in JsonFormatter().format(record)
    assert 'route="c\\nd"' in TextFormatter().format(record)


class Recorder(trace.Tracer):
    """Remembers the names of spans, each with the span around it and what it is about."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str | None, Mapping[str, Any]]] = []
        self._open: list[str] = []

    def start_span(self, name: str, *_: Any, **options: Any) -> trace.Span:
        self.spans.append((name, self._open[-1] if self._open else None, options.get("attributes") or {}))
        return trace.INVALID_SPAN

    @contextmanager
    def start_as_current_span(self, name: str, *_: Any, **options: Any) -> Iterator[trace.Span]:  # type: ignore[override]
        self.start_span(name, **options)
        self._open.append(name)
        yield trace.INVALID_SPAN
        self._open.remove(name)


def test_a_request_that_is_traced_has_spans_for_waiting_and_for_work(toy_zoo: Path, settings: Settings) -> None:
    recorder = Recorder()
    client = TestClient(create_app(toy_zoo, settings, tracing=Tracing(recorder)))
    client.post(SAMPLE, json={"n": 2}, headers={"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"})
    about = {"strata.model": "vdvae-toy", "strata.cost": 2}
    assert recorder.spans == [
        ("POST request", None, {}),
        ("strata.queue", "POST request", about),
        ("strata.infer", "POST request", about),
    ]


def test_tracing_is_off_unless_it_is_asked_for_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Tracing.open(False).span("x", {}) as span:
        assert span is None
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry", None)
    with pytest.raises(TracingError, match=r"strata\[otel\]"):
        Tracing.open(True)
