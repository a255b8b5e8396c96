"""ONNX Runtime around one bundle: arrays in, arrays out, no web framework.

Threads are explicit and spin for microseconds only: pools that spin on starve their neighbours on a shared machine,
and threads that never do lose more time waking up than a small operator takes. A provider that was asked for is
checked after the session exists: ONNX Runtime falls back to the CPU without a word.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from model_zoo.bundle import Bundle
from model_zoo.manifest import Manifest
from server.cancel import Cancel
from server.plan import Floats, Pass

Provider = Literal["auto", "cpu", "cuda"]
DecoderOutput = Literal["likelihood", "latents", "prior_mean", "prior_scale"]
EncoderOutput = Literal["latents", "posterior_mean", "posterior_scale", "kl", "likelihood"]

DECODER_INPUTS = ("noise", "given", "keep", "temperature")
DECODER_OUTPUTS: tuple[DecoderOutput, ...] = ("likelihood", "latents", "prior_mean", "prior_scale")
ENCODER_INPUTS = ("image", "noise")
ENCODER_OUTPUTS: tuple[EncoderOutput, ...] = ("latents", "posterior_mean", "posterior_scale", "kl", "likelihood")

MAX_BATCH_ELEMENTS = 32_000_000  # latent elements of one run, so that a batch of large models fits in memory

log = logging.getLogger("strata.server")


class EngineError(RuntimeError):
    """A bundle that ONNX Runtime cannot run as asked, with the reason."""


@dataclass(frozen=True)
class Engine:
    """One session a graph. Both may be used from several threads at once."""

    manifest: Manifest
    decoder: ort.InferenceSession
    encoder: ort.InferenceSession
    provider: Literal["cpu", "cuda"]
    max_batch: int
    cancel: Cancel = field(default_factory=Cancel)

    def bound_to(self, cancel: Cancel) -> Engine:
        """The same engine, which raises Cancelled between two runs once `cancel` is switched on."""
        return replace(self, cancel=cancel)

    @classmethod
    def open(cls, bundle: Bundle, provider: Provider = "auto", threads: int = 1, max_batch: int = 16) -> Engine:
        """Load the graphs of a verified bundle. Raises EngineError: no such provider, or a graph out of contract."""
        decoder = _session(bundle.decoder, provider, threads)
        encoder = _session(bundle.encoder, provider, threads)
        _check(bundle.decoder, decoder, DECODER_INPUTS, DECODER_OUTPUTS)
        _check(bundle.encoder, encoder, ENCODER_INPUTS, ENCODER_OUTPUTS)
        used: Literal["cpu", "cuda"] = "cuda" if _first_provider(decoder) == "CUDAExecutionProvider" else "cpu"
        fits = max(1, MAX_BATCH_ELEMENTS // bundle.manifest.latents)
        return cls(bundle.manifest, decoder, encoder, used, min(max_batch, fits))

    def batches(self, count: int) -> Iterator[range]:
        """Cut `count` images into runs that fit in memory; everybody who calls the engine works through these."""
        for start in range(0, count, self.max_batch):
            yield range(start, min(start + self.max_batch, count))

    def decode(self, work: Pass, outputs: tuple[DecoderOutput, ...]) -> dict[DecoderOutput, Floats]:
        """Run one top-down pass. `likelihood` is [B, P, H, W], everything else [B, N]."""
        self.cancel.check()
        feed = {"noise": work.noise, "given": work.given, "keep": work.keep, "temperature": work.temperature}
        return dict(zip(outputs, self.decoder.run(outputs, feed), strict=True))

    def encode(
        self, images: NDArray[np.uint8], noise: Floats, outputs: tuple[EncoderOutput, ...]
    ) -> dict[EncoderOutput, Floats]:
        """Encode `images` [B, H, W, C] with `noise` [B, N]; zeros give the posterior mean."""
        self.cancel.check()
        return dict(zip(outputs, self.encoder.run(outputs, {"image": images, "noise": noise}), strict=True))


def _session(graph: Path, provider: Provider, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL  # a hierarchy is a chain: nothing runs beside it
    options.enable_mem_pattern = False  # batches vary
    # Between two operators of a pass, threads wait awake for at most this long; after the pass, they sleep at once.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "50")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        session = ort.InferenceSession(graph, options, providers=_providers(provider))
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise EngineError(f"{graph.name} cannot be loaded: {str(error).splitlines()[0]}") from error
    used = _first_provider(session)
    if provider == "cuda" and used != "CUDAExecutionProvider":
        raise EngineError(
            f"cuda was asked for, but ONNX Runtime fell back to {used}; are its CUDA libraries installed?"
        )
    if provider == "auto" and used == "CPUExecutionProvider" and "CUDAExecutionProvider" in _available():
        log.warning("CUDA is there but cannot be used for %s; running on the CPU", graph.name)
    return session


def _providers(provider: Provider) -> list[str | tuple[str, dict[str, str]]]:
    cuda = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
    if provider == "cuda" and cuda[0] not in _available():
        raise EngineError(
            f"cuda was asked for, but this ONNX Runtime has {', '.join(_available())} only; "
            "onnxruntime-gpu is needed, and onnxruntime must not be installed beside it"
        )
    if provider == "cpu" or cuda[0] not in _available():
        return ["CPUExecutionProvider"]
    ort.preload_dlls()  # CUDA and cuDNN from their Python packages, which the loader would not find by itself
    return [cuda, "CPUExecutionProvider"]


def _available() -> list[str]:
    return list(ort.get_available_providers())


def _first_provider(session: ort.InferenceSession) -> str:
    return str(session.get_providers()[0])


def _check(graph: Path, session: ort.InferenceSession, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    for kind, expected, nodes in (
        ("inputs", inputs, session.get_inputs()),
        ("outputs", outputs, session.get_outputs()),
    ):
        actual = [node.name for node in nodes]
        if sorted(actual) != sorted(expected):
            raise EngineError(f"{graph.name} has {kind} {', '.join(actual)}; expected {', '.join(expected)}")
