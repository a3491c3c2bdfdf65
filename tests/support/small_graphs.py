"""Graphs of few nodes, from ``x`` to ``y``, as small as they can be."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.arrays import AnyArray
from poseedge.graph.metadata import GraphMetadata

F32, F16, I64, BOOL = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.BOOL
WEIGHT = np.linspace(-1, 1, 32 * 48, dtype=np.float32).reshape(32, 48)
node = helper.make_node


def make_model(
    nodes: list[onnx.NodeProto],
    weights: dict[str, AnyArray] | None = None,
    shape: tuple[int | str, ...] = (17, 32),
    kind: int = F32,
    opset: int = 17,
    out: int = F32,
    ends: dict[str, tuple[int, tuple[int, ...]]] | None = None,
) -> onnx.ModelProto:
    """Return a graph from ``x`` to ``y``; ``ends`` are further inputs."""
    inputs = {"x": (kind, shape), **(ends or {})}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "bad",
            [helper.make_tensor_value_info(name, *end) for name, end in inputs.items()],
            [helper.make_tensor_value_info("y", out, None)],
            [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)],
        ir_version=8,
    )
    with contextlib.suppress(onnx.shape_inference.InferenceError):
        return onnx.shape_inference.infer_shapes(model)
    return model


def topk(kept: int = 8, size: int = 32, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    """Return the largest ``kept`` of ``size``."""
    nodes = [node("TopK", ["x", "k"], ["y", "places"], name="topk", **attributes)]
    return make_model(nodes, {"k": np.array([kept], np.int64)}, (1, size), opset=opset)


def named(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """Return ``model`` with metadata that say ``precision``."""
    helper.set_model_props(model, GraphMetadata("sample", {}, precision, (0,), "0" * 64, "0").to_props())
    return model


def of_ir(version: int) -> onnx.ModelProto:
    """Return a graph in a newer file format."""
    model = unary("Relu", 13)
    model.ir_version = version
    return model


def decomposed_norm(kind: int) -> onnx.ModelProto:
    """Return a layer normalisation of opset 13 in the given type."""
    half = np.float16 if kind == F16 else np.float32
    nodes = [
        node("ReduceMean", ["x"], ["mean"], name="mean", axes=[-1]),
        node("Sub", ["x", "mean"], ["difference"], name="difference"),
        node("Pow", ["difference", "two"], ["squares"], name="squares"),
        node("ReduceMean", ["squares"], ["variance"], name="variance", axes=[-1]),
        node("Add", ["variance", "epsilon"], ["shifted"], name="shifted"),
        node("Sqrt", ["shifted"], ["deviation"], name="deviation"),
        node("Div", ["difference", "deviation"], ["y"], name="norm"),
    ]
    return make_model(nodes, {"two": np.array(2, half), "epsilon": np.array(1e-5, half)}, kind=kind, out=kind, opset=13)


def unary(kind: str, opset: int = 17, domain: str = "", **attributes: Any) -> onnx.ModelProto:
    """Return one operator on ``x``."""
    return make_model([node(kind, ["x"], ["y"], name="bad", domain=domain, **attributes)], opset=opset)


def layer_norm(outputs: tuple[str, ...] = ("y",)) -> onnx.ModelProto:
    """Return LayerNormalization as an operator."""
    return make_model([node("LayerNormalization", ["x", "w"], list(outputs), name="norm")], {"w": np.ones(32, np.float32)})


def attention(rank: int) -> onnx.ModelProto:
    """Return the operator of opset 23 on ``rank`` dimensions."""
    heads: dict[str, Any] = {"q_num_heads": 2, "kv_num_heads": 2} if rank == 3 else {}
    shape = (1, 17, 32) if rank == 3 else (1, 2, 17, 16)
    return make_model([node("Attention", ["x", "x", "x"], ["y"], name="attention", **heads)], shape=shape, opset=23)


def scaled_scores() -> onnx.ModelProto:
    """Return attention scores scaled after the product."""
    nodes = [
        node("Transpose", ["x"], ["t"], name="transpose", perm=[0, 1, 3, 2]),
        node("MatMul", ["x", "t"], ["m"], name="scores"),
        node("Mul", ["m", "c"], ["scaled"], name="scale"),
        node("Softmax", ["scaled"], ["y"], name="softmax"),
    ]
    return make_model(nodes, {"c": np.array(0.25, np.float32)}, (1, 2, 17, 16))


def scattered(kind: str, **attributes: Any) -> onnx.ModelProto:
    """Return an indexed assignment."""
    places = np.zeros((1, 1), np.int64) if kind == "ScatterND" else np.zeros((1, 32), np.int64)
    return make_model(
        [node(kind, ["x", "i", "u"], ["y"], name="bad", **attributes)], {"i": places, "u": np.ones((1, 32), np.float32)}
    )


def integers(nodes: list[onnx.NodeProto], weights: dict[str, AnyArray] | None = None, out: int = I64) -> onnx.ModelProto:
    """Return a graph that casts ``x`` to INT64 ``i`` first."""
    return make_model([node("Cast", ["x"], ["i"], name="cast", to=I64), *nodes], weights, opset=13, out=out)


def branching() -> onnx.ModelProto:
    """Return a choice between two constants at run time."""
    bodies = []
    for name, value in (("then", 1.0), ("else", 0.0)):
        constant = node("Constant", [], [name], value=numpy_helper.from_array(np.array([value], np.float32)))
        bodies.append(helper.make_graph([constant], name, [], [helper.make_tensor_value_info(name, F32, (1,))]))
    choose = node("If", ["flag"], ["y"], name="if", then_branch=bodies[0], else_branch=bodies[1])
    nodes = [
        node("ReduceMax", ["x"], ["m"], name="max", keepdims=0),
        node("Cast", ["m"], ["flag"], name="cast", to=BOOL),
        choose,
    ]
    return make_model(nodes)


def contradiction() -> onnx.ModelProto:
    """Return a product whose sizes do not fit."""
    return make_model([node("MatMul", ["x", "w"], ["y"], name="layer")], {"w": np.ones((5, 5), np.float32)})
