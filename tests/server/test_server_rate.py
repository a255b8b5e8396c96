"""How often one client may ask."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from server.api import create_app
from server.rate import MAX_CLIENTS, RateLimit
from server.settings import Settings


@given(st.floats(0.1, 100), st.integers(1, 20), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_in_any_time_at_most_the_burst_and_what_flowed_in_pass(rate: float, burst: int, gaps: list[float]) -> None:
    limit, now, passed = RateLimit(rate, burst), 0.0, 0
    for gap in gaps:
        now += gap
        passed += limit.take("a", now).allowed
    assert passed <= burst + rate * sum(gaps) + 1e-6
    assert passed >= min(len(gaps), burst)


@given(st.floats(0.1, 100), st.integers(1, 20))
def test_whoever_waits_as_long_as_told_may_pass(rate: float, burst: int) -> None:
    limit = RateLimit(rate, burst)
    while (left := limit.take("a", 0.0)).allowed:
        pass
    assert left.retry_after >= 1
    assert limit.take("a", float(left.retry_after)).allowed
    assert limit.take("b", 0.0).allowed


def test_memory_does_not_grow_with_the_number_of_clients() -> None:
    limit = RateLimit(1, 1)
    for client in range(MAX_CLIENTS + 10):
        limit.take(str(client), 0.0)
    assert len(limit._buckets) == MAX_CLIENTS


def test_the_answers_say_what_is_left_and_when_to_come_again(toy_zoo: Path) -> None:
    settings = Settings(threads=1, provider="cpu", rate=0.01, rate_burst=2)
    client = TestClient(create_app(toy_zoo, settings))
    assert client.get("/v1/models").headers["ratelimit"] == '"client";r=1;t=100'
    assert client.get("/v1/models").headers["ratelimit-policy"] == '"client";q=2;w=200'
    response = client.get("/v1/models")
    assert (response.status_code, response.json()["type"]) == (429, "/problems/rate-limited")
    assert int(response.headers["retry-after"]) == pytest.approx(100, abs=2)
    assert response.headers["ratelimit"].startswith('"client";r=0;')
    assert client.get("/healthz").status_code == 200
