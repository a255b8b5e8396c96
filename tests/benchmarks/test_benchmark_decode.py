"""The figures of `make bench` from given timings: rates, shares, speed-ups, targets and their tables."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import torch

from benchmarks.decode import DECODES, SIZES, Decode, Report, markdown, product_cases, summary, targets
from benchmarks.report import Circumstances, circumstances, fill, write
from benchmarks.subjects import prepare, random_model, sampling_pass
from benchmarks.timing import Timing, summarise
from server.engine import Engine
from training.recipe import Recipe

NOW = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)
FLOPS = {"vdvae-cifar10": 25_000_000_000, "vdvae-mnist": 70_000_000}


def seconds(value: float) -> Timing:
    return summarise([value])


@pytest.fixture
def about() -> Circumstances:
    return circumstances(torch.device("cpu"), NOW, "python -m benchmarks.decode")


@pytest.fixture
def report(about: Circumstances) -> Report:
    """NumPy multiplies at 200 GFLOP/s, the others at half of it; ONNX Runtime decodes at 170, PyTorch takes double."""
    timings = {}
    for size in SIZES:
        for library, rate in (("NumPy", 200e9), ("PyTorch", 100e9), ("ONNX Runtime", 100e9)):
            timings[f"{library} {size}"] = seconds(2 * size**3 / rate)
    for name, batch in DECODES:
        took = batch * FLOPS[name] / 170e9
        timings |= {f"{name} {batch} ONNX Runtime": seconds(took), f"{name} {batch} PyTorch": seconds(2 * took)}
    return summary(about, 1, timings, FLOPS)


def test_the_fastest_library_is_the_machine(report: Report) -> None:
    assert report.machine_gflops == pytest.approx(200)


def test_a_decode_is_compared_with_the_machine_and_with_pytorch(report: Report) -> None:
    assert [(d.model, d.batch) for d in report.decodes] == list(DECODES)
    for decode in report.decodes:
        assert decode.gflops == pytest.approx(170)
        assert decode.share == pytest.approx(0.85)
        assert decode.speedup == pytest.approx(2.0)


def test_a_target_is_met_or_it_is_not(report: Report) -> None:
    met = {target.what: target.met for target in report.targets}
    assert met == {
        "vdvae-cifar10, batch 1: share of the machine's rate": True,
        "vdvae-cifar10, batch 1: times as fast as PyTorch": True,
        "vdvae-cifar10, batch 8: share of the machine's rate": True,
        "vdvae-cifar10, batch 8: times as fast as PyTorch": True,
        "vdvae-mnist, batch 1: times as fast as PyTorch": False,  # 2.0, and 2.5 was wanted
    }


def test_a_model_without_targets_is_only_reported(report: Report) -> None:
    other: Decode = report.decodes[0].model_copy(update={"model": "another"})
    assert targets([other]) == []


def test_the_table_says_what_was_missed(report: Report) -> None:
    text = "\n".join(markdown(report))
    assert "| vdvae-mnist, batch 1: times as fast as PyTorch | 2.5 | 2.00 | **no** |" in text
    assert "The machine's rate: 200 GFLOP/s." in text
    assert "2026-01-02T03:04+00:00" in text


def test_results_are_read_back_as_they_were(report: Report, tmp_path: Path) -> None:
    write(tmp_path, "decode-cpu", report, markdown(report))
    assert Report.model_validate_json((tmp_path / "decode-cpu.json").read_text()) == report
    assert (tmp_path / "decode-cpu.md").read_text().splitlines() == markdown(report)


def test_a_page_keeps_what_stands_around_its_figures(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin x -->\nold\n<!-- end x -->\nafter\n")
    for lines in (["new"], ["newer", "still"]):
        fill(page, "x", lines)
    assert page.read_text() == "before\n<!-- begin x -->\n\nnewer\nstill\n\n<!-- end x -->\nafter\n"


def test_a_page_without_a_place_for_figures_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    with pytest.raises(ValueError, match="<!-- begin x -->"):
        fill(page, "x", ["new"])


def test_the_page_about_performance_shows_the_last_results(root: Path) -> None:
    results = root / "benchmarks/results/decode-cpu.json"
    assert (
        "\n".join(markdown(Report.model_validate_json(results.read_text())))
        in (root / "docs/performance.md").read_text()
    )


def test_all_three_libraries_multiply_the_same_matrices() -> None:
    cases = product_cases(1)
    products = [cases[f"{library} {SIZES[0]}"]() for library in ("NumPy", "PyTorch", "ONNX Runtime")]
    numpy, pytorch, onnxruntime = (torch.as_tensor(p[0] if isinstance(p, list) else p) for p in products)
    torch.testing.assert_close(pytorch, numpy, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(onnxruntime, numpy, rtol=1e-4, atol=1e-3)


def test_no_weight_of_a_random_model_is_left_at_zero(tiny: Recipe) -> None:
    assert all(parameter.any() for parameter in random_model(tiny).parameters())


def test_a_model_is_exported_once_and_decodes_in_the_servers_engine(tiny: Recipe, tmp_path: Path) -> None:
    said: list[str] = []
    subject = prepare(tiny, tmp_path, said.append)
    assert prepare(tiny, tmp_path, said.append).bundle == subject.bundle
    assert len(said) == 1
    decoded = Engine.open(subject.bundle, "cpu").decode(sampling_pass(subject, 3), ("likelihood",))
    assert decoded["likelihood"].shape == (3, 1, 28, 28)
