"""Proposition 2 in the plane: the density is exact, the estimate is a bound, and the script goes all the way."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from benchmarks import spirals
from benchmarks.chain import Chain, bound, draw_noise, log_normal, width_for
from benchmarks.depth import Result, main, markdown
from benchmarks.svg import Curve, Scatter, picture
from training.models.contract import Normal


def chain(levels: int, seeds: int = 1) -> Chain:
    """An untrained chain whose networks do something."""
    generator = torch.Generator().manual_seed(0)
    model = Chain(levels, 4, seeds, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def test_the_density_integrates_to_one() -> None:
    step = spirals.SCALE / 3
    axis = torch.arange(-3.6, 3.6, step, dtype=torch.float64)
    rows = [spirals.log_density(torch.cartesian_prod(x[None], axis)).exp().sum() for x in axis]
    assert sum(rows) * step**2 == pytest.approx(1, abs=1e-4)


def test_points_are_drawn_from_the_density() -> None:
    """The mean of -log p over draws is the entropy, here from the same grid as the integral."""
    step = spirals.SCALE / 3
    axis = torch.arange(-3.6, 3.6, step, dtype=torch.float64)
    entropy = 0.0
    for x in axis:
        log_p = spirals.log_density(torch.cartesian_prod(x[None], axis))
        entropy -= float((log_p.exp() * log_p).sum()) * step**2
    drawn = spirals.draw((4000,), torch.Generator().manual_seed(0))
    assert -float(spirals.log_density(drawn).mean()) == pytest.approx(entropy, abs=0.05)


@pytest.mark.parametrize(("levels", "tolerance"), [(1, 0.03), (3, 0.2)])
def test_the_bound_of_a_chain_of_linear_gaussians_is_its_marginal(levels: int, tolerance: float) -> None:
    """Untrained, every network gives 0: x = z_0 + noise + ... is Gaussian, and its variance the sum of theirs."""
    model = Chain(levels, 4, 1, torch.Generator().manual_seed(0))
    scales = [*model.log_scales_p, float(model.top_log_scale.detach()[0, 0, 0])]
    total = sum(math.exp(2 * scale) for scale in scales)
    x = torch.randn(1, 20, 2, generator=torch.Generator().manual_seed(1))
    exact = log_normal(x, Normal(torch.zeros_like(x), torch.full_like(x, math.log(total) / 2)))
    found = bound(model, x, 4000, torch.Generator().manual_seed(2))
    torch.testing.assert_close(found.importance_weighted, exact.double(), atol=tolerance, rtol=0)
    assert (found.elbo < exact).all()


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_more_importance_samples_bring_the_bound_nearer(levels: int) -> None:
    model, x = chain(levels, seeds=2), torch.randn(2, 30, 2, generator=torch.Generator().manual_seed(1))
    bounds = [bound(model, x, k, torch.Generator().manual_seed(2)).importance_weighted.mean() for k in (1, 20, 400)]
    assert bounds == sorted(bounds)


def test_samples_in_memory_do_not_change_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = chain(2), torch.zeros(1, 3, 2)
    whole = bound(model, x, 20_000, torch.Generator().manual_seed(0))
    monkeypatch.setattr("benchmarks.chain.CHUNK", 30)
    parts = bound(model, x, 20_000, torch.Generator().manual_seed(1))
    torch.testing.assert_close(parts.importance_weighted, whole.importance_weighted, atol=0.05, rtol=0)


def test_seeds_do_not_meet() -> None:
    model, noise = chain(2, seeds=2), draw_noise(2, (2, 5), torch.Generator().manual_seed(0))
    x = torch.zeros(2, 5, 2)
    before = model.encode(x, noise)[0].mean
    x[1] += 1
    after = model.encode(x, noise)[0].mean
    assert torch.equal(after[0], before[0])
    assert not torch.equal(after[1], before[1])


@pytest.mark.parametrize("parameters", [282, 2634, 21_000])
def test_the_control_has_as_many_parameters(parameters: int) -> None:
    width = width_for(parameters)
    count = sum(parameter.numel() for parameter in Chain(1, width, 1, torch.Generator()).parameters())
    assert count == 2 * width**2 + 18 * width + 10
    assert abs(count - parameters) <= 2 * width + 10  # half of what one more unit adds


def test_a_picture_is_well_formed_and_drops_what_lies_outside() -> None:
    panels: list[Scatter | Curve] = [
        Scatter("a < b", [(0.0, 0.0), (9.0, 0.0)], 4.0),
        Curve("KL", "levels", ["1"], [0.5], [(0.4, 0.6)], 1),
    ]
    root = ElementTree.fromstring(picture(panels, columns=2))
    paths = [element.get("d", "") for element in root.iter("{http://www.w3.org/2000/svg}path")]
    assert paths[0] == "M100.0 100.0h0"
    assert "a < b" in [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_script_goes_all_the_way(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- begin depth -->\n<!-- end depth -->\n")
    small = ["--depths", "1", "2", "--width", "4", "--steps", "2", "--points", "10", "--k", "3"]
    where = ["--results", str(tmp_path), "--figure", str(tmp_path / "depth.svg"), "--page", str(page)]
    assert main([*small, *where]) == 0
    result = Result.model_validate_json((tmp_path / "depth.json").read_text())
    assert [fit.levels for fit in (*result.depths, result.control)] == [1, 2, 1]
    assert "\n".join(markdown(result)) in page.read_text()
    titles = [element.text for element in ElementTree.parse(tmp_path / "depth.svg").iter() if element.text]
    assert {"data", "1 level", "2 levels"} <= set(titles)


def test_the_page_about_mathematics_shows_the_last_results(root: Path) -> None:
    result = Result.model_validate_json((root / "benchmarks/results/depth.json").read_text())
    assert "\n".join(markdown(result)) in (root / "docs/mathematics.md").read_text()


def test_depth_brings_the_model_nearer_to_the_density(root: Path) -> None:
    """What the figure claims, of the results that are shown: every seed of the deepest beats every shallower one."""
    result = Result.model_validate_json((root / "benchmarks/results/depth.json").read_text())
    means = [sum(fit.kl) / len(fit.kl) for fit in result.depths]
    assert means == sorted(means, reverse=True)
    assert max(result.depths[-1].kl) < min(result.control.kl)
