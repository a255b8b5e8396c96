"""A decoder cut at level boundaries: a chain of smaller graphs, each of which draws some levels and hands on a state.

A segment starts where its first level is drawn: the prior of that level still belongs to the segment above, because
it depends on nothing below. So whoever changes level l computes z_l and what follows from it, and the state at the
cut, a few tensors, stands for everything above. Segments read the bundle's one file of weights, each its own part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from model_zoo.manifest import Level
from server.levels import FREE, PACKED, Analysis, Piece, analyse, counts_images, read_by

INPUTS = (*PACKED, "temperature")
PARTS = ("latents", "prior_mean", "prior_scale")  # outputs that are packed like the inputs
BY_ELEMENT = ("Exp", "Sqrt", "Sigmoid", "Neg", "Identity")
MAX_SEGMENTS = 28
# Entering a segment and remembering its state costs about 0.1 ms, whatever it computes; in one smaller than this that
# would be felt.
MIN_FLOPS = 60_000_000


@dataclass(frozen=True)
class Segment:
    """One link of the chain.

    Its graph has the decoder's inputs, of these levels only, and `reads` from the segments above; it makes `makes`
    for those below, the part of the packed outputs that belongs to its levels, and, the last one, the likelihood.
    """

    levels: range
    columns: slice  # of packed inputs and outputs
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    state: tuple[str, ...]  # everything that it and the segments below read from those above: what to keep of a prefix
    state_bytes: int  # of one image
    flops: int  # of one image


@dataclass(frozen=True)
class Part:
    """A value that is part of a packed output, after these operators on each element; its place is [start, stop)."""

    name: str
    operators: tuple[NodeProto, ...]
    start: int
    stop: int


def cut(
    model: onnx.ModelProto, levels: Sequence[Level], min_flops: int = MIN_FLOPS
) -> list[tuple[Segment, onnx.ModelProto]]:
    """The segments of a decoder and their graphs, from the top, none of less than `min_flops` an image.

    Where it cannot be cut, or is too small for it, there is one: the graph itself.
    """
    seen = analyse(model, levels)
    flops = seen.flops()
    parts = {name: [*_parts(seen, name)] for name in PARTS}
    starts = [0, *_starts(flops, _allowed(seen, parts), min_flops)]
    if len(starts) == 1:
        return [(Segment(range(len(levels)), slice(0, seen.latents), (), (), (), 0, sum(flops)), model)]
    segments: list[tuple[Segment, onnx.ModelProto]] = []
    below: tuple[str, ...] = ()  # what the segments below read from above
    for start, stop in reversed([*zip(starts, [*starts[1:], len(levels)], strict=True)]):
        segments.append(_extract(seen, range(start, stop), below, parts, sum(flops[start:stop])))
        below = segments[-1][0].state
    return segments[::-1]


def _starts(flops: Sequence[int], allowed: Iterable[int], min_flops: int) -> Iterator[int]:
    """The first levels of all segments but the first, which have about equal cost; the last level has its own."""
    enough = max(min_flops, sum(flops) // MAX_SEGMENTS)
    before = 0
    for level in allowed:
        least = min_flops if level == len(flops) - 1 else enough
        if min(sum(flops[before:level]), sum(flops[level:])) >= least:
            yield level
            before = level


def _allowed(seen: Analysis, parts: dict[str, list[Part]]) -> list[int]:
    """The levels that a segment may start with: no value that is read there holds numbers of levels on both sides."""
    spans = []
    for node in seen.graph.node:
        if node.output[0] in seen.pieces or counts_images(node):
            continue  # it takes pieces apart, which each segment does for itself
        for name in read_by(node):
            if piece := seen.pieces.get(name):
                if not seen.size(name):
                    return []
                spans.append(seen.span(piece))
    for found in parts.values():
        if not found or found[-1].stop != seen.latents or not all(seen.size(part.name) for part in found):
            return []
        spans += [seen.span(Piece("latents", part.start, part.stop)) for part in found]
    inside = {level for span in spans for level in span[1:]}
    return [level for level in range(1, len(seen.levels)) if level not in inside]


def _parts(seen: Analysis, output: str) -> Iterator[Part]:
    """The values that were put together into a packed output, in their order."""
    start = 0
    for name, operators in _put_together(seen, output):
        yield Part(name, operators, start, start + seen.size(name))
        start += seen.size(name)


def _put_together(seen: Analysis, name: str) -> list[tuple[str, tuple[NodeProto, ...]]]:
    node = seen.makers.get(name)
    if node is None:
        return [(name, ())]
    if node.op_type == "Concat" and node.attribute[0].i == 1:
        return [inner for piece in node.input for inner in _put_together(seen, piece)]
    if node.op_type == "Reshape":
        return _put_together(seen, node.input[0])
    if node.op_type in BY_ELEMENT and len(inner := _put_together(seen, node.input[0])) > 1:
        return [(piece, (*operators, node)) for piece, operators in inner]
    return [(name, ())]


def _extract(
    seen: Analysis, levels: range, below: Sequence[str], parts: dict[str, list[Part]], flops: int
) -> tuple[Segment, onnx.ModelProto]:
    """The part of the graph that draws `levels` and makes, as far as it can, what the segments `below` read."""
    makes = [name for name in below if seen.depth(name) >= levels.start]
    first, last = seen.levels[levels[0]], seen.levels[levels[-1]]
    columns = slice(first.offset, last.offset + last.size)
    here = range(columns.start, columns.stop)
    own = {name: [part for part in found if part.start in here] for name, found in parts.items()}
    outputs = [*makes, *(["likelihood"] if last is seen.levels[-1] else [])]
    body = _Body(seen, levels)
    for name in (*outputs, *(part.name for found in own.values() for part in found)):
        body.need(name)
    widths = dict.fromkeys((*PACKED, *PARTS), columns.stop - columns.start) | {"temperature": len(levels)}
    nodes = [node for name in INPUTS for node in body.take_apart(name, widths[name])]
    nodes += [node for node in seen.graph.node if node.output[0] in body.made]
    nodes = [_count_here(node) if counts_images(node) else node for node in nodes]
    nodes += [node for name, found in own.items() for node in _join(name, found)]
    reads = sorted(body.state)
    state = sorted({*body.state, *below}.difference(makes))
    graph = helper.make_graph(
        nodes,
        f"levels {levels[0]} to {levels[-1]}",
        [_packed(name, widths[name]) for name in INPUTS] + [_value(seen, name) for name in reads],
        [_value(seen, name) for name in outputs] + [_packed(name, widths[name]) for name in PARTS],
        [*(tensor for name, tensor in seen.constants.items() if name in body.constants), *body.numbers],
    )
    model = helper.make_model(graph, opset_imports=seen.model.opset_import, ir_version=seen.model.ir_version)
    held = sum(seen.size(name) * helper.tensor_dtype_to_np_dtype(seen.types[name]).itemsize for name in state)
    return Segment(levels, columns, tuple(reads), tuple(makes), tuple(state), held, flops), model


class _Body:
    """What a segment has to compute, found by walking up from what it has to make."""

    def __init__(self, seen: Analysis, levels: range) -> None:
        self.seen, self.levels = seen, levels
        self.made: set[str] = set()  # first outputs of the nodes that belong here
        self.state: set[str] = set()
        self.constants: set[str] = set()
        self.pieces: set[str] = set()
        self.numbers: list[TensorProto] = []  # constants of its own

    def need(self, wanted: str) -> None:
        waiting = [wanted]
        while waiting:
            name = waiting.pop()
            node = self.seen.makers.get(name)
            if name in self.seen.constants:
                self.constants.add(name)
            elif name in self.seen.pieces:
                self.pieces.add(name)
            elif FREE < self.seen.depth(name) < self.levels.start:
                self.state.add(name)
            elif node is not None and node.output[0] not in self.made:
                self.made.add(node.output[0])
                waiting += [] if counts_images(node) else read_by(node)

    def take_apart(self, source: str, width: int) -> list[NodeProto]:
        """Nodes that make the pieces of one input that are needed here from its `width` columns."""
        pieces = {name: piece for name in sorted(self.pieces) if (piece := self.seen.pieces[name]).source == source}
        if not pieces:
            return []
        first = self.levels.start if source == "temperature" else self.seen.levels[self.levels.start].offset
        places = sorted({(piece.start - first, piece.stop - first) for piece in pieces.values()})
        bounds = sorted({0, width, *(end for place in places for end in place)})
        names = {bound: f"{source}.{bound}" for bound in bounds[:-1]}
        sizes = self._number(f"{source}.sizes", [stop - start for start, stop in zip(bounds, bounds[1:], strict=False)])
        nodes = [helper.make_node("Split", [source, sizes], [*names.values()], axis=1)]
        for name, piece in pieces.items():
            shape = self._number(f"{name}.shape", [-1, *self.seen.shapes[name][1:]])
            nodes.append(helper.make_node("Reshape", [names[piece.start - first], shape], [name]))
        return nodes

    def _number(self, name: str, values: Sequence[int]) -> str:
        self.numbers.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name


def _join(output: str, parts: Sequence[Part]) -> list[NodeProto]:
    """Nodes that put the parts of these levels together into a packed output."""
    nodes, flat = [], []
    for part in parts:
        flat.append(f"{output}.{part.start}")
        nodes.append(helper.make_node("Flatten", [part.name], [flat[-1]], axis=1))
        for operator in part.operators:
            nodes.append(NodeProto())
            nodes[-1].CopyFrom(operator)
            nodes[-1].ClearField("name")
            nodes[-1].input[:], nodes[-1].output[:] = [flat[-1]], [f"{flat[-1]}.{operator.op_type}"]
            flat[-1] = nodes[-1].output[0]
    return [*nodes, helper.make_node("Concat", flat, [output], axis=1)]


def _count_here(node: NodeProto) -> NodeProto:
    """The same question, how many images there are, asked of an input that every segment has."""
    own = NodeProto()
    own.CopyFrom(node)
    own.input[:] = ["temperature"]
    return own


def _packed(name: str, width: int) -> ValueInfoProto:
    kind = TensorProto.BOOL if name == "keep" else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, ["batch", width])


def _value(seen: Analysis, name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, seen.types[name], ["batch", *seen.shapes[name][1:]])
