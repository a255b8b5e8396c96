"""A small hierarchical VAE with random weights, written straight as ONNX: the contract of a bundle, honestly kept.

Five levels at 1x1, 4x4 and 8x8 over 16x16 images. The prior of each level depends on all levels above through a
residual stream, the encoder shares the decoder's weights in one external file, and nothing is trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from model_zoo.bundle import describe_files, write_manifest
from model_zoo.manifest import Example, Exporter, Image, Level, Likelihood, Manifest, Provenance
from server.png import encode

WIDTH = 16
RESOLUTIONS = (1, 4, 4, 8, 8)
CHANNELS = (4, 3, 3, 2, 2)
IMAGE_SIZE = 16
MIXTURES = 3


def write_toy(directory: Path, kind: Literal["bernoulli", "dmol"] = "bernoulli", seed: int = 0) -> Manifest:
    """Write a complete bundle: "bernoulli" is grey, "dmol" is in colour."""
    channels = 1 if kind == "bernoulli" else 3
    rng = np.random.default_rng(seed)
    (directory / "examples").mkdir(parents=True)
    weights = _Weights(rng)
    _save(directory / "decoder.onnx", _decoder(weights, channels), weights)
    _save(directory / "encoder.onnx", _encoder(weights, channels), weights)
    (directory / "weights.bin").write_bytes(weights.content())
    examples = []
    for index in range(3):
        examples.append(Example(file=f"examples/{index}.png", label=f"disc {index}"))
        (directory / examples[-1].file).write_bytes(encode(_disc(rng, channels), {}))
    mixtures = {"mixtures": MIXTURES, "edge_rule": "exact"} if kind == "dmol" else {}
    manifest = Manifest(
        name="vdvae-toy" if kind == "bernoulli" else "vdvae-toy-colour",
        family="vdvae",
        summary="Five levels, random weights: for tests only",
        dataset="none",
        image=Image(height=IMAGE_SIZE, width=IMAGE_SIZE, channels=channels, bits=8),
        likelihood=Likelihood(kind=kind, bits=1 if kind == "bernoulli" else 8, **mixtures),
        levels=_levels(),
        provenance=Provenance(recipe={"made_by": "tests/server/toy_bundle.py"}, seed=seed),
        exporter=Exporter(opset=20, torch="none", onnx=onnx.__version__),
        licence="MIT",
        citation="none",
        examples=tuple(examples),
        files=describe_files(directory),
    )
    write_manifest(directory, manifest)
    return manifest


def _levels() -> tuple[Level, ...]:
    levels, offset = [], 0
    for index, (size, channels) in enumerate(zip(RESOLUTIONS, CHANNELS, strict=True)):
        levels.append(
            Level(index=index, channels=channels, height=size, width=size, offset=offset, kl_nats=8.0 / (index + 1))
        )
        offset += levels[-1].size
    return tuple(levels)


def _disc(rng: np.random.Generator, channels: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE]
    centre = rng.uniform(5, 11, 2)
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < rng.uniform(9, 25)
    colour = rng.integers(128, 256, channels) if channels == 3 else np.array([255])
    return (inside[:, :, None] * colour).astype(np.uint8)


class _Weights:
    """Named random tensors: asked for twice by one name, they are the same and lie in the file once."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._tensors: dict[str, NDArray[np.float32]] = {}

    def convolution(self, name: str, outputs: int, inputs: int, kernel: int, gain: float) -> NDArray[np.float32]:
        if name not in self._tensors:
            scale = gain / np.sqrt(inputs * kernel * kernel)
            self._tensors[name] = self._rng.normal(0, scale, (outputs, inputs, kernel, kernel)).astype(np.float32)
        return self._tensors[name]

    def content(self) -> bytes:
        return b"".join(tensor.tobytes() for tensor in self._tensors.values())

    def offset(self, name: str) -> int:
        names = list(self._tensors)
        return sum(self._tensors[before].nbytes for before in names[: names.index(name)])


