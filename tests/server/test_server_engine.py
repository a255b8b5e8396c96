"""ONNX Runtime runs what was asked for, where it was asked for, or says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from toy_bundle import write_toy

from model_zoo.bundle import Bundle, open_bundle
from server.cancel import Cancel, Cancelled
from server.engine import Engine, EngineError
from server.models import Model
from server.plan import Pass
from server.sessions import Provider, open_session


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    write_toy(tmp_path / "toy")
    return open_bundle(tmp_path / "toy")


def test_images_are_cut_into_batches_that_cover_them_all(toy: Model) -> None:
    assert toy.engine.max_batch == 4
    assert [*toy.engine.batches(9)] == [range(0, 4), range(4, 8), range(8, 9)]
    assert [*toy.engine.batches(0)] == []


def test_the_decoder_keeps_the_one_rule(toy: Model) -> None:
    """z = given where keep, else mu + tau * sigma * eps."""
    rng = np.random.default_rng(0)
    manifest = toy.bundle.manifest
    work = Pass.blank(3, manifest)
    work.noise[:], work.given[:] = rng.normal(size=(2, *work.noise.shape))
    work.keep[:] = rng.random(work.keep.shape) < 0.5
    work.temperature[:] = rng.random(work.temperature.shape)
    out = toy.engine.decode(work, ("latents", "prior_mean", "prior_scale"))
    tau = np.repeat(work.temperature, [level.size for level in manifest.levels], axis=1)
    expected = np.where(work.keep, work.given, out["prior_mean"] + tau * out["prior_scale"] * work.noise)
    np.testing.assert_allclose(out["latents"], expected, rtol=1e-6, atol=1e-6)


def test_encoding_with_zero_noise_gives_the_posterior_mean(toy: Model) -> None:
    noise = np.zeros((3, toy.bundle.manifest.latents), np.float32)
    out = toy.engine.encode(toy.examples, noise, ("latents", "posterior_mean", "kl"))
    np.testing.assert_array_equal(out["latents"], out["posterior_mean"])
    assert (out["kl"] >= -1e-5).all()


def test_cuda_is_refused_where_there_is_none(bundle: Bundle) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(EngineError, match="cuda was asked for, but this ONNX Runtime has"):
        Engine.open(bundle, provider="cuda")
    assert Engine.open(bundle, provider="auto").provider == "cpu"


def test_a_graph_out_of_contract_is_refused_by_name(bundle: Bundle) -> None:
    graph = onnx.load(bundle.decoder, load_external_data=False)
    for node in graph.graph.node:
        node.input[:] = ["heat" if name == "temperature" else name for name in node.input]
    for value in graph.graph.input:
        value.name = value.name.replace("temperature", "heat")
    onnx.save(graph, bundle.decoder)
    with pytest.raises(EngineError, match="decoder.onnx has inputs noise, given, keep, heat; expected noise, given"):
        Engine.open(bundle)


def test_a_graph_that_is_no_onnx_is_refused(bundle: Bundle) -> None:
    bundle.encoder.write_bytes(b"not a graph")
    with pytest.raises(EngineError, match="encoder.onnx cannot be loaded"):
        Engine.open(bundle)


def test_large_models_get_small_batches(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.engine.MAX_BATCH_ELEMENTS", 1000)
    assert Engine.open(bundle, max_batch=16).max_batch == 1000 // bundle.manifest.latents


def test_a_small_model_gets_one_thread_a_pass_and_as_many_passes(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a large one all threads for one."""
    opened: list[int] = []

    def note(
        model: onnx.ModelProto, path: Path, provider: Provider, threads: int, small: bool
    ) -> onnxruntime.InferenceSession:
        opened.append(threads)
        return open_session(model, path, provider, threads, small)

    monkeypatch.setattr("server.engine.open_session", note)
    assert Engine.open(bundle, "cpu", threads=3).decoder.lanes == 3
    assert set(opened) == {1}
    monkeypatch.setattr("server.engine.SMALL_FLOPS", 1)
    assert Engine.open(bundle, "cpu", threads=3).decoder.lanes == 1
    assert set(opened) == {1, 3}


def test_an_engine_bound_to_a_request_stops_with_it(toy: Model) -> None:
    manifest, cancel = toy.bundle.manifest, Cancel()
    bound = toy.engine.bound_to(cancel)
    work = Pass.blank(1, manifest)
    before = bound.decode(work, ("likelihood",))["likelihood"]
    cancel.cancel()
    with pytest.raises(Cancelled):
        bound.decode(work, ("likelihood",))
    with pytest.raises(Cancelled):
        bound.encode(toy.examples[:1], work.noise, ("latents",))
    with pytest.raises(Cancelled):
        next(bound.batches(1))
    np.testing.assert_array_equal(toy.engine.decode(work, ("likelihood",))["likelihood"], before)
