"""The figures of the tour are those of the results: whoever measures again writes them again."""

from __future__ import annotations

import json

from app import figures
from benchmarks import tour


def test_the_file_in_the_explorer_is_what_the_command_writes() -> None:
    assert tour.OUT.read_text(encoding="utf-8") == tour.collected(), "run `python -m benchmarks.tour`"


def test_the_depth_study_is_that_of_its_results() -> None:
    measured = json.loads((tour.RESULTS / "depth.json").read_text(encoding="utf-8"))
    found = figures.load().depth
    assert [fit.levels for fit in found.fits] == [fit["levels"] for fit in measured["depths"]]
    for fit, wanted in zip(found.fits, measured["depths"], strict=True):
        assert abs(fit.mean - sum(wanted["kl"]) / len(wanted["kl"])) < 0.001
        assert fit.points.count("M") == tour.DOTS
    assert found.control.levels == 1


def test_only_scatter_plots_are_taken_from_a_drawing() -> None:
    dots = "".join(f"M{x}.5 7.0h0" for x in range(tour.DOTS + 10))
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0H9"/><g><path d="{dots}"/></g></svg>'
    (plot,) = tour.scatter_plots(drawing)
    assert plot.startswith("M0.5 7.0h0M1.5 7.0h0")
    assert plot.count("M") == tour.DOTS
