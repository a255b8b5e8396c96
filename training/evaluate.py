"""How well a model explains images: the ELBO, the importance-weighted bound, and the rate of every level.

Both are lower bounds on log p(x), so the nats reported are upper bounds on the true negative log likelihood:

    ELBO   log p(x|z) - KL(q(z|x) || p(z)), one posterior sample an image, the KL analytic given the levels above
    IW-k   log 1/k sum_j w_j,  w_j = p(x|z_j) p(z_j) / q(z_j|x)     (Burda et al. 2016, arXiv:1509.00519, eq. 8)

IW-1 is the ELBO in expectation, and IW-k grows with k towards log p(x). The weights need log q - log p at the latent
drawn: with the analytic KL in its place they would be no bound.

The noise of image i is a stream of its own, `numpy.random.default_rng((seed, i))`, of which sample j takes the j-th
piece. So figures depend neither on how images are batched nor on how many samples pass through the model at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.distributions import log_ratio
from training.latents import LatentShape, pack, unpack
from training.likelihoods import Likelihood
from training.models.contract import Activations, HierarchicalVAE


class Evaluation(NamedTuple):
    """Figures of every image evaluated, in nats. Means are the figures of the set."""

    distortion: NDArray[np.float64]  # [n], -log p(x|z) at the first posterior sample
    rates: NDArray[np.float64]  # [n, L], KL(q||p) of each level, given the levels above at that sample
    units: NDArray[np.float64]  # [N], KL of each latent element, mean over the images, packed from the top
    importance_weighted: NDArray[np.float64]  # [n], the negative importance-weighted bound
    k: int  # samples in it
    dims: int  # numbers in an image, H * W * C

    @property
    def nats(self) -> NDArray[np.float64]:
        """The negative ELBO of every image, [n]."""
        return self.distortion + self.rates.sum(axis=1)


@torch.inference_mode()
def evaluate(
    model: HierarchicalVAE,
    likelihood: Likelihood,
    batches: Iterable[NDArray[np.uint8]],
    *,
    k: int = 1,
    seed: int = 0,
    passes: int = 100,
    device: torch.device | str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> Evaluation:
    """Evaluate the images of `batches`, uint8 [B, H, W, C] each, in float32.

    `passes` bounds how many posterior samples, of one or of many images, are in memory at once; `k` may be any
    number. `progress` is told of the images finished.
    """
    if k < 1 or passes < 1:
        raise ValueError(f"k is {k} and passes is {passes}: both count posterior samples, so at least 1")
    distortions: list[float] = []  # Python's own numbers: small arrays among large ones would fragment the memory
    rates: list[list[float]] = []
    bounds: list[float] = []
    dims, first = 0, 0
    units = np.zeros(sum(shape.size for shape in model.shapes))
    for batch in batches:
        dims = math.prod(batch.shape[1:])
        size = max(1, passes // k)  # images at a time
        for start in range(0, len(batch), size):
            observed = likelihood.observe(torch.from_numpy(batch[start : start + size]).to(device))
            noise = Noise(model.shapes, seed, range(first, first + len(observed)), device)
            part = _evaluate_images(model, likelihood, observed, noise, k, max(1, passes // size))
            distortions += part.distortion.tolist()
            rates += part.rates.tolist()
            bounds += part.importance_weighted.tolist()
            units += part.units * len(observed)
            first += len(observed)
            progress(len(observed))
    if not distortions:
        raise ValueError("there are no images to evaluate")
    units /= first
    return Evaluation(np.array(distortions), np.array(rates), units, np.array(bounds), k, dims)


def _evaluate_images(
    model: HierarchicalVAE, likelihood: Likelihood, observed: Tensor, noise: Noise, k: int, samples: int
) -> Evaluation:
    """The figures of `observed` [B, C, H, W], with `samples` of each image at a time."""
    activations = model.bottom_up(observed)
    distortion, kl = observed.new_empty(0), [observed.new_empty(0)]
    log_sum = torch.full((len(observed),), -math.inf, dtype=torch.float64, device=observed.device)
    for done in range(0, k, samples):
        count = min(samples, k - done)
        parameters, levels = model.posterior_pass(_repeat(activations, count), noise.draw(count))
        nats = likelihood.nats(parameters, observed.repeat_interleave(count, dim=0)).double()
        log_weights = -nats - sum(log_ratio(level).sum(dim=(1, 2, 3)).double() for level in levels)
        log_sum = torch.logaddexp(log_sum, log_weights.unflatten(0, (-1, count)).logsumexp(dim=1))
        if done == 0:
            distortion = nats[::count].clone()  # of each image's first sample; a view would keep them all
            kl = [level.kl[::count].double() for level in levels]
    rates = torch.stack([level.sum(dim=(1, 2, 3)) for level in kl], dim=1)
    found = [tensor.cpu().numpy() for tensor in (distortion, rates, pack(kl).mean(dim=0), math.log(k) - log_sum)]
    return Evaluation(found[0], found[1], found[2], found[3], k, math.prod(observed.shape[1:]))


def _repeat(activations: Activations, count: int) -> Activations:
    """[B, ...] -> [B * count, ...], the samples of one image side by side."""
    return {key: tensor.repeat_interleave(count, dim=0) for key, tensor in activations.items()}


class Noise:
    """Standard normal noise of some images: each image has its own stream, whoever its neighbours are."""

    def __init__(
        self, shapes: list[LatentShape], seed: int, images: Iterable[int], device: torch.device | str = "cpu"
    ) -> None:
        self.shapes, self.device = shapes, device
        self.size = sum(shape.size for shape in shapes)
        self.streams = [np.random.default_rng((seed, image)) for image in images]

    def draw(self, count: int) -> list[Tensor]:
        """The next `count` samples of every image: levels [B * count, C, H, W]."""
        drawn = [stream.standard_normal((count, self.size), dtype=np.float32) for stream in self.streams]
        return unpack(torch.from_numpy(np.concatenate(drawn)).to(self.device), self.shapes)


def take(batches: Iterable[NDArray[np.uint8]], count: int) -> Iterator[NDArray[np.uint8]]:
    """The first `count` images of `batches`."""
    for batch in batches:
        yield batch[:count]
        count -= len(batch)
        if count <= 0:
            return
