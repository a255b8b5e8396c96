"""Imported NVAE checkpoints give the numbers of the authors' own code (../shared/reference/nvae).

The bundle's ONNX graphs are what is compared; likelihood and penalties come from PyTorch. Tolerance as the
reference's README states: max|a - b| <= 1e-4 * max(1, max|b|).
"""

from __future__ import annotations

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
from training.importers.nvlabs_nvae import load_published
from training.latents import unpack
from training.models.nvae import NVAE, log_normal
from training.norms import NormPenalty

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "nvae"
MODELS = ("mnist-like", "cifar10-like", "celeba64-like")

pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="../shared/reference is not beside the repository")

Array = NDArray[Any]


class Case(NamedTuple):
    """One reference model: its vectors, our PyTorch model, and the graphs of the bundle it was imported to."""

    vectors: dict[str, Array]
    model: NVAE
    decoder: onnxruntime.InferenceSession
    encoder: onnxruntime.InferenceSession

    def packed(self, prefix: str) -> Array:
        """The levels of `prefix` in the reference, packed [B, N] as the graphs want them."""
        levels = range(len(self.model.shapes))
        vectors = [self.vectors[f"{prefix}_{k:02d}"] for k in levels]
        return np.concatenate([vector.reshape(len(vector), -1) for vector in vectors], axis=1)

    def centre(self, maps: Array) -> Array:
        """Without the border that the reference pads small images with, NCHW."""
        pad = self.model.config.pad
        return maps[:, :, pad:-pad, pad:-pad] if pad else maps

    @property
    def images(self) -> Array:
        """NHWC, as the encoder wants them."""
        images = self.vectors["x_uint8"]
        return self.centre(images).transpose(0, 2, 3, 1) if self.model.config.pad else images

    def encode(self, *outputs: str) -> list[Array]:
        return self.encoder.run(list(outputs), {"image": self.images, "noise": self.packed("eps_q")})

    def decode(self, noise: Array, temperature: float, given: Array | None = None) -> Array:
        """Parameters of p(x|z), NCHW; all latents are kept if `given`."""
        feed = {
            "noise": noise,
            "given": np.zeros_like(noise) if given is None else given,
            "keep": np.full(noise.shape, given is not None),
            "temperature": np.full((len(noise), len(self.model.shapes)), temperature, np.float32),
        }
        return self.decoder.run(["likelihood"], feed)[0]


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name, out = request.param, tmp_path_factory.mktemp("bundles")
    checkpoint = REFERENCE / f"{name}-checkpoint.pt"
    assert main(["import", "nvlabs-nvae", str(checkpoint), "--name", name, "--out", str(out)]) == 0
    bundle = open_bundle(out / name)
    with np.load(REFERENCE / f"{name}.npz") as vectors:
        return Case(
            dict(vectors), load_published(checkpoint), open_session(bundle.decoder), open_session(bundle.encoder)
        )


def assert_close(got: Array, wanted: Array) -> None:
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-4 * max(1.0, np.abs(wanted).max())


def test_encoder_graph_gives_latents_rates_and_logits(case: Case) -> None:
    latents, kl, likelihood = case.encode("latents", "kl", "likelihood")
    assert_close(latents, case.packed("posterior_z"))
    assert_close(likelihood, case.centre(case.vectors["posterior_logits"]))
    for index, level in enumerate(unpack(torch.from_numpy(kl), case.model.shapes)):
        assert_close(level.sum(dim=(1, 2, 3)).numpy(), case.vectors[f"posterior_kl_{index:02d}"])


def test_log_densities_of_the_latents_and_the_importance_weight(case: Case) -> None:
    likelihood = case.model.config.likelihood
    image = likelihood.observe(torch.from_numpy(np.ascontiguousarray(case.images)))
    noise = unpack(torch.from_numpy(case.packed("eps_q")), case.model.shapes)
    with torch.no_grad():
        parameters, levels = case.model.encode(image, noise)
        base = [level.posterior.mean + level.posterior.scale * eps for level, eps in zip(levels, noise, strict=True)]
        log_q = sum(log_normal(z, level.posterior).sum(dim=(1, 2, 3)) for z, level in zip(base, levels, strict=True))
        log_p = sum(log_normal(level.z, level.prior).sum(dim=(1, 2, 3)) for level in levels)
        nats = likelihood.nats(parameters, image)
    assert isinstance(log_q, torch.Tensor)
    assert isinstance(log_p, torch.Tensor)
    assert_close(log_q.numpy(), case.vectors["log_q"])
    assert_close(log_p.numpy(), case.vectors["log_p"])
    assert_close((log_p - log_q - nats).numpy(), case.vectors["log_iw"])


def test_reconstruction_loss_from_the_encoder_graph(case: Case) -> None:
    likelihood = case.model.config.likelihood
    image = likelihood.observe(torch.from_numpy(np.ascontiguousarray(case.images)))
    (parameters,) = case.encode("likelihood")
    assert_close(likelihood.nats(torch.from_numpy(parameters), image).numpy(), case.vectors["recon_loss_nats"])


@pytest.mark.parametrize(("key", "temperature"), [("prior_logits_t10", 1.0), ("prior_logits_t06", 0.6)])
def test_decoder_graph_gives_the_prior_pass(case: Case, key: str, temperature: float) -> None:
    assert_close(case.decode(case.packed("eps_p"), temperature), case.centre(case.vectors[key]))


def test_keeping_all_posterior_latents_repeats_the_posterior_pass(case: Case) -> None:
    """Also with flows: the latent that is kept is the one after the flow."""
    got = case.decode(case.packed("eps_p"), 1.0, case.packed("posterior_z"))
    assert_close(got, case.centre(case.vectors["posterior_logits"]))


def test_penalties(case: Case) -> None:
    torch.manual_seed(0)
    penalty = NormPenalty(case.model)
    with torch.no_grad():
        first = float(penalty.spectral())
    exact = float(case.vectors["spectral_loss_exact"])
    assert penalty.layers == int(case.vectors["n_spectral_layers"])
    assert 0.99 * exact <= first <= exact * (1 + 1e-5), "a power iteration comes close from below"
    assert float(penalty.batch_norm()) == pytest.approx(float(case.vectors["batchnorm_loss"]), rel=1e-5)
