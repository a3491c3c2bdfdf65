"""Each TensorRT is told about precision as the decision table says: by what it has, and by what the graph says itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from poseedge.backends.registry import load
from poseedge.errors import PoseedgeError
from tests.doubles.binding import Fake
from tests.doubles.fixtures import Install
from tests.doubles.gpu import Gpu
from tests.support.engines import build, expected, keypoints, normalized_graph, write_graph
from tests.support.lifting_bundle import MIXED

FP16, INT8, OBEY = "FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"


def strong(fake: Fake) -> bool:
    """Whether strong typing is complete in this version."""
    return fake.release >= (10, 12)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "weak"), [("fp32", ()), ("fp16", (FP16,)), ("int8", (FP16, INT8))])
def test_graph_that_says_its_precision(device: Fake, tmp_path: Path, precision: str, weak: tuple[str, ...]) -> None:
    made = build(write_graph(tmp_path / "small.onnx", precision), precision)
    [plan] = device.built
    assert plan.strongly_typed is strong(device)
    assert set(plan.flags) - {OBEY} == set(() if strong(device) else weak)
    assert made.facts.spec.precision == precision


def test_graph_that_mixes_int8_and_fp16_is_built_where_strongly_typed(device: Fake, tmp_path: Path) -> None:
    path = write_graph(tmp_path / "small.onnx", MIXED)
    if not strong(device):
        with pytest.raises(PoseedgeError, match=rf"int8-fp16: TensorRT {device.version} takes precision from builder flags"):
            build(path, MIXED)
        return
    made = build(path, MIXED)
    [plan] = device.built
    assert (plan.strongly_typed, plan.flags, plan.pinned) == (True, (), ())
    assert made.facts.spec.precision == MIXED


@pytest.mark.slow
@pytest.mark.parametrize("says", ["fp32", "int8", "fp16"])
def test_only_a_graph_that_mixes_them_itself_is_built_so(device: Fake, tmp_path: Path, says: str) -> None:
    with pytest.raises(PoseedgeError, match=r"by its own types|builder flags"):
        build(write_graph(tmp_path / "small.onnx", says), MIXED)


def test_mixed_graph_is_never_built_as_another_precision(device: Fake, tmp_path: Path) -> None:
    for asked in ("fp32", "fp16", "int8"):
        with pytest.raises(PoseedgeError, match=f"the graph is int8-fp16 by its own types, not {asked}"):
            build(write_graph(tmp_path / "small.onnx", MIXED), asked)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "flags"), [("fp16", (FP16,)), ("int8", (FP16, INT8))])
def test_graph_that_leaves_its_precision_to_tensorrt(device: Fake, graph: Path, precision: str, flags: tuple[str, ...]) -> None:
    if device.release >= (11, 0):
        with pytest.raises(PoseedgeError, match=f"takes precision from the graph alone, and this graph is fp32, not {precision}"):
            build(graph, precision)
        return
    engine = build(graph, precision).path
    [plan] = device.built
    assert (plan.strongly_typed, plan.flags) == (False, (*flags, OBEY))
    assert set(plan.pinned) == {"choose", "lift"}  # what reads raw coordinates
    windows = keypoints(4)
    np.testing.assert_allclose(load(engine)(windows), expected(graph, windows), atol=0.02)


@pytest.mark.parametrize(("says", "asked"), [("int8", "fp16"), ("fp16", "fp32"), ("fp16", "int8")])
def test_graph_of_another_precision_is_refused(some_device: Fake, tmp_path: Path, says: str, asked: str) -> None:
    with pytest.raises(PoseedgeError, match=f"the graph is {says} by its own types, not {asked}"):
        build(write_graph(tmp_path / "small.onnx", says), asked)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_products_that_stay_in_fp32_are_not_rounded_to_tf32(device: Fake, tmp_path: Path, precision: str) -> None:
    graph = write_graph(tmp_path / "small.onnx") if precision == "fp32" else raw_product_kept(tmp_path / "kept.onnx")
    windows = keypoints(4)
    wanted = expected(graph, windows)
    if precision == "fp16" and not strong(device):
        wanted = wanted.astype(np.float16).astype(np.float32)  # as flags allow what is not held
    np.testing.assert_array_equal(load(build(graph, precision).path)(windows), wanted)


def raw_product_kept(path: Path) -> Path:
    """Write a half precision graph whose first product, of raw coordinates, stays in FP32."""
    model = onnx.load(write_graph(path, "fp16"))
    enter, choose, lift, *rest = (onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node)
    matrix = next(tensor for tensor in model.graph.initializer if tensor.name == "matrix")
    matrix.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(matrix).astype(np.float32), "matrix"))
    choose.input[0], lift.output[0] = "keypoints", "raw"
    enter.input[0], enter.output[0] = "raw", "turned"
    del model.graph.node[:]
    model.graph.node.extend([choose, lift, enter, *rest])
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(("capability", "board"), [((5, 3), "Jetson Nano"), ((6, 2), "Jetson TX2")])
def test_int8_is_refused_where_there_is_no_hardware_for_it(
    install_tensorrt: Install, graph: Path, capability: tuple[int, int], board: str
) -> None:
    install_tensorrt("8.2.1.8", Gpu(capability))
    with pytest.raises(PoseedgeError, match=f"{board} .* has no INT8 hardware"):
        build(graph, "int8")


def test_an_int8_graph_without_its_bundle_is_held_where_it_reads_raw_coordinates(device: Fake, tmp_path: Path) -> None:
    build(write_graph(tmp_path / "small.onnx", "int8"), "int8")
    [plan] = device.built
    assert set(plan.pinned) == (set() if strong(device) else {"choose", "lift"})


def test_decomposed_layer_norm_stays_in_fp32_under_weak_typing(device: Fake, tmp_path: Path) -> None:
    if device.release >= (11, 0):
        return  # no weak typing
    build(normalized_graph(tmp_path / "norm.onnx"), "fp16")
    [plan] = device.built
    assert set(plan.pinned) == {"mean", "difference", "square", "variance", "steady", "deviation", "normed"}
    assert OBEY in plan.flags


def test_nodes_that_are_not_found_again_are_told(some_device: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from poseedge.device.runner.engine import pins

    monkeypatch.setattr(pins, "NEVER_PINNED", ("REDUCE",))
    assert build(normalized_graph(tmp_path / "norm.onnx"), "fp16").said == [
        "only 5 of 7 nodes that should stay in FP32 were found"
    ]


def test_what_a_half_graph_keeps_in_float32_stays_so_under_weak_typing(device: Fake, tmp_path: Path) -> None:
    model = onnx.load(write_graph(tmp_path / "half.onnx", "fp16"))
    model.graph.node[0].input[0] = "twice"
    model.graph.node.insert(0, helper.make_node("Add", ["keypoints", "keypoints"], ["twice"], name="kept"))
    onnx.save(model, tmp_path / "half.onnx")
    build(tmp_path / "half.onnx", "fp16")
    [plan] = device.built
    assert plan.pinned == (() if strong(device) else ("kept",))
