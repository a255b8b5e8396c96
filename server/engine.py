"""One bundle in ONNX Runtime: arrays in, arrays out, no web framework.

Decoding is a stack of parts with one interface: the chain of segments, which remembers what it computed
(server/chain.py), and around it the batches of several requests (server/batching.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model_zoo.bundle import Bundle
from model_zoo.manifest import Manifest
from server.batching import Batcher
from server.cancel import Cancel
from server.chain import Chain, Decoded, DecoderOutput, Link
from server.encoder import Encoder, EncoderOutput
from server.plan import Floats, Pass
from server.segments import MIN_FLOPS, cut
from server.sessions import EngineError as EngineError
from server.sessions import Provider as Provider
from server.sessions import first_provider, open_session, read_graph, steady
from server.states import StateCache

DECODER_INPUTS = ("noise", "given", "keep", "temperature")
DECODER_OUTPUTS: tuple[DecoderOutput, ...] = ("likelihood", "latents", "prior_mean", "prior_scale")
ENCODER_INPUTS = ("image", "noise")
ENCODER_OUTPUTS: tuple[EncoderOutput, ...] = ("latents", "posterior_mean", "posterior_scale", "kl", "likelihood")

MAX_BATCH_ELEMENTS = 32_000_000  # latent elements of one run, so that a batch of large models fits in memory
# Operators of a model below this are so small that a second thread mostly waits for the first: such a model gets
# one thread a pass, and as many passes at a time as it was given threads.
SMALL_FLOPS = 500_000_000  # of one image


@dataclass(frozen=True)
class Engine:
    """The decoder and the encoder of one model. May be used from several threads at once."""

    manifest: Manifest
    decoder: Batcher
    encoder: Encoder
    provider: Literal["cpu", "cuda"]
    max_batch: int
    flops: int  # of the decoder, for one image
    cancel: Cancel = field(default_factory=Cancel)

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        provider: Provider = "auto",
        threads: int = 1,
        max_batch: int = 16,
        cache: StateCache | None = None,
        min_flops: int = MIN_FLOPS,
    ) -> Engine:
        """Load the graphs of a verified bundle. Raises EngineError: no such provider, or a graph out of contract.

        States are remembered in `cache`, if there is one; no segment of the decoder has less than `min_flops`.
        """
        manifest = bundle.manifest
        graphs = [
            read_graph(bundle.decoder, DECODER_INPUTS, DECODER_OUTPUTS),
            read_graph(bundle.encoder, ENCODER_INPUTS, ENCODER_OUTPUTS),
        ]
        for graph in graphs:
            steady(graph)
        segments = cut(graphs[0], manifest.levels, min_flops)
        flops = sum(segment.flops for segment, _ in segments)
        small = flops < SMALL_FLOPS
        each = 1 if small else threads
        sessions = [open_session(part, bundle.decoder, provider, each, small) for _, part in segments]
        encoding = open_session(graphs[1], bundle.encoder, provider, each, small)
        cache = cache or StateCache(0)
        links = tuple(Link(segment, session.run) for (segment, _), session in zip(segments, sessions, strict=True))
        chain = Chain(links, bundle.digest, cache)
        batch = min(max_batch, max(1, MAX_BATCH_ELEMENTS // manifest.latents))
        decoder = Batcher(chain, batch, lanes=threads // each)
        used: Literal["cpu", "cuda"] = "cuda" if first_provider(sessions[0]) == "CUDAExecutionProvider" else "cpu"
        return cls(manifest, decoder, Encoder(encoding.run, bundle.digest, cache), used, batch, flops)

    def bound_to(self, cancel: Cancel) -> Engine:
        """The same engine for one request: its calls raise Cancelled soon after `cancel` is switched on."""
        return replace(self, cancel=cancel)

    def batches(self, count: int) -> Iterator[range]:
        """Cut `count` images into runs that fit in memory; everybody who calls the engine works through these."""
        for start in range(0, count, self.max_batch):
            self.cancel.check()
            yield range(start, min(start + self.max_batch, count))

    def decode(self, work: Pass, outputs: tuple[DecoderOutput, ...]) -> Decoded:
        """Run one top-down pass. `likelihood` is [B, P, H, W], everything else [B, N]; do not write into them."""
        return self.decoder.decode(work, outputs, self.cancel)

    def encode(
        self, images: NDArray[np.uint8], noise: Floats, outputs: tuple[EncoderOutput, ...]
    ) -> dict[EncoderOutput, Floats]:
        """Encode `images` [B, H, W, C] with `noise` [B, N]; zeros give the posterior mean. Do not write into it."""
        return self.encoder.encode(images, noise, outputs, self.cancel)
