"""From a model to a bundle: trace both graphs, check them against PyTorch, describe them, publish them whole."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from model_zoo import bundle, manifest
from training import graphs
from training.latents import LatentShape
from training.likelihoods import Bernoulli, Likelihood
from training.models.contract import HierarchicalVAE

TOLERANCE = 1e-4  # max|a - b| <= TOLERANCE * max(1, max|b|), float32 on the CPU
CHECKED_BATCHES = (1, 2, 3)


class ExportError(Exception):
    """The graphs do not do what the model does, so no bundle was written."""


@dataclass(frozen=True)
class About:
    """What a manifest says beyond the graphs themselves."""

    name: str
    provenance: manifest.Provenance
    summary: str = ""
    dataset: str = ""
    licence: str = "MIT"
    citation: str = ""
    metrics: tuple[manifest.Metric, ...] = ()
    kl_nats: Sequence[float] | None = None  # by level, from the top
    active_units: Sequence[int] | None = None  # likewise
    calibrated_temperature: float | None = None
    examples: Sequence[tuple[NDArray[np.uint8], str]] = field(default=())  # image [H, W, C] and its label


def export_bundle(model: HierarchicalVAE, about: About, target: Path, *, half: bool = False) -> manifest.Manifest:
    """Write the bundle of `model` to the folder `target`, complete or not at all.

    Normalisation is folded into the weights first. With `half` they are then rounded to float16, and stored so.
    Raises ExportError if a graph disagrees with PyTorch, BundleError if the bundle cannot be published.
    """
    model = model.eval().folded()
    if half:
        graphs.round_to_half(model)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as temporary:
        folder = Path(temporary) / target.name
        folder.mkdir()
        export_graphs(model, folder, half=half)
        check_graphs(model, folder)
        names = [write_example(folder, index, image) for index, (image, _) in enumerate(about.examples)]
        described = describe(model, about, names)
        (folder / manifest.CARD_NAME).write_text(card(described), encoding="utf-8")
        complete = manifest.Manifest.model_validate({**described, "files": bundle.describe_files(folder)})
        bundle.write_manifest(folder, complete)
        bundle.publish(folder, target)
    return complete


def export_graphs(model: HierarchicalVAE, folder: Path, *, half: bool = False) -> None:
    """Trace `model` and write decoder.onnx, encoder.onnx and weights.bin into `folder`."""
    config, generator = model.config, torch.Generator().manual_seed(0)
    image = (config.image_size, config.image_size, config.image_channels)
    decoder = graphs.onnx_graph(
        graphs.DecoderGraph(model),
        graphs.decoder_arguments(model, 2, generator),
        graphs.DECODER_INPUTS,
        graphs.DECODER_OUTPUTS,
    )
    encoder = graphs.onnx_graph(
        graphs.EncoderGraph(model, config.likelihood),
        graphs.encoder_arguments(model, image, 2, generator),
        graphs.ENCODER_INPUTS,
        graphs.ENCODER_OUTPUTS,
    )
    graphs.write_graphs(folder, decoder, encoder, half=half)


def check_graphs(model: HierarchicalVAE, folder: Path, batches: Sequence[int] = CHECKED_BATCHES) -> None:
    """Compare both graphs in ONNX Runtime with PyTorch at several batch sizes. Raises ExportError."""
    config = model.config
    image = (config.image_size, config.image_size, config.image_channels)
    decoder = (graphs.DecoderGraph(model), graphs.DECODER_INPUTS, graphs.DECODER_OUTPUTS, manifest.DECODER_NAME)
    encoder = (
        graphs.EncoderGraph(model, config.likelihood),
        graphs.ENCODER_INPUTS,
        graphs.ENCODER_OUTPUTS,
        manifest.ENCODER_NAME,
    )
    generator = torch.Generator().manual_seed(1)
    for module, inputs, outputs, name in (decoder, encoder):
        session = open_session(folder / name)
        for batch in batches:
            if name == manifest.DECODER_NAME:
                arguments = graphs.decoder_arguments(model, batch, generator)
            else:
                arguments = graphs.encoder_arguments(model, image, batch, generator)
            compare(module, arguments, session, inputs, outputs, f"{name} at batch {batch}")


def compare(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    session: onnxruntime.InferenceSession,
    inputs: Sequence[str],
    outputs: Sequence[str],
    what: str,
) -> None:
    with torch.inference_mode():
        wanted = module(*arguments)
    feed = {name: argument.numpy() for name, argument in zip(inputs, arguments, strict=True)}
    for name, want, got in zip(outputs, wanted, session.run(list(outputs), feed), strict=True):
        reference = want.numpy()
        error, limit = np.abs(got - reference).max(), TOLERANCE * max(1.0, np.abs(reference).max())
        if not error <= limit:  # also when it is not a number
            raise ExportError(f"{what}: {name} differs from PyTorch by {error:.3g}, more than {limit:.3g}")


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A CPU session with torch's number of threads and no spinning (it starves neighbours on shared machines)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def describe(model: HierarchicalVAE, about: About, examples: Sequence[str]) -> dict[str, Any]:
    """The manifest as plain values, but for the digests of the files."""
    config = model.config
    return {
        "name": about.name,
        "family": config.family,
        "summary": about.summary,
        "dataset": about.dataset,
        "image": {
            "height": config.image_size,
            "width": config.image_size,
            "channels": config.image_channels,
            "bits": 8,
        },
        "likelihood": describe_likelihood(config.likelihood),
        "prior": model.prior,
        "calibrated_temperature": about.calibrated_temperature,
        "levels": describe_levels(model.shapes, about, model.labels),
        "metrics": [metric.model_dump() for metric in about.metrics],
        "provenance": about.provenance.model_dump(),
        "exporter": {"opset": graphs.OPSET, "torch": torch.__version__, "onnx": onnx.__version__},
        "licence": about.licence,
        "citation": about.citation,
        "examples": [{"file": name, "label": label} for name, (_, label) in zip(examples, about.examples, strict=True)],
    }


def describe_likelihood(likelihood: Likelihood) -> dict[str, Any]:
    if isinstance(likelihood, Bernoulli):
        return {"kind": "bernoulli", "bits": 1}
    return likelihood.model_dump()


def describe_levels(shapes: Sequence[LatentShape], about: About, labels: Sequence[str] = ()) -> list[dict[str, Any]]:
    levels, offset = [], 0
    for index, shape in enumerate(shapes):
        rate = None if about.kl_nats is None else about.kl_nats[index]
        active = None if about.active_units is None else about.active_units[index]
        place = {"index": index, "label": labels[index] if labels else "", **shape._asdict(), "offset": offset}
        levels.append({**place, "kl_nats": rate, "active_units": active})
        offset += shape.size
    return levels


def write_example(folder: Path, index: int, image: NDArray[np.uint8]) -> str:
    """Write one test image [H, W, C] as PNG; returns its name inside the bundle."""
    name = f"examples/{index:02d}.png"
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path, optimize=True)
    return name


def card(described: dict[str, Any]) -> str:
    """The bundle's README: what a person wants to know before using it."""
    provenance, image = described["provenance"], described["image"]
    latents = sum(level["channels"] * level["height"] * level["width"] for level in described["levels"])
    lines = [
        f"# {described['name']}",
        "",
        f"{described['summary'] or described['family']}. "
        f"{image['height']}x{image['width']}x{image['channels']} images, "
        f"{len(described['levels'])} levels, {latents:,} latents.",
        "",
        "| estimator | nats/image | bits/dim | split | images | note |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {m['estimator']} | {m['nats_per_image']:.2f} | {m['bits_per_dim']:.4f} | {m['split']} | {m['images']:,} "
        f"| {m['note']} |"
        for m in described["metrics"]
    ] or ["| not measured | | | | | |"]
    lines += ["", "| level | resolution | latents | active | mean KL, nats |", "|---|---|---|---|---|"]
    for level in described["levels"]:
        size = level["channels"] * level["height"] * level["width"]
        rate = "not measured" if level["kl_nats"] is None else f"{level['kl_nats']:.3f}"
        active = "" if level["active_units"] is None else f"{level['active_units']:,}"
        lines.append(f"| {level['index']} | {level['height']}x{level['width']} | {size:,} | {active} | {rate} |")
    facts = {
        "Seed": provenance["seed"],
        "Steps": provenance["steps"],
        "Training time": None if provenance["wall_time_s"] is None else f"{provenance['wall_time_s'] / 60:.0f} minutes",
        "Hardware": provenance["hardware"],
        "Code": provenance["commit"],
        "Date": provenance["date"],
        "Imported from": provenance["imported"] and provenance["imported"]["source"],
        "Licence": described["licence"],
        "Citation": described["citation"],
        "Batch norm calibrated for temperature": described["calibrated_temperature"],
    }
    lines += ["", *(f"- {name}: {value}" for name, value in facts.items() if value is not None)]
    return "\n".join(lines) + "\n"
