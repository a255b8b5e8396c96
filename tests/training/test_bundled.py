"""A bundle is as good as the checkpoint that it was exported from, measured from its own graphs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_families import FAMILIES, tiny
from tiny_recipe import blobs, tiny_recipe, write_idx

from model_zoo.bundle import BundleError, open_bundle
from model_zoo.manifest import Provenance
from model_zoo.zoo import BUNDLES
from training.__main__ import main
from training.bundled import BundledVAE, is_bundle, open_bundled, stored_in_half
from training.evaluate import evaluate
from training.export import About, export_bundle
from training.figures import Figures


@pytest.mark.parametrize("name", ["lvae-dense", "nvae-flows", "autoregressive"])
def test_a_bundle_has_the_figures_of_its_model(name: str, tmp_path: Path) -> None:
    """Both bounds, whatever the posterior is: Gaussian, after a flow, or discrete. To 1e-4, as graphs are checked."""
    model = tiny(name)
    values = tiny_recipe().model_dump(mode="json") | {"model": FAMILIES[name]}
    export_bundle(model, About(name="tiny", provenance=Provenance(recipe=values)), tmp_path / "tiny")
    recipe, bundled, bundle = open_bundled(tmp_path / "tiny")
    assert isinstance(bundled, BundledVAE)
    assert not stored_in_half(bundle)
    config = model.config
    generator = np.random.default_rng(0)
    shape = (6, config.image_size, config.image_size, config.image_channels)
    images = generator.integers(0, 2, shape, dtype=np.uint8) * np.uint8(255)
    models = model.folded(), bundled
    wanted, found = (evaluate(each, recipe.model.likelihood, [images], k=3, seed=1) for each in models)
    np.testing.assert_allclose(found.nats, wanted.nats, rtol=1e-4)
    np.testing.assert_allclose(found.rates, wanted.rates, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.importance_weighted, wanted.importance_weighted, rtol=1e-4)


def test_the_command_takes_a_bundle(tmp_path: Path) -> None:
    write_idx(tmp_path / "data" / "tiny", blobs(12))
    recipe = tiny_recipe()
    provenance = Provenance(recipe=recipe.model_dump(mode="json"), steps=3)
    torch.manual_seed(0)
    export_bundle(tiny("vdvae"), About(name="tiny", provenance=provenance), tmp_path / "tiny", half=True)
    assert is_bundle(tmp_path / "tiny")
    command = ["evaluate", str(tmp_path / "tiny"), "--data", str(tmp_path / "data"), "--images", "5"]
    assert main([*command, "--out", str(tmp_path / "figures.json")]) == 0
    figures = Figures.model_validate_json((tmp_path / "figures.json").read_text())
    assert (figures.step, figures.weights, figures.half) == (3, "averaged", True)
    assert "rounded to float16" in figures.metrics[0].note


@pytest.mark.parametrize("option", ["--half", "--raw-weights"])
def test_what_is_for_checkpoints_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(BUNDLES / "lvae-mnist"), option]) == 1
    assert "for checkpoints" in capsys.readouterr().err


def test_a_bundle_without_a_recipe_says_what_is_missing(tmp_path: Path) -> None:
    provenance = Provenance(recipe={"model": FAMILIES["vdvae"]})  # as an imported one
    export_bundle(tiny("vdvae"), About(name="tiny", provenance=provenance), tmp_path / "tiny")
    with pytest.raises(BundleError, match="whole recipe"):
        open_bundled(tmp_path / "tiny")


def test_a_shipped_card_is_reproduced_from_its_bundle(shared: Path, tmp_path: Path) -> None:
    """The whole test set, for the bundle whose network is quickest; within 0.2 nats of what its card says."""
    out = tmp_path / "figures.json"
    command = ["evaluate", str(BUNDLES / "lvae-mnist"), "--data", str(shared / "data"), "--out", str(out)]
    assert main(command) == 0
    found = json.loads(out.read_text())["metrics"][0]
    card = next(m for m in open_bundle(BUNDLES / "lvae-mnist").manifest.metrics if m.estimator == "ELBO")
    assert found["images"] == card.images == 10_000
    assert found["nats_per_image"] == pytest.approx(card.nats_per_image, abs=0.2)
