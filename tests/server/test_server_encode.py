"""What an image costs: the figures of its encoding, and the likelihood they rest on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model_zoo.manifest import Likelihood
from server.encode import encode
from server.log_likelihood import distortion
from server.models import Model
from server.png import Pixels


def test_figures_are_sums_of_their_parts(any_model: Model) -> None:
    image = any_model.examples[0]
    encoding = encode(any_model.engine, image)
    assert len(encoding.rates) == len(any_model.bundle.manifest.levels)
    assert sum(encoding.rates) == pytest.approx(float(encoding.kl.sum(dtype=np.float64)))
    assert encoding.nats == pytest.approx(sum(encoding.rates) + encoding.distortion)
    assert encoding.bits_per_dim == pytest.approx(encoding.nats / image.size / math.log(2))
    assert encode(any_model.engine, image).nats == encoding.nats


def test_latents_are_what_a_reconstruction_is_made_of(any_model: Model) -> None:
    image = any_model.examples[0]
    zeros = np.zeros((1, any_model.bundle.manifest.latents), np.float32)
    expected = any_model.engine.encode(image[None], zeros, ("latents",))["latents"][0]
    np.testing.assert_array_equal(encode(any_model.engine, image).latents, expected)


def test_a_perfect_reconstruction_has_no_psnr(toy: Model) -> None:
    encoding = encode(toy.engine, toy.examples[0])
    error = np.square(encoding.image.astype(float) - encoding.reconstruction).mean()
    assert encoding.psnr == pytest.approx(10 * math.log10(255**2 / error))
    same = type(encoding)(**{**vars(encoding), "reconstruction": encoding.image})
    assert same.psnr is None


KINDS = [
    Likelihood(kind="bernoulli", bits=1),
    *(Likelihood(kind="normal", bits=bits) for bits in (5, 8)),
    *(Likelihood(kind="dmol", bits=8, mixtures=4, edge_rule=rule) for rule in ("exact", "reference-nvae")),
    *(Likelihood(kind="dmol", bits=5, mixtures=4, edge_rule=rule) for rule in ("exact", "reference-vdvae")),
]


def parameters(
    likelihood: Likelihood, channels: int, scale: float = 1.0
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    mixtures = likelihood.mixtures or 0
    count = {"bernoulli": channels, "normal": 2 * channels}.get(
        likelihood.kind, mixtures * (1 + channels * (3 if channels == 3 else 2))
    )
    return (scale * np.random.default_rng(0).normal(size=(2, count, 4, 4))).astype(np.float32)


@pytest.mark.parametrize("likelihood", KINDS, ids=lambda kind: f"{kind.kind}-{kind.bits}-{kind.edge_rule}")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_distortion_is_the_one_of_training(likelihood: Likelihood, channels: int, scale: float) -> None:
    torch = pytest.importorskip("torch")
    likelihoods = pytest.importorskip("training.likelihoods")
    fields = likelihood.model_dump(exclude_none=True)
    if likelihood.kind == "bernoulli":
        del fields["bits"]
    kind = {"bernoulli": "Bernoulli", "normal": "Normal", "dmol": "DMOL"}[likelihood.kind]
    theirs = getattr(likelihoods, kind)(**fields)
    raw = parameters(likelihood, channels, scale)
    image: Pixels = np.random.default_rng(1).integers(0, 256, (2, 4, 4, channels), np.uint8)
    image[0, 0], image[0, 1] = 0, 255
    expected = theirs.nats(torch.tensor(raw).double(), theirs.observe(torch.tensor(image)).double())
    np.testing.assert_allclose(distortion(raw, image, likelihood), expected.numpy(), rtol=2e-4)


def test_the_exact_mixture_sums_to_1() -> None:
    likelihood = Likelihood(kind="dmol", bits=8, mixtures=4, edge_rule="exact")
    raw = np.repeat(parameters(likelihood, 1)[:1, :, :1, :1], 256, axis=0)
    values = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    assert np.exp(-distortion(raw, values, likelihood)).sum() == pytest.approx(1)
