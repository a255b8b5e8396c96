"""docs/families.md: its table of the ladder is what `evaluate` found."""

import re
from pathlib import Path

import pytest

from training.figures import Figures

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+-mnist)` \| ([\d.]+) \| ([\d.]+) \| ([\d, ]+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "families.md").read_text(encoding="utf-8"))


def test_the_table_has_the_three_models_that_are_compared() -> None:
    assert [name for name, *_ in ROWS] == ["lvae-mnist", "hvae-mnist", "vae-mnist"]


@pytest.mark.parametrize(("name", "elbo", "weighted", "active"), ROWS)
def test_figures_are_those_of_the_results(name: str, elbo: str, weighted: str, active: str) -> None:
    found = Figures.model_validate_json((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    first, second = found.metrics
    assert (first.estimator, second.estimator) == ("ELBO", "IW-100")
    assert (f"{first.nats_per_image:.2f}", f"{second.nats_per_image:.2f}") == (elbo, weighted)
    assert list(found.active_units) == [int(count) for count in active.split(",")]
    assert first.images == second.images == 10_000
