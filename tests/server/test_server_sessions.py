"""Sessions as a server wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from server.sessions import open_session, steady


def elu_graph() -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Elu", ["x"], ["y"])], "elu", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_elu_is_the_same_wherever_a_number_stands(tmp_path: Path) -> None:
    """And what it was, within 1e-6: x where x is positive, else exp(x) - 1."""
    model = elu_graph()
    steady(model)
    session = open_session(model, tmp_path / "elu.onnx", "cpu", threads=1)
    x = np.random.default_rng(0).normal(size=(333, 3)).astype(np.float32)
    together = session.run(["y"], {"x": x})[0]
    alone = np.concatenate([session.run(["y"], {"x": row[None]})[0] for row in x])
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_allclose(together, np.where(x > 0, x, np.expm1(x.astype(np.float64))), rtol=0, atol=1e-6)


def test_another_elu_is_left_as_it_is() -> None:
    model = elu_graph()
    model.graph.node[0].attribute.append(helper.make_attribute("alpha", 0.5))
    before = model.SerializeToString()
    steady(model)
    assert model.SerializeToString() == before
