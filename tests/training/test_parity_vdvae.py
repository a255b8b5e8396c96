"""Imported checkpoints give the numbers of the authors' own code (../shared/reference/vdvae).

The bundle's ONNX graphs are what is compared; the likelihood and the gradients come from PyTorch.
Tolerance as the reference's README states: max|a - b| <= 1e-4 * max(1, max|b|).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from model_zoo.bundle import open_bundle
from training.__main__ import main
from training.export import open_session
from training.importers.openai_vdvae import load_published, read_config
from training.latents import unpack
from training.models.vdvae import VDVAE
from training.objective import bound

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "vdvae"
MODELS = ("cifar10-like", "ffhq256-like", "ffhq1024-like")

pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="../shared/reference is not beside the repository")

Array = NDArray[Any]


class Case(NamedTuple):
    """One reference model: its vectors, our PyTorch model, and the graphs of the bundle it was imported to."""

    vectors: dict[str, Array]
    info: dict[str, Any]
    model: VDVAE
    decoder: onnxruntime.InferenceSession
    encoder: onnxruntime.InferenceSession

    def packed(self, prefix: str) -> Array:
        """The levels of `prefix` in the reference, packed [B, N] as the graphs want them."""
        levels = range(len(self.model.shapes))
        return np.concatenate([self.vectors[f"{prefix}_{k:02d}"].reshape(self.batch, -1) for k in levels], axis=1)

    @property
    def batch(self) -> int:
        return len(self.vectors["x_uint8"])

    def decode(self, noise: Array, temperature: Array | float, given: Array | None = None, n_given: int = 0) -> Array:
        """Mixture parameters [B, H, W, P] from the decoder graph."""
        kept = sum(shape.size for shape in self.model.shapes[:n_given])
        keep = np.zeros(noise.shape, bool)
        keep[:, :kept] = True
        feed = {
            "noise": noise,
            "given": np.zeros_like(noise) if given is None else given,
            "keep": keep,
            "temperature": np.broadcast_to(temperature, (len(noise), len(self.model.shapes))).astype(np.float32),
        }
        return self.decoder.run(["likelihood"], feed)[0].transpose(0, 2, 3, 1)


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name, out = request.param, tmp_path_factory.mktemp("bundles")
    checkpoint, config = REFERENCE / f"{name}-model-ema.th", REFERENCE / f"{name}.json"
    command = ["import", "openai-vdvae", str(checkpoint), "--config", str(config), "--name", name, "--out", str(out)]
    assert main(command) == 0
    bundle = open_bundle(out / name)
    with np.load(REFERENCE / f"{name}.npz") as vectors:
        return Case(
            dict(vectors),
            json.loads(config.read_text()),
            load_published(checkpoint, read_config(str(config))),
            open_session(bundle.decoder),
            open_session(bundle.encoder),
        )


def assert_close(got: Array, wanted: Array) -> None:
    """Where the reference holds mixture parameters of the first image only, only that is compared."""
    got = got[: len(wanted)]
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-4 * max(1.0, np.abs(wanted).max())


def test_encoder_graph_gives_latents_rates_and_mixture_parameters(case: Case) -> None:
    feed = {"image": case.vectors["x_uint8"], "noise": case.packed("eps_q")}
    latents, kl, likelihood = case.encoder.run(["latents", "kl", "likelihood"], feed)
    assert_close(latents, case.packed("posterior_z"))
    assert_close(likelihood.transpose(0, 2, 3, 1), case.vectors["posterior_out"])
    for index, level in enumerate(unpack(torch.from_numpy(kl), case.model.shapes)):
        assert_close(level.sum(dim=(1, 2, 3)).numpy(), case.vectors[f"posterior_kl_{index:02d}"])


def test_elbo_splits_into_the_reference_distortion_and_rate(case: Case) -> None:
    feed = {"image": case.vectors["x_uint8"], "noise": case.packed("eps_q")}
    kl, parameters = case.encoder.run(["kl", "likelihood"], feed)
    image = torch.from_numpy(case.vectors["x_uint8"])
    likelihood = case.model.config.likelihood
    dims = image[0].numel()
    distortion = likelihood.nats(torch.from_numpy(parameters), likelihood.observe(image)).numpy() / dims
    rate = kl.sum(axis=1) / dims
    assert_close(distortion, case.vectors["distortion_nats_per_dim"])
    assert_close(rate, case.vectors["rate_nats_per_dim"])
    assert_close(distortion + rate, case.vectors["elbo_nats_per_dim"])


@pytest.mark.parametrize(("key", "temperature"), [("prior_out_t07", 0.7), ("prior_out_t10", 1.0)])
def test_prior_pass_at_one_temperature(case: Case, key: str, temperature: float) -> None:
    if key not in case.vectors:
        pytest.skip(f"the reference has no {key} for this model")
    assert_close(case.decode(case.packed("eps_p"), temperature), case.vectors[key])


def test_prior_pass_with_a_temperature_for_each_level(case: Case) -> None:
    wanted = case.vectors["prior_out_per_level"]
    assert_close(case.decode(case.packed("eps_p"), case.vectors["temperatures"]), wanted)


def test_given_latents_at_the_top_and_drawn_ones_below(case: Case) -> None:
    wanted, n_given = case.vectors["given_out"], int(case.vectors["n_given"])
    got = case.decode(case.packed("eps_p"), 0.7, case.packed("posterior_z"), n_given)
    assert_close(got, wanted)


def test_keeping_all_posterior_latents_repeats_the_posterior_pass(case: Case) -> None:
    levels = len(case.model.shapes)
    got = case.decode(case.packed("eps_p"), 1.0, case.packed("posterior_z"), levels)
    assert_close(got, case.vectors["posterior_out"])


def test_gradient_norms(case: Case) -> None:
    image = torch.from_numpy(case.vectors["x_uint8"])
    likelihood, model = case.model.config.likelihood, case.model
    noise = unpack(torch.from_numpy(case.packed("eps_q")), model.shapes)
    terms, _ = bound(model, likelihood, likelihood.observe(image), noise)
    model.zero_grad()
    (terms.nats / image[0].numel()).mean().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    norms = {name: float(gradient.norm()) for name, gradient in gradients.items() if gradient is not None}
    names = [str(name) for name in case.vectors["grad_names"]]
    assert sorted(names) == sorted(norms)
    assert_close(np.array([norms[name] for name in names]), case.vectors["grad_norms"])
