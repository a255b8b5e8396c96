"""What every family of hierarchical VAE promises, so that training, evaluation and export know no family.

One top-down pass visits the levels from the top. At level l it has a prior N(mu, sigma^2) given all levels above,
and takes (DESIGN.md, "One rule")

    z = given                      where keep
    z = mu + tau_l * sigma * eps   elsewhere

No model draws random numbers: the noise eps is always passed in, one tensor [B, C_l, H_l, W_l] a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from training.latents import LatentShape
from training.likelihoods import Likelihood


class ModelConfig(BaseModel):
    """What the configuration of every family says; each adds what fixes its network, and its own `family`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: str
    image_size: int = Field(gt=0)
    image_channels: Literal[1, 3]
    likelihood: Likelihood


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
    """One level of a posterior pass. `kl` is element-wise, in nats, [B, C, H, W].

    Where it is not `analytic` it is log q - log p of the latent that was drawn (flows, discrete latents), and
    `posterior` is the base distribution that the flow starts from.
    """

    z: Tensor
    prior: Normal
    posterior: Normal
    kl: Tensor
    analytic: bool = True


class HierarchicalVAE(nn.Module):
    """A family: its latent shapes from the top, and the two passes."""

    citation: ClassVar[str]  # the paper that the family comes from
    config: ModelConfig
    shapes: list[LatentShape]
    prior: ClassVar[Literal["normal", "bernoulli"]] = "normal"  # of every level; a bernoulli one has z in {0, 1}
    blocks: ClassVar[tuple[type[nn.Module], ...]] = ()  # what is computed again where memory is short
    labels: Sequence[str] = ()  # of the levels, where a resolution does not say what a level is

    def encode(self, image: Tensor, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        """Posterior pass. image [B, C, H, W] in 0..255 -> raw likelihood parameters [B, P, H, W] and the levels."""
        return self.posterior_pass(self.bottom_up(image), noise)

    def bottom_up(self, image: Tensor) -> Activations:
        """The half of `encode` that knows no latents; many samples of one image need it once."""
        raise NotImplementedError

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        """The half of `encode` that draws the latents."""
        raise NotImplementedError

    def decode(
        self, noise: list[Tensor], given: list[Tensor], keep: list[Tensor], temperature: Tensor
    ) -> tuple[Tensor, list[PriorLevel]]:
        """Prior pass. keep is bool like the latents, temperature [B, L] -> parameters [B, P, H, W] and the levels."""
        raise NotImplementedError

    def folded(self) -> HierarchicalVAE:
        """The same function with normalisation folded into the weights: what is exported. In evaluation mode."""
        return self
