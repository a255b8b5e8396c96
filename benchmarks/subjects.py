"""The models that are measured: the recipe's network with random weights, and its bundle for the server's engine.

How long a decode takes does not depend on what the model has learned, so nothing needs to be trained. No weight is
zero, though: the exporter leaves out biases of zero, and published initialisation has many.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model_zoo.bundle import Bundle, open_bundle
from model_zoo.manifest import MANIFEST_NAME, Provenance
from server.plan import Pass
from training import export, graphs, latents, layout
from training.estimate import estimate
from training.latents import unpack
from training.models import vdvae
from training.models.contract import HierarchicalVAE
from training.models.families import build
from training.recipe import Recipe

EXPORTING = (export, graphs, latents, layout, vdvae)  # modules whose code decides what a graph looks like


@dataclass(frozen=True)
class Subject:
    """One model, in PyTorch and as a bundle. `flops` are those of decoding one image."""

    name: str
    model: HierarchicalVAE
    bundle: Bundle
    flops: int


def prepare(recipe: Recipe, build: Path, say: Callable[[str], object]) -> Subject:
    """Build the model of `recipe`; export it into the folder `build` unless an earlier run did, with the same code."""
    model = random_model(recipe)
    folder = build / f"{recipe.name}-{_digest(recipe)}"
    if not (folder / MANIFEST_NAME).exists():
        say(f"exporting {recipe.name} with random weights to {folder}; done once, a few minutes for a large model")
        provenance = Provenance(recipe=recipe.model_dump(mode="json"), seed=recipe.seed)
        about = export.About(name=recipe.name, summary="Random weights, for benchmarks only", provenance=provenance)
        export.export_bundle(model, about, folder)
    return Subject(recipe.name, model, open_bundle(folder), estimate(recipe).decoder_flops)


def random_model(recipe: Recipe) -> HierarchicalVAE:
    """The network of `recipe` in evaluation mode, with random weights of which none is zero."""
    torch.manual_seed(recipe.seed)
    model = build(recipe.model).eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return model.requires_grad_(False)


def sampling_pass(subject: Subject, batch: int) -> Pass:
    """Inputs of the decoder that draw `batch` images at temperature 1 and keep nothing."""
    manifest = subject.bundle.manifest
    size = (batch, manifest.latents)
    return Pass(
        noise=np.random.default_rng(0).standard_normal(size, np.float32),
        given=np.zeros(size, np.float32),
        keep=np.zeros(size, np.bool_),
        temperature=np.ones((batch, len(manifest.levels)), np.float32),
    )


def eager_decode(subject: Subject, work: Pass) -> Callable[[], Tensor]:
    """The same pass in PyTorch as people would write it: inputs unpacked beforehand, no gradients."""
    shapes = subject.model.shapes
    noise, given, keep = (unpack(torch.from_numpy(part), shapes) for part in (work.noise, work.given, work.keep))
    temperature = torch.from_numpy(work.temperature)

    @torch.inference_mode()
    def decode() -> Tensor:
        return subject.model.decode(noise, given, keep, temperature)[0]

    return decode


def _digest(recipe: Recipe) -> str:
    """Of the recipe and of the code that exports it: a bundle that other code made is not this code's figure."""
    digest = hashlib.sha256(recipe.model_dump_json().encode())
    for module in EXPORTING:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]
