"""The same decoder served by LitServe with its own batching: a seed in, a PNG out, made by the same functions.

Runs in an environment of its own (benchmarks/servers.py), where LitServe is and Strata's own server is not used.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import onnxruntime
from fastapi import Response

from model_zoo.bundle import load_manifest
from server.likelihood import mean_image
from server.noise import Address, normals
from server.png import encode


class Decoder(litserve.LitAPI):
    """Samples at temperature 1, the mean image of each seed."""

    def __init__(self, bundle: Path, threads: int, **options: Any) -> None:
        super().__init__(**options)
        self.bundle, self.threads = bundle, threads

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        graph = self.bundle / "decoder.onnx"
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.manifest = load_manifest(self.bundle)

    def decode_request(self, request: dict[str, int]) -> int:
        return request["seed"]

    def batch(self, inputs: list[int]) -> list[int]:
        return inputs

    def predict(self, seeds: list[int]) -> list[np.ndarray]:
        levels, size = self.manifest.levels, (len(seeds), self.manifest.latents)
        addresses = [Address(level.index, 0, level.size) for level in levels]
        feed = {
            "noise": np.stack([normals(seed, addresses) for seed in seeds]),
            "given": np.zeros(size, np.float32),
            "keep": np.zeros(size, np.bool_),
            "temperature": np.ones((len(seeds), len(levels)), np.float32),
        }
        (likelihood,) = self.session.run(["likelihood"], feed)
        return [*mean_image(likelihood, self.manifest.likelihood, self.manifest.image.channels)]

    def unbatch(self, output: list[np.ndarray]) -> list[np.ndarray]:
        return output

    def encode_response(self, output: np.ndarray) -> Response:
        return Response(encode(output, {}), media_type="image/png")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.litserve_app", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True, help="of each worker")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--max-batch", type=int, required=True)
    options = parser.parse_args()
    api = Decoder(options.bundle, options.threads, max_batch_size=options.max_batch, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=options.workers)
    server.run(port=options.port, host="127.0.0.1", generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
