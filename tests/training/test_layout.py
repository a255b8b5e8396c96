"""Rewritten graphs give the same numbers, and have what keeps ONNX Runtime in its blocked layout."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.layout import stay_in_blocks

WIDTH = 12


def model(sizes: list[int], bias: bool) -> onnx.ModelProto:
    """(x + a learned state) -> 3x3 convolution -> parts of `sizes` channels."""
    rng = np.random.default_rng(0)
    values = {
        "state": rng.standard_normal((1, WIDTH, 4, 4), np.float32),
        "weight": rng.standard_normal((sum(sizes), WIDTH, 3, 3), np.float32),
        "bias": rng.standard_normal(sum(sizes), np.float32),
        "sizes": np.array(sizes),
    }
    outputs = [f"part_{index}" for index in range(len(sizes))]
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Expand", ["state", "shape"], ["start"]),
        helper.make_node("Add", ["start", "x"], ["sum"]),
        helper.make_node("Conv", ["sum", "weight", *(["bias"] if bias else [])], ["all"], pads=[1, 1, 1, 1]),
        helper.make_node("Split", ["all", "sizes"], outputs, axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "level",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH, 4, 4])],
        [
            helper.make_tensor_value_info(f"part_{i}", TensorProto.FLOAT, ["batch", n, 4, 4])
            for i, n in enumerate(sizes)
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items() if bias or name != "bias"],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(level: onnx.ModelProto) -> list[NDArray[np.float32]]:
    onnx.checker.check_model(level)
    session = onnxruntime.InferenceSession(level.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {"x": np.random.default_rng(1).standard_normal((3, WIDTH, 4, 4), np.float32)}))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("sizes", [[2, 2, WIDTH], [2, 2], [1, 2, 2]])
def test_the_numbers_stay_the_same(sizes: list[int], bias: bool) -> None:
    level = model(sizes, bias)
    before = run(level)
    stay_in_blocks(level)
    for old, new in zip(before, run(level), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-5)


def test_a_wide_part_has_a_convolution_of_its_own_and_no_weight_is_kept_twice() -> None:
    level = model([2, 2, WIDTH], bias=True)
    stay_in_blocks(level)
    weights = {tensor.name: tuple(tensor.dims) for tensor in level.graph.initializer if len(tensor.dims) == 4}
    assert sorted(shape[0] for name, shape in weights.items() if name != "state") == [4, WIDTH]
    assert Counter(node.op_type for node in level.graph.node)["Conv"] == 2


def test_equal_parts_stay_one_convolution() -> None:
    level = model([2, 2], bias=True)
    stay_in_blocks(level)
    assert Counter(node.op_type for node in level.graph.node)["Conv"] == 1


def test_a_sum_with_a_learned_state_enters_the_blocks() -> None:
    level = model([2, 2], bias=True)
    stay_in_blocks(level)
    pool = next(node for node in level.graph.node if node.op_type == "AveragePool")
    assert pool.output == ["sum"]  # which the convolution reads
