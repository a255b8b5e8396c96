"""What each value of a decoder's graph depends on: the deepest level whose inputs it can feel, and its cost.

The inputs of a decoder are packed: `noise`, `given` and `keep` are [B, N] with one range of columns for each level,
`temperature` is [B, L]. Exported graphs take them apart with Split, Reshape and the like before anything is computed.
Here such a piece is known by its range of columns, and everything computed has the depth of the deepest level that
it was made from: level l can be drawn again without anything whose depth is less than l.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, numpy_helper

from model_zoo.manifest import Level

PACKED = ("noise", "given", "keep")
KEPT_SHAPE = ("Reshape", "Unsqueeze", "Squeeze", "Cast", "Identity")  # the same numbers in the same order
FREE = -1  # the depth of what depends on no level
SIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # where the arithmetic is
BATCH = 7919  # shapes are worked out for so many images: a prime, so that this dimension is known from all others


@dataclass(frozen=True)
class Piece:
    """Columns [start, stop) of one packed input, in whatever shape."""

    source: str
    start: int
    stop: int


@dataclass
class Analysis:
    """A decoder's graph, looked through. Shapes are those of BATCH images."""

    model: onnx.ModelProto
    levels: Sequence[Level]
    makers: dict[str, NodeProto] = field(default_factory=dict)  # by the name of what they make
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)  # of their elements, as ONNX counts them
    pieces: dict[str, Piece] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)

    @property
    def graph(self) -> GraphProto:
        return self.model.graph

    @property
    def latents(self) -> int:
        """N, the length of a packed latent vector."""
        return self.levels[-1].offset + self.levels[-1].size

    def span(self, piece: Piece) -> range:
        """The levels that a piece has columns of."""
        if piece.source == "temperature":
            return range(piece.start, piece.stop)
        touched = [level.index for level in self.levels if _overlap(level, piece.start, piece.stop)]
        return range(touched[0], touched[-1] + 1)

    def depth(self, name: str) -> int:
        """The deepest level that a value depends on, or FREE."""
        piece = self.pieces.get(name)
        return self.depths.get(name, FREE) if piece is None else self.span(piece)[-1]

    def size(self, name: str) -> int:
        """Numbers of a value for each image; 0 where that is not known, or where images are not its first axis."""
        shape = self.shapes.get(name, ())
        return math.prod(shape[1:]) if shape[:1] == (BATCH,) else 0

    def flops(self) -> list[int]:
        """Of one image, by depth; a multiplication and its addition are two. What depends on no level counts as 0."""
        found = [0] * len(self.levels)
        for node in self.graph.node:
            if node.op_type in SIZED and node.output[0] in self.depths:
                found[max(self.depths[node.output[0]], 0)] += self._flops(node)
        return found

    def _flops(self, node: NodeProto) -> int:
        made, weight = self.shapes.get(node.output[0], ()), self.shapes.get(node.input[1], ())
        if node.op_type == "ConvTranspose":
            made = self.shapes.get(node.input[0], ())
        inner = weight[1:] if node.op_type.startswith("Conv") else self.shapes.get(node.input[0], ())[-1:]
        return 2 * math.prod(made) * math.prod(inner) // BATCH


def analyse(model: onnx.ModelProto, levels: Sequence[Level]) -> Analysis:
    """Look through a decoder. Whatever is done to a packed input that is not understood depends on all of its part."""
    found = Analysis(model, levels)
    found.constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found.makers = {output: node for node in model.graph.node for output in node.output}
    _infer_shapes(found)
    found.pieces = {name: Piece(name, 0, found.latents) for name in PACKED}
    found.pieces["temperature"] = Piece("temperature", 0, len(levels))
    for node in model.graph.node:  # ONNX wants them in an order in which everything is made before it is read
        if not _taken_apart(node, found):
            deepest = FREE if counts_images(node) else max(map(found.depth, read_by(node)), default=FREE)
            found.depths |= dict.fromkeys(node.output, deepest)
    return found


def read_by(node: NodeProto) -> Iterator[str]:
    """Names of the values that a node reads; the body of a loop reads those of the graph around it, too."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from read_by(inner)


def counts_images(node: NodeProto) -> bool:
    """Whether a node only asks how many images there are: a Shape that ends before the second axis."""
    if node.op_type != "Shape":
        return False
    ends = {attribute.name: attribute.i for attribute in node.attribute}
    return ends.get("start", 0) == 0 and ends.get("end") == 1


def _overlap(level: Level, start: int, stop: int) -> bool:
    return level.offset < stop and start < level.offset + level.size


def _taken_apart(node: NodeProto, found: Analysis) -> bool:
    """Note the pieces that a node makes of a piece. False where it does anything else."""
    piece = found.pieces.get(node.input[0]) if node.input else None
    if piece is None:
        return False
    if node.op_type in KEPT_SHAPE:
        found.pieces[node.output[0]] = piece
        return True
    if len(shape := found.shapes.get(node.input[0], ())) < 2:
        return False
    width, axis = shape[1], next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    if node.op_type == "Split" and axis == 1:
        sizes = _whole_numbers(found, node.input[1]) if len(node.input) > 1 else _equal(width, len(node.output))
        cuts = np.concatenate([[0], np.cumsum(sizes)])
    elif node.op_type == "Slice" and _of_columns(node, found):
        start, stop = (_whole_numbers(found, name)[0] for name in node.input[1:3])
        cuts = np.array([min(start, width), min(stop, width)])
    elif node.op_type == "Gather" and axis == 1 and len(_whole_numbers(found, node.input[1])) == 1:
        index = _whole_numbers(found, node.input[1])[0]
        cuts = np.array([index, index + 1])
    else:
        return False
    each = (piece.stop - piece.start) // width  # numbers in one step of the axis
    for output, start, stop in zip(node.output, cuts[:-1], cuts[1:], strict=True):
        found.pieces[output] = Piece(piece.source, piece.start + int(start) * each, piece.start + int(stop) * each)
    return True


def _of_columns(node: NodeProto, found: Analysis) -> bool:
    """Whether a Slice takes neighbouring columns and nothing else."""
    numbers = [_whole_numbers(found, name) for name in node.input[1:]]
    if len(numbers) < 3 or any(len(values) != 1 for values in numbers):
        return False
    (start,), (stop,), (axis,) = numbers[:3]
    return start >= 0 and stop >= 0 and axis == 1 and (len(numbers) == 3 or numbers[3][0] == 1)


def _whole_numbers(found: Analysis, name: str) -> list[int]:
    tensor = found.constants.get(name)
    return [] if tensor is None else [int(value) for value in numpy_helper.to_array(tensor).reshape(-1)]


def _equal(width: int, parts: int) -> list[int]:
    size = -(-width // parts)
    return [*[size] * (parts - 1), width - size * (parts - 1)]


def _infer_shapes(found: Analysis) -> None:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(found.model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = BATCH
    inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph
    found.shapes = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        found.types[value.name] = value.type.tensor_type.elem_type
        dimensions = value.type.tensor_type.shape.dim
        if all(dimension.HasField("dim_value") for dimension in dimensions):
            found.shapes[value.name] = tuple(dimension.dim_value for dimension in dimensions)