class _Graph:
    """Nodes and initialisers under construction; every operation returns the name of its output."""

    def __init__(self, weights: _Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[np.generic]] = {}

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, values: object, dtype: type) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.array(values, dtype)
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def conv(self, x: str, name: str, outputs: int, inputs: int, kernel: int = 1, gain: float = 1.0) -> str:
        self.constants[name] = self.weights.convolution(name, outputs, inputs, kernel, gain)
        return self.op("Conv", x, name, kernel_shape=[kernel, kernel], pads=[kernel // 2] * 4)

    def slice(self, x: str, start: int, stop: int) -> str:
        return self.op("Slice", x, self.integers(start), self.integers(stop), self.integers(1))

    def part(self, packed: str, level: Level) -> str:
        flat = self.slice(packed, level.offset, level.offset + level.size)
        return self.op("Reshape", flat, self.integers(0, level.channels, level.height, level.width))

    def pack(self, parts: list[str], output: str) -> None:
        flat = [self.op("Reshape", part, self.integers(0, -1)) for part in parts]
        self.op("Concat", *flat, output=output, axis=1)

    def resize(self, x: str, size: int) -> str:
        """Nearest neighbour: a whole multiple, so that every pixel becomes a block."""
        batch = self.op("Slice", self.op("Shape", x), self.integers(0), self.integers(2))
        sizes = self.op("Concat", batch, self.integers(size, size), axis=0)
        return self.op("Resize", x, "", "", sizes, mode="nearest", coordinate_transformation_mode="asymmetric",
                       nearest_mode="floor")  # fmt: skip

    def stream(self, like: str) -> str:
        """The residual stream before the first level: one learned vector for every image of the batch."""
        batch = self.op("Shape", like, end=1)
        shape = self.op("Concat", batch, self.integers(WIDTH, 1, 1), axis=0)
        return self.op("Expand", self.constant(np.linspace(-1, 1, WIDTH).reshape(1, WIDTH, 1, 1), np.float32), shape)

    def prior(self, h: str, level: Level) -> tuple[str, str, str]:
        """mu, sigma and log sigma of one level, given the stream above it."""
        z = level.channels
        both = self.conv(self.op("Tanh", h), f"prior_{level.index}", 2 * z, WIDTH, gain=1.5)
        log_scale = self.op("Mul", self.op("Tanh", self.slice(both, z, 2 * z)), self.constant(0.7, np.float32))
        return self.slice(both, 0, z), self.op("Exp", log_scale), log_scale

    def absorb(self, h: str, z: str, level: Level) -> str:
        h = self.op("Add", h, self.conv(z, f"into_{level.index}", WIDTH, level.channels, gain=0.8))
        kernel = 1 if level.height == 1 else 3
        return self.op("Add", h, self.conv(self.op("Tanh", h), f"block_{level.index}", WIDTH, WIDTH, kernel))

    def head(self, h: str, channels: int) -> None:
        parameters = 1 if channels == 1 else 10 * MIXTURES
        h = self.op("Tanh", self.resize(h, IMAGE_SIZE))
        self.op("Identity", self.conv(h, "head", parameters, WIDTH, 3, gain=2.5), output="likelihood")


def _decoder(weights: _Weights, channels: int) -> onnx.GraphProto:
    graph, size = _Graph(weights), sum(level.size for level in _levels())
    h = graph.stream("noise")
    packed: tuple[list[str], ...] = ([], [], [])
    for level in _levels():
        h = graph.resize(h, level.height)
        mean, scale, _ = graph.prior(h, level)
        tau = graph.slice("temperature", level.index, level.index + 1)
        tau = graph.op("Reshape", tau, graph.integers(0, 1, 1, 1))
        drawn = graph.op("Mul", graph.op("Mul", tau, scale), graph.part("noise", level))
        drawn = graph.op("Add", mean, drawn)
        z = graph.op("Where", graph.part("keep", level), graph.part("given", level), drawn)
        for column, tensor in zip(packed, (z, mean, scale), strict=True):
            column.append(tensor)
        h = graph.absorb(h, z, level)
    for name, column in zip(("latents", "prior_mean", "prior_scale"), packed, strict=True):
        graph.pack(column, name)
    graph.head(h, channels)
    inputs = {"noise": size, "given": size, "keep": size, "temperature": len(RESOLUTIONS)}
    return _finish(
        graph,
        [
            _flat(name, count, TensorProto.BOOL if name == "keep" else TensorProto.FLOAT)
            for name, count in inputs.items()
        ],
        [_flat(name, size) for name in ("latents", "prior_mean", "prior_scale")],
    )


def _encoder(weights: _Weights, channels: int) -> onnx.GraphProto:
    graph, size = _Graph(weights), sum(level.size for level in _levels())
    pixels = graph.op("Cast", "image", to=TensorProto.FLOAT)
    pixels = graph.op("Div", pixels, graph.constant(255.0, np.float32))
    pixels = graph.op("Transpose", pixels, perm=[0, 3, 1, 2])
    h = graph.stream("noise")
    packed: tuple[list[str], ...] = ([], [], [], [])
    for level in _levels():
        z = level.channels
        h = graph.resize(h, level.height)
        mean, scale, log_scale = graph.prior(h, level)
        window = IMAGE_SIZE // level.height
        seen = graph.op("AveragePool", pixels, kernel_shape=[window, window], strides=[window, window])
        both = graph.op("Concat", graph.op("Tanh", h), seen, axis=1)
        shift = graph.conv(both, f"posterior_{level.index}", z, WIDTH + channels)
        q_mean = graph.op("Add", mean, shift)
        q_log = graph.op("Sub", log_scale, graph.constant(1.0, np.float32))
        q_scale = graph.op("Exp", q_log)
        latent = graph.op("Add", q_mean, graph.op("Mul", q_scale, graph.part("noise", level)))
        squared = graph.op("Add", graph.op("Mul", q_scale, q_scale), graph.op("Mul", shift, shift))
        ratio = graph.op("Div", squared, graph.op("Mul", scale, scale))
        kl = graph.op("Mul", graph.op("Sub", ratio, graph.constant(1.0, np.float32)), graph.constant(0.5, np.float32))
        kl = graph.op("Add", kl, graph.constant(1.0, np.float32))
        for column, tensor in zip(packed, (latent, q_mean, q_scale, kl), strict=True):
            column.append(tensor)
        h = graph.absorb(h, latent, level)
    outputs = ("latents", "posterior_mean", "posterior_scale", "kl")
    for name, column in zip(outputs, packed, strict=True):
        graph.pack(column, name)
    graph.head(h, channels)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", IMAGE_SIZE, IMAGE_SIZE, channels])
    return _finish(graph, [image, _flat("noise", size)], [_flat(name, size) for name in outputs])


def _flat(name: str, size: int, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["batch", size])


def _finish(graph: _Graph, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.GraphProto:
    likelihood = helper.make_tensor_value_info("likelihood", TensorProto.FLOAT, ["batch", None, IMAGE_SIZE, IMAGE_SIZE])
    initializers = [numpy_helper.from_array(values, name) for name, values in graph.constants.items()]
    return helper.make_graph(graph.nodes, "toy", inputs, [likelihood, *outputs], initializers)


def _save(path: Path, graph: onnx.GraphProto, weights: _Weights) -> None:
    """Write the graph with its convolutions in weights.bin, which decoder and encoder share."""
    for tensor in graph.initializer:
        if tensor.name.startswith("constant_"):
            continue
        count = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", weights.offset(tensor.name)), ("length", count)):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
