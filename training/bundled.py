"""A bundle as a model that can be evaluated: its own graphs, in ONNX Runtime, in the place of PyTorch's modules.

So the figures on a bundle's card can be measured again from the bundle alone, with no checkpoint, and of exactly the
weights and graphs that are served.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from onnxruntime import InferenceSession
from torch import Tensor

from model_zoo.bundle import Bundle, BundleError, open_bundle
from model_zoo.manifest import MANIFEST_NAME
from training.export import open_session
from training.latents import LatentShape, pack, unpack
from training.models.contract import Activations, HierarchicalVAE, Normal, PosteriorLevel
from training.recipe import Recipe, RecipeError, parse_recipe


def is_bundle(path: Path) -> bool:
    return (path / MANIFEST_NAME).is_file()


def open_bundled(path: Path) -> tuple[Recipe, HierarchicalVAE, Bundle]:
    """The bundle in a folder, its recipe and its model. Raises BundleError: damaged, or not trained by a recipe."""
    bundle = open_bundle(path)
    try:
        recipe = parse_recipe(bundle.manifest.provenance.recipe, f"recipe in {path / MANIFEST_NAME}")
    except RecipeError as error:
        raise BundleError(path, [f"it cannot be evaluated without a whole recipe; {error}"]) from error
    return recipe, BundledVAE(bundle, recipe), bundle


def stored_in_half(bundle: Bundle) -> bool:
    """Whether the weights were rounded to float16."""
    graph = onnx.load(bundle.decoder, load_external_data=False).graph
    return any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in graph.initializer)


class BundledVAE(HierarchicalVAE):
    """The two graphs of a bundle. On the CPU; nothing in it can be trained."""

    def __init__(self, bundle: Bundle, recipe: Recipe) -> None:
        super().__init__()
        self.config = recipe.model
        self.shapes = [LatentShape(level.channels, level.height, level.width) for level in bundle.manifest.levels]
        self.encoder, self.decoder = open_session(bundle.encoder), open_session(bundle.decoder)

    def bottom_up(self, image: Tensor) -> Activations:
        """The encoder is one graph, so the image itself is all that is known before latents are drawn."""
        return {0: image}

    def posterior_pass(self, activations: Activations, noise: list[Tensor]) -> tuple[Tensor, list[PosteriorLevel]]:
        """The posterior from the encoder, and the prior from the decoder with all of these latents kept."""
        image = activations[0].round().to(torch.uint8).permute(0, 2, 3, 1)
        found = self._run(self.encoder, {"image": image, "noise": pack(noise)})
        latents = found["latents"]
        prior = self._run(
            self.decoder,
            {
                "noise": torch.zeros_like(latents),
                "given": latents,
                "keep": torch.ones_like(latents, dtype=torch.bool),
                "temperature": torch.ones(len(latents), len(self.shapes)),
            },
        )
        # What is no Gaussian's draw is a flow's, or discrete: its `kl` is log q - log p already (DESIGN.md).
        drawn = found["posterior_mean"] + found["posterior_scale"] * pack(noise)
        gaussian = bool((found["posterior_scale"] > 0).all())
        analytic = gaussian and torch.allclose(drawn, latents, rtol=1e-4, atol=1e-4)
        parts = [
            unpack(tensor, self.shapes)
            for tensor in (
                latents,
                prior["prior_mean"],
                prior["prior_scale"].log(),
                found["posterior_mean"],
                found["posterior_scale"].log(),
                found["kl"],
            )
        ]
        levels = [
            PosteriorLevel(z, Normal(prior_mean, prior_log), Normal(mean, log_scale), kl, analytic)
            for z, prior_mean, prior_log, mean, log_scale, kl in zip(*parts, strict=True)
        ]
        return found["likelihood"], levels

    def _run(self, session: InferenceSession, feed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        names = [output.name for output in session.get_outputs()]
        arrays = session.run(names, {name: tensor.numpy() for name, tensor in feed.items()})
        return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}
