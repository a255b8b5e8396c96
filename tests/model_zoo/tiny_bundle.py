"""A bundle of a few bytes for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

from model_zoo.bundle import describe_files, write_manifest
from model_zoo.manifest import Exporter, Image, Level, Likelihood, Manifest, Provenance


def write_bundle(directory: Path, summary: str = "") -> Manifest:
    """The smallest directory that is a bundle; its graphs are bytes that nobody runs here."""
    (directory / "examples").mkdir(parents=True)
    for name in ("decoder.onnx", "encoder.onnx", "weights.bin", "examples/0.png"):
        (directory / name).write_bytes(name.encode() * 50)
    manifest = Manifest(
        name="tiny",
        family="vdvae",
        summary=summary,
        image=Image(height=2, width=2, channels=1, bits=8),
        likelihood=Likelihood(kind="bernoulli", bits=1),
        levels=(Level(index=0, channels=2, height=1, width=1, offset=0),),
        provenance=Provenance(recipe={"data": "none"}),
        exporter=Exporter(opset=20, torch="none", onnx="none"),
        licence="MIT",
        citation="none",
        files=describe_files(directory),
    )
    write_manifest(directory, manifest)
    return manifest
