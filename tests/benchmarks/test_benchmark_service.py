"""The figures of the service benchmark from given measurements, and the small parts that take them."""

from __future__ import annotations

import asyncio
import datetime
import socket
import sys
import threading

import pytest
import torch

from benchmarks.clients import Connection, ResponseError, again_and_again, at_rate, percentile, post
from benchmarks.report import circumstances
from benchmarks.servers import module, running
from benchmarks.service import Report, change_targets, latency_targets, markdown, rate_targets
from benchmarks.service_latency import Latency
from benchmarks.service_prefix import Change
from benchmarks.service_throughput import Rate

LATENCIES = [
    Latency(what="one image over HTTP", seconds=0.0015, p95=0.002),
    Latency(what="empty FastAPI endpoint", seconds=0.0003, p95=0.0004),
    Latency(what="raw decode, 1 thread", seconds=0.0009, p95=0.001),
    Latency(what="raw decode, 2 threads", seconds=0.0012, p95=0.002),
    Latency(what="PNG", seconds=0.0001, p95=0.0001),
]
RATES = [
    Rate(what="Strata, 1 image a request", images=900, median=0.03, p95=0.05, failures=0),
    Rate(what="Strata, 16 images a request", images=1800, median=0.2, p95=0.4, failures=0),
    Rate(what="LitServe, 1 image a request, 1 worker of 2", images=450, median=0.06, p95=0.1, failures=0),
    Rate(what="LitServe, 1 image a request, 2 workers of 1", images=300, median=0.1, p95=0.2, failures=0),
    Rate(what="raw loop, batches of 16, 1 of 2 threads", images=1500, median=0.01, p95=0.02, failures=0),
    Rate(what="raw loop, batches of 16, 2 of 1 thread", images=2000, median=0.02, p95=0.03, failures=0),
]
CHANGES = [
    Change(level=21, levels_computed=22, share=0.8, seconds=0.12, full_seconds=0.15, equal=True),
    Change(level=42, levels_computed=1, share=0.02, seconds=0.03, full_seconds=0.15, equal=True),
]


def test_latency_is_compared_with_the_fastest_decode_a_png_and_two_round_trips() -> None:
    (target,) = latency_targets(LATENCIES)
    assert target.measured == pytest.approx(0.0015 / (0.0009 + 0.0001 + 2 * 0.0003))
    assert target.met


def test_throughput_is_compared_with_the_best_of_the_others() -> None:
    share, times, tail = rate_targets(RATES)
    assert [share.measured, times.measured, tail.measured] == pytest.approx([0.9, 2.0, 0.5])
    assert [share.met, times.met, tail.met] == [True, True, True]


def test_a_change_is_compared_with_its_share_and_the_last_level_with_an_eighth() -> None:
    half, last, equal = change_targets(CHANGES)
    assert [half.measured, last.measured] == pytest.approx([1.0, 0.2])
    assert [half.wanted, last.wanted] == [1.3, 0.125]
    assert [half.met, last.met, equal.met] == [True, False, True]
    assert not change_targets([CHANGES[0].model_copy(update={"equal": False}), CHANGES[1]])[-1].met


def test_the_page_has_a_row_for_every_case_and_target() -> None:
    now = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)
    about = circumstances(torch.device("cpu"), now, "python -m benchmarks.service")
    targets = [*latency_targets(LATENCIES), *rate_targets(RATES), *change_targets(CHANGES)]
    report = Report(circumstances=about, rounds=3, latencies=LATENCIES, rates=RATES, changes=CHANGES, targets=targets)
    text = "\n".join(markdown(report))
    for what in [*(one.what for one in LATENCIES), *(one.what for one in RATES), *(one.what for one in targets)]:
        assert what in text
    assert "| level 42 | 1 | 2.0% | 20.0% | 30.00 | yes |" in text
    assert text.count("**no**") == 1
    assert Report.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(("part", "value"), [(0.5, 2), (0.95, 4), (0.25, 1), (1.0, 4)])
def test_a_percentile_is_a_value_that_occurred(part: float, value: float) -> None:
    assert percentile([4, 1, 3, 2], part) == value
    assert percentile([], part) == 0


def test_a_server_is_asked_while_it_is_awake_and_gone_afterwards() -> None:
    request = post("/", {"seed": 1}, "image/png")
    with running(module(sys.executable, "benchmarks.empty_app", size=70_000)) as server:
        with server.awake() as port:
            with Connection(port) as connection:
                assert [len(connection.ask(request)) for _ in range(2)] == [70_000, 70_000]
            seen = asyncio.run(again_and_again(port, lambda: request, clients=3, seconds=0.2))
            arrived = asyncio.run(at_rate(port, lambda: request, rate=200, seconds=0.2, most=3))
        assert {answer.status for answer in seen + arrived} == {200}
        assert len(seen) >= 3
        assert len(arrived) == 40
        with server.awake() as port, Connection(port) as connection, pytest.raises(ResponseError, match="404"):
            connection.ask(post("/nowhere", {}, "image/png"))
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)


def test_an_answer_that_is_cut_short_is_an_error() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

        thread = threading.Thread(target=answer)
        thread.start()
        with Connection(listening.getsockname()[1]) as connection, pytest.raises(ResponseError, match="closed"):
            connection.ask(post("/", {}, "image/png"))
        thread.join()
