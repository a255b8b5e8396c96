"""Figures that go into a bundle: only those of its own weights, and of each estimator the widest."""

from pathlib import Path

import pytest

from model_zoo.manifest import Metric
from training.checkpoint import CheckpointError
from training.figures import Figures
from training.publish import combine, read_figures


def figures(images: int, *estimators: str, half: bool = True, kl: float = 1.0) -> Figures:
    return Figures(
        metrics=tuple(
            Metric(estimator=name, nats_per_image=80.0, bits_per_dim=0.15, split="test", images=images)
            for name in estimators
        ),
        kl_nats=(kl, 2.0),
        active_units=(3, 4),
        distortion_nats=50.0,
        rate_nats=30.0,
        seed=0,
        step=100,
        weights="averaged",
        half=half,
        wall_time_s=1.0,
        hardware="a machine",
    )


def test_of_each_estimator_the_figure_over_the_most_images_counts() -> None:
    metrics, kl_nats, active = combine([figures(10_000, "ELBO", kl=3.0), figures(5_000, "ELBO", "IW-100")])
    assert {metric.estimator: metric.images for metric in metrics} == {"ELBO": 10_000, "IW-100": 5_000}
    assert kl_nats == (3.0, 2.0)
    assert active == (3, 4)


def test_a_bundle_may_have_no_figures() -> None:
    assert combine([]) == ((), None, None)


@pytest.mark.parametrize(("step", "half"), [(101, True), (100, False)])
def test_figures_of_other_weights_are_refused(tmp_path: Path, step: int, half: bool) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(figures(10, "ELBO").model_dump_json())
    assert read_figures(path, 100, half=True).step == 100
    with pytest.raises(CheckpointError, match="evaluate again"):
        read_figures(path, step, half=half)
