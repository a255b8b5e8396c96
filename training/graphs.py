"""The two graphs of a bundle (DESIGN.md, "The bundle") as modules over packed latents, and their ONNX files.

Both read one weights file, `weights.bin`: tensors with equal bytes are stored once.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from model_zoo.manifest import DECODER_NAME, ENCODER_NAME, WEIGHTS_NAME
from training.latents import pack, unpack
from training.layout import stay_in_blocks
from training.likelihoods import Likelihood
from training.models.contract import HierarchicalVAE

OPSET = 20  # the first with Gelu as one operator
EXTERNAL_FROM = 1024  # bytes; smaller tensors and whole numbers (shapes) stay in the graph: ONNX Runtime wants them
ALIGNMENT = 64  # bytes

DECODER_INPUTS = ("noise", "given", "keep", "temperature")
DECODER_OUTPUTS = ("likelihood", "latents", "prior_mean", "prior_scale")
ENCODER_INPUTS = ("image", "noise")
ENCODER_OUTPUTS = ("latents", "posterior_mean", "posterior_scale", "kl", "likelihood")


class DecoderGraph(nn.Module):
    """noise, given [B, N] float32, keep [B, N] bool, temperature [B, L] -> the four outputs of the decoder."""

    def __init__(self, model: HierarchicalVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, noise: Tensor, given: Tensor, keep: Tensor, temperature: Tensor) -> tuple[Tensor, ...]:
        shapes = self.model.shapes
        parameters, levels = self.model.decode(
            unpack(noise, shapes), unpack(given, shapes), unpack(keep, shapes), temperature
        )
        return (
            parameters,
            pack([level.z for level in levels]),
            pack([level.prior.mean for level in levels]),
            pack([level.prior.log_scale for level in levels]).exp(),
        )


class EncoderGraph(nn.Module):
    """image [B, H, W, C] uint8, noise [B, N] -> the five outputs of the encoder."""

    def __init__(self, model: HierarchicalVAE, likelihood: Likelihood) -> None:
        super().__init__()
        self.model = model
        self.likelihood = likelihood

    def forward(self, image: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        parameters, levels = self.model.encode(self.likelihood.observe(image), unpack(noise, self.model.shapes))
        return (
            pack([level.z for level in levels]),
            pack([level.posterior.mean for level in levels]),
            pack([level.posterior.log_scale for level in levels]).exp(),
            pack([level.kl for level in levels]),
            parameters,
        )


def onnx_graph(
    module: nn.Module, arguments: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Trace `module` with batch as the one dynamic dimension. `arguments` have batch 2, so that 1 is not special."""
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside the exporter; what matters is checked below and after
        program = torch.onnx.export(
            module.eval(),
            arguments,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in arguments),
            verbose=False,
        )
    assert program is not None, "the dynamo exporter always returns a program"
    graph = program.model_proto
    _strip(graph.graph)
    stay_in_blocks(graph)
    for value in (*graph.graph.input, *graph.graph.output):
        if value.type.tensor_type.shape.dim[0].dim_param != "batch":
            raise RuntimeError(f"the exporter fixed the batch of {value.name}; every input and output must follow it")
    return graph


def _strip(graph: onnx.GraphProto) -> None:
    """Drop what only explains the trace (source lines, inferred shapes): it is larger than the graph itself."""
    del graph.value_info[:]
    for element in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del element.metadata_props[:]
        element.doc_string = ""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _strip(attribute.g)


def decoder_arguments(model: HierarchicalVAE, batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Random inputs of the decoder: noise, latents kept at random places, a temperature for each level."""
    size = sum(shape.size for shape in model.shapes)
    noise, given = (torch.randn(batch, size, generator=generator) for _ in range(2))
    keep = torch.rand(batch, size, generator=generator) < 0.3
    return noise, given, keep, torch.rand(batch, len(model.shapes), generator=generator) + 0.2


def encoder_arguments(
    model: HierarchicalVAE, image: tuple[int, int, int], batch: int, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Random inputs of the encoder; `image` is (height, width, channels)."""
    size = sum(shape.size for shape in model.shapes)
    pixels = torch.randint(0, 256, (batch, *image), dtype=torch.uint8, generator=generator)
    return pixels, torch.randn(batch, size, generator=generator)


def write_graphs(folder: Path, decoder: onnx.ModelProto, encoder: onnx.ModelProto, *, half: bool) -> None:
    """Write both graphs and their common weights file into `folder`.

    With `half`, large float weights are stored as float16 and cast back when the graph is loaded: half the size,
    and exact if the weights were rounded to float16 before (see `round_to_half`).
    """
    offsets: dict[bytes, int] = {}
    with (folder / WEIGHTS_NAME).open("wb") as weights:
        for graph, name in ((decoder, DECODER_NAME), (encoder, ENCODER_NAME)):
            casts = []
            for tensor in graph.graph.initializer:
                array = numpy_helper.to_array(tensor)
                if array.nbytes < EXTERNAL_FROM or array.dtype == np.int64:
                    continue
                stored = array.astype(np.float16) if half and array.dtype == np.float32 else array
                if stored is not array:
                    full_name, half_name = tensor.name, f"{tensor.name}.float16"
                    casts.append(onnx.helper.make_node("Cast", [half_name], [full_name], to=onnx.TensorProto.FLOAT))
                    tensor.name, tensor.data_type = half_name, onnx.TensorProto.FLOAT16
                data = np.ascontiguousarray(stored).tobytes()
                digest = hashlib.sha256(data).digest()
                if digest not in offsets:
                    weights.write(b"\0" * (-weights.tell() % ALIGNMENT))
                    offsets[digest] = weights.tell()
                    weights.write(data)
                _make_external(tensor, offsets[digest], len(data))
            for cast in reversed(casts):
                graph.graph.node.insert(0, cast)
            (folder / name).write_bytes(graph.SerializeToString(deterministic=True))


def _make_external(tensor: onnx.TensorProto, offset: int, length: int) -> None:
    """Point an initializer at its bytes in the weights file."""
    for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "external_data"):
        tensor.ClearField(field)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS_NAME), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def round_to_half(module: nn.Module) -> None:
    """Round the weights that `write_graphs(half=True)` stores in float16, so that figures are those of the bundle."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dtype == torch.float32 and tensor.nbytes >= EXTERNAL_FROM:
            tensor.data = tensor.data.half().float()
