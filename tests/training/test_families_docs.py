"""docs/families.md: its table of the ladder is what `evaluate` found."""

import re
from pathlib import Path

import pytest

from training.figures import Figures

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+-mnist)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d, ]+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "families.md").read_text(encoding="utf-8"))


def test_the_table_has_the_three_models_that_are_compared() -> None:
    assert [name for name, *_ in ROWS] == ["lvae-mnist", "hvae-mnist", "vae-mnist"]


@pytest.mark.parametrize(("name", "elbo", "weighted", "tightest", "active"), ROWS)
def test_figures_are_those_of_the_results(name: str, elbo: str, weighted: str, tightest: str, active: str) -> None:
    results = [results_of(name), results_of(f"{name}-iw5000")]
    written = {"ELBO": elbo, "IW-100": weighted, "IW-5000": tightest}
    metrics = [metric for found in results for metric in found.metrics]
    assert {metric.estimator for metric in metrics} == written.keys()
    for metric in metrics:
        assert f"{metric.nats_per_image:.2f}" == written[metric.estimator]
        assert metric.images == 10_000
    assert all(list(found.active_units) == [int(count) for count in active.split(",")] for found in results)


def results_of(name: str) -> Figures:
    return Figures.model_validate_json((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
