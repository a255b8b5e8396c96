"""What every family of hierarchical VAE promises, so that training, evaluation and export know no family.

One top-down pass visits the levels from the top. At level l it has a prior N(mu, sigma^2) given all levels above,
and takes (DESIGN.md, "One rule")

    z = given                      where keep
    z = mu + tau_l * sigma * eps   elsewhere

No model draws random numbers: the noise eps is always passed in, one tensor [B, C_l, H_l, W_l] a level.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from training.latents import LatentShape


class Normal(NamedTuple):
    """A diagonal Gaussian, [B, C, H, W] each. The scale is kept as a logarithm, as the networks emit it."""

    mean: Tensor
    log_scale: Tensor

    @property
    def scale(self) -> Tensor:
        return self.log_scale.exp()


# What a bottom-up pass hands to the levels: tensors [B, ...] under keys that only the family understands.
Activations = dict[int, Tensor]


class PriorLevel(NamedTuple):
    """One level of a prior pass: the latent used and the prior it was (or could have been) drawn from."""

    z: Tensor
    prior: Normal


class PosteriorLevel(NamedTuple):
    """One level of a posterior pass. `kl` is element-wise, in nats, [B, C, H, W]."""

    z: Tensor
    prior: Normal
    posterior: Normal
    kl: Tensor


class HierarchicalVAE(Protocol):
    """A family: its latent shapes from the top, and the two passes."""

    shapes: list[LatentShape]

    def encode(self, image: Tensor, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        """Posterior pass. image [B, C, H, W] in 0..255 -> raw likelihood parameters [B, P, H, W] and the levels.

        The same as `posterior_pass(bottom_up(image), noise)`.
        """
        ...

    def bottom_up(self, image: Tensor) -> Activations:
        """The half of `encode` that knows no latents; many samples of one image need it once."""
        ...

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        """The half of `encode` that draws the latents."""
        ...

    def decode(
        self, noise: list[Tensor], given: list[Tensor], keep: list[Tensor], temperature: Tensor
    ) -> tuple[Tensor, list[PriorLevel]]:
        """Prior pass. keep is bool like the latents, temperature [B, L] -> parameters [B, P, H, W] and the levels."""
        ...
