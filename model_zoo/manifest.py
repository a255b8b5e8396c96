"""The manifest of a bundle: everything about an exported model that is not a tensor.

Training writes it, the server reads it, and the explorer builds its screen from it, so every name in this
file is also the name in the recipe, the REST card and on the screen. Levels count from the top (coarsest).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
DECODER_NAME = "decoder.onnx"
ENCODER_NAME = "encoder.onnx"
WEIGHTS_NAME = "weights.bin"
CARD_NAME = "README.md"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Strict(BaseModel):
    """A record that refuses unknown keys and cannot be changed after it was checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Image(Strict):
    """What the model draws: uint8 images [height, width, channels] with `bits` significant bits."""

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    channels: Literal[1, 3]
    bits: int = Field(ge=1, le=8)

    @property
    def dims(self) -> int:
        return self.height * self.width * self.channels


class Likelihood(Strict):
    """How to read the raw parameters of p(x|z), [B, parameters, height, width], that the decoder returns."""

    kind: Literal["bernoulli", "dmol", "normal"]
    mixtures: int | None = Field(default=None, gt=0)
    bits: int = Field(ge=1, le=8)
    edge_rule: Literal["exact", "reference-vdvae", "reference-nvae"] | None = None

    @model_validator(mode="after")
    def _check(self) -> Likelihood:
        if (self.kind == "dmol") != (self.mixtures is not None and self.edge_rule is not None):
            raise ValueError("a dmol likelihood needs mixtures and edge_rule; the others have neither")
        return self


class Level(Strict):
    """One latent z_l: `channels` x `height` x `width` numbers at `offset` of the packed vector."""

    index: int = Field(ge=0)
    label: str = Field(default="", description="what the level is, where its resolution does not say it")
    channels: int = Field(gt=0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    offset: int = Field(ge=0)
    kl_nats: float | None = Field(default=None, description="mean KL(q||p) over the test set; None if not measured")
    active_units: int | None = Field(
        default=None, ge=0, description="of its numbers, those with a mean KL above 0.01 nats; None if not measured"
    )

    @property
    def size(self) -> int:
        return self.channels * self.height * self.width

    @property
    def group(self) -> str:
        """The resolution this level works at, such as '8x8': levels are shown and addressed by it."""
        return f"{self.height}x{self.width}"

    @property
    def kl_bits(self) -> float | None:
        return None if self.kl_nats is None else self.kl_nats / math.log(2)


class Metric(Strict):
    """One likelihood figure, never without its estimator: 'ELBO' is one posterior sample, 'IW-k' averages k."""

    estimator: Annotated[str, Field(pattern=r"^(ELBO|IW-[1-9][0-9]*)$")]
    nats_per_image: float
    bits_per_dim: float
    split: str
    images: int = Field(gt=0)
    note: str = ""


class Imported(Strict):
    """A published checkpoint that this bundle was made from."""

    file: str
    sha256: Sha256
    source: str


class Provenance(Strict):
    """Where the weights come from: enough to train them again, or to find the file they were imported from."""

    recipe: dict[str, Any]
    seed: int | None = None
    steps: int | None = None
    wall_time_s: float | None = None
    hardware: str | None = None
    commit: str | None = None
    date: str | None = None
    imported: Imported | None = None


class Exporter(Strict):
    """The versions that made the graphs."""

    opset: int
    torch: str
    onnx: str


class File(Strict):
    """Size in bytes and digest of one file of the bundle."""

    size: int = Field(ge=0)
    sha256: Sha256


class Example(Strict):
    """One image of the test set, as a PNG inside the bundle."""

    file: str
    label: str = ""


class Manifest(Strict):
    """The whole of `manifest.json`."""

    format_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)
    family: Literal["vdvae", "nvae", "ladder", "autoregressive"]
    summary: str = ""
    dataset: str = ""
    image: Image
    likelihood: Likelihood
    calibrated_temperature: float | None = Field(
        default=None, gt=0, description="sampling temperature that the decoder's batch norm was calibrated for, if any"
    )
    prior: Literal["normal", "bernoulli"] = Field(
        default="normal",
        description="of every level. Latents of a bernoulli prior are 0 or 1, its mean is the probability of 1, and "
        "noise chooses by z = 1 where Phi(eps) < sigmoid(logit(mean) / temperature)",
    )
    levels: tuple[Level, ...] = Field(min_length=1)
    metrics: tuple[Metric, ...] = ()
    provenance: Provenance
    exporter: Exporter
    licence: str
    citation: str
    examples: tuple[Example, ...] = ()
    files: dict[str, File]

    @model_validator(mode="after")
    def _check(self) -> Manifest:
        offset = 0
        for index, level in enumerate(self.levels):
            if level.index != index or level.offset != offset:
                raise ValueError(
                    f"levels[{index}] says index {level.index}, offset {level.offset}; "
                    f"packed from the top it must be index {index}, offset {offset}"
                )
            offset += level.size
        for name in (DECODER_NAME, ENCODER_NAME, *(example.file for example in self.examples)):
            if name not in self.files:
                raise ValueError(f"files does not list {name}")
        return self

    @property
    def latents(self) -> int:
        """N, the length of a packed latent vector."""
        return self.levels[-1].offset + self.levels[-1].size

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Level indices by resolution, coarsest first."""
        groups: dict[str, tuple[int, ...]] = {}
        for level in self.levels:
            groups[level.group] = (*groups.get(level.group, ()), level.index)
        return groups
