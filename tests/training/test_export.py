"""From a model to a bundle: what the graphs contain, what they promise, and what is refused."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from model_zoo.bundle import BundleError, open_bundle
from model_zoo.manifest import DECODER_NAME, ENCODER_NAME, WEIGHTS_NAME, Manifest, Metric, Provenance
from training.export import About, ExportError, check_graphs, export_bundle, open_session
from training.graphs import round_to_half
from training.models.vdvae import VDVAE

METRIC = Metric(estimator="ELBO", nats_per_image=12.5, bits_per_dim=0.3, split="test", images=12, note="one sample")


def about(model: VDVAE, images: np.ndarray) -> About:
    return About(
        name="tiny",
        summary="A tiny model",
        provenance=Provenance(recipe={"name": "tiny"}, seed=3, steps=7),
        metrics=(METRIC,),
        kl_nats=[0.5 * (index + 1) for index in range(len(model.shapes))],
        examples=[(image, "blob") for image in images[:2]],
    )


@pytest.fixture(scope="module")
def exported(tiny_model: VDVAE, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the tiny model with float16 weights. Do not change it."""
    model = VDVAE(tiny_model.config)
    model.load_state_dict(tiny_model.state_dict())
    target = tmp_path_factory.mktemp("zoo") / "tiny"
    export_bundle(model, about(model, images), target, half=True)
    return target


def test_the_bundle_opens_and_its_manifest_tells_what_training_knew(exported: Path, tiny_model: VDVAE) -> None:
    manifest = open_bundle(exported).manifest
    assert manifest.latents == sum(shape.size for shape in tiny_model.shapes)
    assert [level.kl_nats for level in manifest.levels] == [0.5, 1.0, 1.5, 2.0]
    assert manifest.metrics == (METRIC,)
    assert (manifest.provenance.seed, manifest.provenance.steps) == (3, 7)
    assert [example.label for example in manifest.examples] == ["blob", "blob"]


def test_the_card_shows_each_figure_with_its_estimator(exported: Path) -> None:
    text = (exported / "README.md").read_text(encoding="utf-8")
    assert "| ELBO | 12.50 | 0.3000 | test | 12 | one sample |" in text
    assert "- Seed: 3" in text


def test_both_graphs_read_one_weights_file_that_stores_nothing_twice(exported: Path, tiny_model: VDVAE) -> None:
    stored = {}
    for name in (DECODER_NAME, ENCODER_NAME):
        graph = onnx.load(exported / name, load_external_data=False)
        for tensor in graph.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                entry = {item.key: item.value for item in tensor.external_data}
                assert entry["location"] == WEIGHTS_NAME
                stored[entry["offset"]] = int(entry["length"])
    size = (exported / WEIGHTS_NAME).stat().st_size
    large = [p for p in tiny_model.parameters() if p.nbytes >= 1024]
    assert sum(stored.values()) <= size < sum(stored.values()) + 64 * len(stored)
    assert sum(stored.values()) <= sum(p.nbytes for p in large) // 2 + 4096  # float16, each once


def test_graphs_draw_no_random_numbers_and_carry_no_trace_of_the_machine(exported: Path) -> None:
    for name in (DECODER_NAME, ENCODER_NAME):
        graph = onnx.load(exported / name, load_external_data=False)
        operators = Counter(node.op_type for node in graph.graph.node)
        assert not [operator for operator in operators if operator.startswith("Random")]
        assert str(Path(__file__).parents[2]).encode() not in (exported / name).read_bytes()


def test_half_precision_graphs_equal_the_model_with_rounded_weights(exported: Path, tiny_model: VDVAE) -> None:
    model = VDVAE(tiny_model.config).eval()
    model.load_state_dict(tiny_model.state_dict())
    with pytest.raises(ExportError, match="differs from PyTorch"):
        check_graphs(distort(model), exported)
    round_to_half(model)
    check_graphs(model, exported, batches=(1, 2, 3, 7))


def distort(model: VDVAE) -> VDVAE:
    """The same model with one weight changed."""
    changed = VDVAE(model.config).eval()
    changed.load_state_dict(model.state_dict())
    with torch.no_grad():
        changed.decoder.levels[0].z_proj.weight[0, 0] += 1
    return changed


def test_no_bundle_is_left_when_the_graphs_are_wrong(
    tiny_model: VDVAE,
    images: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(*_: object) -> None:
        raise ExportError("decoder.onnx at batch 1: latents differs from PyTorch by 1")

    monkeypatch.setattr("training.export.check_graphs", wrong)
    with pytest.raises(ExportError):
        export_bundle(tiny_model, about(tiny_model, images), tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def test_one_flipped_byte_in_the_weights_is_refused(exported: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(exported, tmp_path / "tiny")
    data = bytearray((copy / WEIGHTS_NAME).read_bytes())
    data[100] ^= 1
    (copy / WEIGHTS_NAME).write_bytes(data)
    with pytest.raises(BundleError, match=WEIGHTS_NAME):
        open_bundle(copy)


def test_an_image_does_not_depend_on_its_batch(exported: Path) -> None:
    manifest: Manifest = open_bundle(exported).manifest
    session = open_session(exported / DECODER_NAME)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((5, manifest.latents), dtype=np.float32)
    feed = {
        "noise": noise,
        "given": np.zeros_like(noise),
        "keep": np.zeros(noise.shape, bool),
        "temperature": np.full((5, len(manifest.levels)), 0.8, np.float32),
    }
    together = session.run(["likelihood"], feed)[0]
    for index in (4, 0):
        alone = session.run(["likelihood"], {name: value[index : index + 1] for name, value in feed.items()})[0]
        np.testing.assert_array_equal(alone[0], together[index])
