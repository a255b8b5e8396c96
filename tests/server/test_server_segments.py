"""A decoder is cut where a level is drawn, into segments of about equal cost, and only where that is worth it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from toy_bundle import write_toy

from model_zoo.bundle import Bundle, open_bundle
from model_zoo.zoo import BUNDLES
from server.levels import BATCH, FREE, analyse
from server.segments import MAX_SEGMENTS, Segment, cut


def load(bundle: Bundle) -> onnx.ModelProto:
    return onnx.load(bundle.decoder, load_external_data=False)


def shipped(name: str) -> Bundle:
    return open_bundle(BUNDLES / name)


def segments(bundle: Bundle, min_flops: int = 1) -> list[Segment]:
    return [segment for segment, _ in cut(load(bundle), bundle.manifest.levels, min_flops)]


def external_bytes(graph: onnx.GraphProto) -> int:
    return sum(int(entry.value) for t in graph.initializer for entry in t.external_data if entry.key == "length")


@pytest.fixture(scope="module")
def toy_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("toy") / "vdvae-toy"
    write_toy(folder)
    return open_bundle(folder)


@pytest.mark.parametrize("name", ["vdvae-mnist", "lvae-mnist", "lvae-conv-mnist", "nvae-mnist-small"])
def test_segments_follow_each_other_and_draw_every_level_once(name: str) -> None:
    bundle = shipped(name)
    found = segments(bundle)
    assert 1 < len(found) <= MAX_SEGMENTS + 1
    assert [level for segment in found for level in segment.levels] == [*range(len(bundle.manifest.levels))]
    assert [segment.columns.start for segment in found] == [
        bundle.manifest.levels[segment.levels.start].offset for segment in found
    ]
    assert found[-1].columns.stop == bundle.manifest.latents


def test_what_a_segment_reads_was_made_above_it(toy_bundle: Bundle) -> None:
    found = segments(toy_bundle)
    made: set[str] = set()
    for segment in found:
        assert set(segment.reads) <= set(segment.state) <= made
        made |= set(segment.makes)
    assert found[-1].makes == ()
    assert found[0].state_bytes == 0
    assert all(segment.state_bytes > 0 for segment in found[1:])


def test_every_weight_is_read_by_one_segment(toy_bundle: Bundle) -> None:
    whole = load(toy_bundle)
    parts = [model for _, model in cut(whole, toy_bundle.manifest.levels, 1)]
    assert len(parts) > 1
    assert sum(external_bytes(part.graph) for part in parts) == external_bytes(whole.graph)


def test_flops_are_those_of_the_convolutions() -> None:
    """vdvae-mnist: 70,946,816, as training/estimate.py counts them in PyTorch."""
    assert sum(segment.flops for segment in segments(shipped("vdvae-mnist"))) == 70_946_816


def test_small_models_stay_whole_and_none_gets_small_segments() -> None:
    assert len(segments(shipped("lvae-mnist"), 20_000_000)) == 1
    found = segments(shipped("vdvae-mnist"), 20_000_000)
    assert len(found) == 3
    assert all(segment.flops >= 20_000_000 for segment in found)


def test_the_last_level_has_a_segment_of_its_own(toy_bundle: Bundle) -> None:
    assert segments(toy_bundle)[-1].levels == range(4, 5)


def test_a_loop_over_levels_is_not_cut() -> None:
    bundle = shipped("autoregressive-mnist14")
    (only,) = segments(bundle)
    assert only.levels == range(196)


def test_nothing_is_cut_where_a_value_mixes_levels() -> None:
    """A decoder that begins with the sum of all noise: its every level depends on every other."""
    bundle = shipped("vdvae-mnist")
    model = load(bundle)
    total = helper.make_node("ReduceSum", ["noise"], ["total"], keepdims=1)
    mixed = helper.make_node("Add", ["noise", "total"], ["mixed"])
    for node in model.graph.node:
        node.input[:] = ["mixed" if name == "noise" else name for name in node.input]
    model.graph.node.insert(0, mixed)
    model.graph.node.insert(0, total)
    assert len(cut(model, bundle.manifest.levels, 1)) == 1


def test_the_analysis_knows_which_columns_a_value_holds(toy_bundle: Bundle) -> None:
    levels = toy_bundle.manifest.levels
    seen = analyse(load(toy_bundle), levels)
    kept = {node.input[0] for node in seen.graph.node if node.op_type == "Where"}
    assert sorted((seen.pieces[name].start, seen.pieces[name].stop) for name in kept) == [
        (level.offset, level.offset + level.size) for level in levels
    ]
    assert seen.shapes["noise"] == (BATCH, toy_bundle.manifest.latents)
    assert seen.depth("likelihood") == len(levels) - 1
    constant = next(node for node in seen.graph.node if node.op_type == "Expand")
    assert seen.depth(constant.output[0]) == FREE


def test_a_part_that_cannot_be_checked_is_left_whole(tmp_path: Path) -> None:
    """Packed outputs that are not put together from levels."""
    write_toy(tmp_path / "toy")
    bundle = open_bundle(tmp_path / "toy")
    model = load(bundle)
    for node in model.graph.node:
        node.output[:] = ["hidden" if name == "prior_mean" else name for name in node.output]
    model.graph.node.append(helper.make_node("Abs", ["hidden"], ["prior_mean"]))
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert len(cut(model, bundle.manifest.levels, 1)) == 1
