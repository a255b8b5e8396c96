"""The depth study: models that differ in depth alone, and a script that goes all the way."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.depth_study import (
    LATENTS,
    RESOLUTIONS,
    WIDTHS,
    Result,
    by_resolution,
    decoder_blocks,
    main,
    markdown,
    recipe,
)
from benchmarks.svg import Bars, Curve, picture
from training.models.families import build
from training.models.vdvae import parse_blocks

DEPTHS = [*WIDTHS]


def test_the_blocks_have_the_levels_asked_for_at_each_resolution() -> None:
    blocks = parse_blocks(decoder_blocks([2, 1, 3, 4]))
    assert [block.resolution for block in blocks] == [1] * 2 + [4] + [8] * 3 + [16] * 4
    assert [block.mixin for block in blocks if block.mixin] == [1, 4, 8]


def test_depths_differ_in_depth_alone() -> None:
    """As many parameters (to half a percent), as many latents at each resolution, the same training."""
    parameters, latents = [], []
    for levels in DEPTHS:
        model = build(recipe(levels, 10).model)
        assert len(model.shapes) == levels
        parameters.append(sum(tensor.numel() for tensor in model.parameters()))
        sizes = dict.fromkeys(RESOLUTIONS, 0)
        for shape in model.shapes:
            sizes[shape.height] += shape.channels
        latents.append(sizes)
    assert max(parameters) / min(parameters) < 1.005
    assert all(sizes == latents[0] for sizes in latents)
    assert sum(latents[0].values()) == LATENTS
    assert len({recipe(levels, 10).schedule for levels in DEPTHS}) == 1
    assert len({recipe(levels, 10).optimiser for levels in DEPTHS}) == 1


def test_bars_start_at_0_and_a_curve_at_its_floor() -> None:
    bars = Bars("rate", "levels", [1.0, 2.0, 0.0], [0, 0, 1])
    curve = Curve("bits/dim", "levels", ["6"], [3.1], [(3.0, 3.2)], 1, floor=3.0)
    root = ElementTree.fromstring(picture([bars, curve], columns=2))
    drawn = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if element.get("x")]
    heights = [float(element.attrib["height"]) for element in drawn]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert heights[2] == 0
    assert drawn[0].get("fill") == drawn[1].get("fill") != drawn[2].get("fill")
    assert "3" in [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_script_goes_all_the_way(tmp_path: Path, fashion: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- begin depth-study -->\n<!-- end depth-study -->\n")
    small = ["--depths", "6", "12", "--steps", "2", "--images", "3", "--data", str(fashion)]
    where = ["--results", str(tmp_path), "--figure", str(tmp_path / "study.svg"), "--page", str(page)]
    assert main([*small, *where, "--runs", str(tmp_path)]) == 0
    result = Result.model_validate_json((tmp_path / "depth-study.json").read_text())
    assert [depth.levels for depth in result.depths] == [6, 12]
    assert result.images == 3
    for depth in result.depths:
        assert sum(by_resolution(depth).values()) == pytest.approx(sum(depth.rates))
    assert "bits/dim" in page.read_text()
    titles = [element.text for element in ElementTree.parse(tmp_path / "study.svg").iter() if element.text]
    assert {"rate of 6 levels, nats", "rate of 12 levels, nats"} <= set(titles)


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """Grey noise in the layout of Fashion-MNIST."""
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for split, count in (("train", 20), ("t10k", 5)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        head = b"".join(number.to_bytes(4, "big") for number in (0x803, *images.shape))
        (folder / f"{split}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        labels = (0x801).to_bytes(4, "big") + count.to_bytes(4, "big") + bytes(count)
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(labels)
    return tmp_path


def test_the_page_about_mathematics_shows_the_last_results(root: Path) -> None:
    result = Result.model_validate_json((root / "benchmarks/results/depth-study.json").read_text())
    assert "\n".join(markdown(result)) in (root / "docs/mathematics.md").read_text()


def test_what_the_page_says_of_the_results_holds(root: Path) -> None:
    """Better with every doubling up to 24 levels, not at 48; and more of the rate at the finest resolution up to 24."""
    result = Result.model_validate_json((root / "benchmarks/results/depth-study.json").read_text())
    bits = {depth.levels: depth.bits_per_dim for depth in result.depths}
    assert bits[6] > bits[12] > bits[24] < bits[48]
    shares = [by_resolution(depth)[16] / sum(depth.rates) for depth in result.depths]
    assert shares == sorted(shares)
