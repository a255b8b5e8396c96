"""ONNX Runtime sessions, opened as a server wants them: explicit threads that sleep when idle, a provider that is
checked, and graphs in which an image does not depend on the batch that it is in.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import onnx
import onnxruntime as ort
from onnx import NodeProto, TensorProto, helper

Provider = Literal["auto", "cpu", "cuda"]

log = logging.getLogger("strata.server")


class EngineError(RuntimeError):
    """A bundle that ONNX Runtime cannot run as asked, with the reason."""


def read_graph(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """A graph without its weights, which stay in their file. Raises EngineError: no ONNX, or out of contract."""
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's exceptions have no base class of their own
        raise EngineError(f"{path.name} cannot be loaded: {error}") from error
    for kind, expected, values in (("inputs", inputs, model.graph.input), ("outputs", outputs, model.graph.output)):
        actual = [value.name for value in values]
        if sorted(actual) != sorted(expected):
            raise EngineError(f"{path.name} has {kind} {', '.join(actual)}; expected {', '.join(expected)}")
    return model


def open_session(
    model: onnx.ModelProto, path: Path, provider: Provider, threads: int, small: bool = False
) -> ort.InferenceSession:
    """A session of `model`, which is the graph at `path` or a part of it. Raises EngineError.

    A `small` one spends less time on getting memory and keeps some more of it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL  # a hierarchy is a chain: nothing runs beside it
    options.enable_mem_pattern = small  # a plan of the memory for each size of batch that was seen
    _share_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads never wait awake: it takes the cores from everything else, and gains nothing where operators are large.
    # A model of small ones gets a single thread, which waits for nobody (server/engine.py).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=_providers(provider))
    except EngineError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise EngineError(f"{path.name} cannot be loaded: {str(error).splitlines()[0]}") from error
    used = first_provider(session)
    if provider == "cuda" and used != "CUDAExecutionProvider":
        raise EngineError(
            f"cuda was asked for, but ONNX Runtime fell back to {used}; are its CUDA libraries installed?"
        )
    if provider == "auto" and used == "CPUExecutionProvider" and "CUDAExecutionProvider" in _available():
        log.warning("CUDA is there but cannot be used for %s; running on the CPU", path.name)
    return session


def first_provider(session: ort.InferenceSession) -> str:
    return str(session.get_providers()[0])


def steady(model: onnx.ModelProto) -> None:
    """Replace, in place, the operator whose last bit depends on the place of a number in its tensor.

    ONNX Runtime computes Elu on the CPU with one formula for whole vectors of numbers and with another for what is
    left at the end of a thread's share, and where that is depends on the batch. Its Exp has one formula.
    """
    graph = model.graph
    nodes: list[NodeProto] = []
    for node in graph.node:
        nodes += _elu(node) if node.op_type == "Elu" else [node]
    if len(nodes) > len(graph.node):
        constants = (("steady.zero", 0.0), ("steady.one", 1.0))
        graph.initializer.extend(helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in constants)
        del graph.node[:]
        graph.node.extend(nodes)


def _elu(node: NodeProto) -> list[NodeProto]:
    """max(x, 0) + alpha * (exp(min(x, 0)) - 1), with alpha 1, the only one that exported graphs have."""
    if any(attribute.name == "alpha" and attribute.f != 1.0 for attribute in node.attribute):
        return [node]
    (x,), (y,) = node.input, node.output
    return [
        helper.make_node("Min", [x, "steady.zero"], [f"{y}.below"]),
        helper.make_node("Exp", [f"{y}.below"], [f"{y}.exp"]),
        helper.make_node("Sub", [f"{y}.exp", "steady.one"], [f"{y}.negative"]),
        helper.make_node("Max", [x, "steady.zero"], [f"{y}.positive"]),
        helper.make_node("Add", [f"{y}.positive", f"{y}.negative"], [y]),
    ]


@cache
def _share_memory() -> None:
    """One pool of working memory for all sessions of the process: each would keep what its largest batch took."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({"arena_extend_strategy": 1}))  # as much as requested


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
