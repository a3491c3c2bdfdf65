"""One deliberately bad graph per rule: what a person might bring, as small as it can be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from poseedge.arrays import AnyArray
from poseedge.graph.metadata import GraphMetadata

F32, F16, F64, I64, U8, BOOL = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.BOOL,
)
WEIGHT = np.linspace(-1, 1, 32 * 48, dtype=np.float32).reshape(32, 48)
ZERO = np.array(0, np.int8)
SCALE = np.array(0.02, np.float32)
node = helper.make_node


@dataclass(frozen=True)
class Bad:
    """A graph, the target that it is bad for, and what the rule must say of it."""

    model: Callable[[], onnx.ModelProto]
    says: str
    target: str = "default"
    severity: str = "error"
    outside: tuple[str, ...] = ()


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


def quantized(
    weight: AnyArray = WEIGHT,
    axis: int = 1,
    scales: AnyArray | None = None,
    zero: AnyArray | None = ZERO,
    scale: AnyArray = SCALE,
    rows: int = 17,
    opset: int = 17,
    extra: list[onnx.NodeProto] | None = None,
    layer: onnx.NodeProto | None = None,
    more: dict[str, AnyArray] | None = None,
) -> onnx.ModelProto:
    """Return a quantized layer; the keywords bend it. As it stands it is what TensorRT wants."""
    channels = np.ones(weight.shape[axis], np.float32) if scales is None else scales
    pair = ["s"] if zero is None else ["s", "z"]
    weights: dict[str, AnyArray] = {"s": scale, "w": weight, "ws": channels, "wz": np.zeros(channels.shape, np.int8)}
    if zero is not None:
        weights["z"] = zero
    nodes = [
        node("QuantizeLinear", ["x", *pair], ["q"], name="Q"),
        node("DequantizeLinear", ["q", *pair], ["d"], name="DQ"),
        node("QuantizeLinear", ["w", "ws", "wz"], ["wq"], name="WQ", axis=axis),
        node("DequantizeLinear", ["wq", "ws", "wz"], ["wd"], name="WDQ", axis=axis),
        layer or node("MatMul", ["d", "wd"], ["y" if extra is None else "m"], name="layer"),
        *(extra or []),
    ]
    return make_model(nodes, {**weights, **(more or {})}, (rows, 32), opset=opset)


def mixed() -> onnx.ModelProto:
    """Return the quantized layer with its product in half precision."""
    model = quantized(layer=node("MatMul", ["dh", "wh"], ["m"], name="layer"), extra=[node("Cast", ["m"], ["y"], to=F32)])
    casts = [node("Cast", [name], [f"{name[0]}h"], name=f"{name}_half", to=F16) for name in ("d", "wd")]
    for place, cast in enumerate(casts):
        model.graph.node.insert(4 + place, cast)
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model)


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


def lone_weight() -> onnx.ModelProto:
    """Return a layer whose weight is stored as INT8."""
    values: dict[str, AnyArray] = {
        "s": SCALE,
        "z": ZERO,
        "w": np.ones((32, 48), np.int8),
        "ws": np.ones(48, np.float32),
        "wz": np.zeros(48, np.int8),
    }
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="Q"),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], name="DQ"),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], name="WDQ", axis=1),
        node("MatMul", ["d", "wd"], ["y"], name="layer"),
    ]
    return make_model(nodes, values, opset=13)


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


def quantized_attention(tokens: int) -> onnx.ModelProto:
    """Return INT8 scores of that many tokens."""
    pair: dict[str, AnyArray] = {"s": SCALE, "z": ZERO}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="Q"),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], name="DQ"),
        node("Transpose", ["d"], ["t"], name="transpose", perm=[0, 1, 3, 2]),
        node("MatMul", ["d", "t"], ["y"], name="scores"),
    ]
    return make_model(nodes, pair, (1, 8, tokens, 16))


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


def channels_of_activation() -> onnx.ModelProto:
    """Return a layer whose input has a scale for each channel."""
    return quantized(scale=np.full(32, 0.02, np.float32), zero=np.zeros(32, np.int8))


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


def two_scales() -> onnx.ModelProto:
    """Return parts of two scales, concatenated."""
    nodes = []
    for part in "ab":
        nodes += [
            node("QuantizeLinear", ["x", f"{part}s", "z"], [f"{part}q"], name=f"Q{part}"),
            node("DequantizeLinear", [f"{part}q", f"{part}s", "z"], [part], name=f"DQ{part}"),
        ]
    nodes.append(node("Concat", ["a", "b"], ["y"], name="concat", axis=0))
    return make_model(nodes, {"as": SCALE, "bs": SCALE * 2, "z": ZERO})


def int32_bias() -> onnx.ModelProto:
    """Return a layer with a bias as ONNX Runtime quantizes it by default."""
    extra = [
        node("DequantizeLinear", ["bias", "bs"], ["b"], name="bias_DQ"),
        node("Add", ["m", "b"], ["y"], name="add"),
    ]
    return quantized(extra=extra, more={"bias": np.ones(48, np.int32), "bs": np.array(0.01, np.float32)})


def run_time_scale() -> onnx.ModelProto:
    """Return a layer that measures its scale."""
    nodes = [
        node("Abs", ["x"], ["a"], name="abs"),
        node("ReduceMax", ["a"], ["s"], name="max", keepdims=0),
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="Q"),
        node("DequantizeLinear", ["q", "s", "z"], ["y"], name="DQ"),
    ]
    return make_model(nodes, {"z": ZERO})


def half_scale() -> onnx.ModelProto:
    """Return Q/DQ in half precision, of opset 19."""
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="Q"),
        node("DequantizeLinear", ["q", "s", "z"], ["y"], name="DQ"),
    ]
    return make_model(nodes, {"s": SCALE.astype(np.float16), "z": ZERO}, kind=F16, out=F16, opset=19)


def half_input() -> onnx.ModelProto:
    """Return Q/DQ that reads half precision."""
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="Q"),
        node("DequantizeLinear", ["q", "s", "z"], ["y"], name="DQ"),
    ]
    return make_model(nodes, {"s": SCALE, "z": ZERO}, kind=F16, opset=13)


def leaking() -> onnx.ModelProto:
    """Return a graph that gives quantized values."""
    return make_model([node("QuantizeLinear", ["x", "s", "z"], ["y"], name="Q")], {"s": SCALE, "z": ZERO}, out=TensorProto.INT8)


def unmade() -> onnx.ModelProto:
    """Return a DequantizeLinear of a cast."""
    nodes = [
        node("Cast", ["x"], ["i"], name="cast", to=TensorProto.INT8),
        node("DequantizeLinear", ["i", "s", "z"], ["y"], name="DQ"),
    ]
    return make_model(nodes, {"s": SCALE, "z": ZERO})


def half_quantized() -> onnx.ModelProto:
    """Return a layer with a float weight behind a quantized input."""
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="Q"),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], name="DQ"),
        node("MatMul", ["d", "w"], ["y"], name="layer"),
    ]
    return make_model(nodes, {"s": SCALE, "z": ZERO, "w": WEIGHT})


def old_channels() -> onnx.ModelProto:
    """Return per-channel scales below the opset that has them."""
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], ["q"], name="Q"),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], name="DQ"),
        node("MatMul", ["x", "d"], ["y"], name="layer"),
    ]
    return make_model(nodes, {"w": WEIGHT, "s": np.ones(48, np.float32), "z": np.zeros(48, np.int8)}, opset=12)


def contradiction() -> onnx.ModelProto:
    """Return a product whose sizes do not fit."""
    return make_model([node("MatMul", ["x", "w"], ["y"], name="layer")], {"w": np.ones((5, 5), np.float32)})


BAD: dict[str, Bad] = {
    "ir-version": Bad(lambda: of_ir(9), "IR version 9; TensorRT 8.2 knows 7", "jetson-nano", "warning"),
    "opset": Bad(lambda: unary("Relu", 17), "opset 17; TensorRT 8.2 reads 7 to 13", "jetson-nano"),
    "operator": Bad(layer_norm, "TensorRT 8.5 does not read LayerNormalization", "jetson-xavier-nx"),
    "custom-operator": Bad(lambda: unary("FusedGelu", domain="com.microsoft"), "com.microsoft.FusedGelu is no standard"),
    "layer-norm-outputs": Bad(lambda: layer_norm(("y", "mean")), "mean or deviation"),
    "attention-form": Bad(lambda: attention(3), "four dimensions", "jetson-orin-nano-jp7.2"),
    "einsum-form": Bad(
        lambda: make_model([node("Einsum", ["x", "w"], ["y"], name="e", equation="...k,kn->...n")], {"w": WEIGHT}),
        "ellipsis",
        "jetson-orin-nano-jp6.0",
    ),
    "scatter-form": Bad(lambda: scattered("ScatterND", reduction="add"), "reduction add"),
    "scatter-plugin": Bad(lambda: scattered("ScatterElements", axis=0), "as a plugin", severity="warning"),
    "negative-indices": Bad(
        lambda: make_model([node("GatherElements", ["x", "i"], ["y"], name="g")], {"i": np.array([[-1]])}, opset=13),
        "negative indices",
        "jetson-tx2-jp4.6.0",
    ),
    "topk-dynamic": Bad(
        lambda: make_model([node("TopK", ["x", "k"], ["y", "i"], name="t")], ends={"k": (I64, (1,))}, opset=13),
        "computed at run time",
        "jetson-xavier-nx",
    ),
    "topk-limit": Bad(lambda: topk(3841, 4000), "TopK keeps 3841, TensorRT at most 3840"),
    "topk-integers": Bad(
        lambda: integers([node("TopK", ["i", "k"], ["y", "places"], name="t")], {"k": np.array([3])}),
        "compares integers",
        "jetson-nano",
    ),
    "topk-sorted": Bad(lambda: topk(sorted=0), "sorted = 0", "jetson-orin-nano"),
    "constant-axes": Bad(
        lambda: make_model([node("ReduceSum", ["x", "a"], ["y"], name="sum")], ends={"a": (I64, (1,))}), "axes of ReduceSum"
    ),
    "integer-reduction": Bad(
        lambda: integers([node("ReduceMax", ["i"], ["y"], name="max")]), "ReduceMax of integers", "jetson-orin-nano-jp6.0"
    ),
    "boolean-gather": Bad(
        lambda: make_model(
            [node("Cast", ["x"], ["b"], to=BOOL), node("Gather", ["b", "i"], ["y"], name="g")],
            {"i": np.array([0])},
            opset=13,
            out=BOOL,
        ),
        "Gather of booleans",
        "jetson-nano",
    ),
    "pooling-indices": Bad(
        lambda: make_model([node("MaxPool", ["x"], ["y", "i"], name="pool", kernel_shape=[2, 2])], shape=(1, 2, 8, 8)),
        "indices of MaxPool",
    ),
    "control-flow": Bad(branching, "If keeps TensorRT from fusing", severity="warning"),
    "double": Bad(lambda: make_model([node("Relu", ["x"], ["y"], name="relu")], kind=F64, out=F64), "input or output is float64"),
    "number-format": Bad(
        lambda: make_model([node("Relu", ["x"], ["y"])], kind=TensorProto.BFLOAT16, out=TensorProto.BFLOAT16),
        "bfloat16 is no format",
        "jetson-nano",
    ),
    "uint8-input": Bad(lambda: make_model([node("Cast", ["x"], ["y"], to=F32)], kind=U8, opset=13), "is uint8", "jetson-nano"),
    "int64-ends": Bad(lambda: integers([node("Identity", ["i"], ["y"])]), "becomes INT32", "jetson-nano", "warning"),
    "int64-values": Bad(
        lambda: integers([node("Add", ["i", "big"], ["y"], name="add")], {"big": np.array([2**40])}),
        "do not fit INT32",
        "jetson-nano",
    ),
    "half-overflow": Bad(
        lambda: make_model([node("Add", ["x", "mask"], ["y"])], {"mask": np.array([-np.inf], np.float16)}, kind=F16, out=F16),
        "infinities",
    ),
    "half-norm": Bad(lambda: decomposed_norm(F16), "overflows for values beyond 255", "jetson-nano", "warning"),
    "weak-typing": Bad(lambda: decomposed_norm(F16), "may overrule", "jetson-nano", "note"),
    "rest-in-float32": Bad(quantized, "outside Q/DQ this INT8 graph is float32", "jetson-thor", "note"),
    "precision-in-name": Bad(
        lambda: named(unary("Relu"), "int8"), "metadata says int8, the types amount to fp32", severity="warning"
    ),
    "int8-board": Bad(lambda: quantized(opset=13), "Maxwell (sm_53) has no INT8", "jetson-nano"),
    "mixed-typing": Bad(lambda: mixed(), "10.12 and later"),
    "qdq-uint8": Bad(lambda: quantized(zero=np.array(128, np.uint8)), "uses uint8"),
    "qdq-asymmetric": Bad(lambda: quantized(zero=np.array(-3, np.int8)), "the zero point is not 0"),
    "qdq-int32-bias": Bad(int32_bias, "a bias is quantized to INT32"),
    "qdq-zero-point": Bad(lambda: quantized(zero=None), "no zero-point input", "jetson-orin-nano-jp6.0"),
    "qdq-scale-constant": Bad(run_time_scale, "computed at run time"),
    "qdq-scale-positive": Bad(lambda: quantized(scale=np.array(0, np.float32)), "not positive"),
    "qdq-scale-type": Bad(half_scale, "is float16", "jetson-orin-nano"),
    "qdq-half-input": Bad(half_input, "reads float16", "jetson-xavier-nx-jp4.6"),
    "qdq-opset": Bad(old_channels, "at opset 12"),
    "qdq-axis": Bad(lambda: quantized(axis=0), "axis 0 of the weight of MatMul does not count output channels"),
    "qdq-activation-channels": Bad(channels_of_activation, "an activation is quantized per channel"),
    "q-without-dq": Bad(leaking, "the graph output reads quantized values"),
    "dq-without-q": Bad(unmade, "no QuantizeLinear made"),
    "dq-weights-alone": Bad(lone_weight, "stored as INT8, which TensorRT 8.2 does not read", "jetson-xavier-nx-jp4.6"),
    "qdq-narrow": Bad(lambda: quantized(WEIGHT[:, :3]), "32 deep and 3 wide", severity="warning"),
    "qdq-vector": Bad(lambda: quantized(rows=1), "matrix-vector", severity="warning"),
    "qdq-half-quantized": Bad(half_quantized, "w reaches MatMul without Q/DQ", severity="warning"),
    "qdq-attention-length": Bad(lambda: quantized_attention(600), "over 600 tokens", severity="warning"),
    "qdq-concat-scales": Bad(two_scales, "different scales", severity="warning"),
    "qdq-float-operator": Bad(
        lambda: make_model(
            [
                node("QuantizeLinear", ["x", "s", "z"], ["q"], name="Q"),
                node("DequantizeLinear", ["q", "s", "z"], ["d"], name="DQ"),
                node("Softmax", ["d"], ["y"], name="softmax"),
            ],
            {"s": SCALE, "z": ZERO},
        ),
        "Softmax reads a quantized tensor",
        severity="warning",
    ),
    "valid": Bad(contradiction, "checker refuses it"),
    "dynamic-shape": Bad(
        lambda: make_model([node("Relu", ["x"], ["y"])], shape=(1, "frames", 17, 2)), "dimensions [1]", severity="warning"
    ),
    "data-dependent-shape": Bad(
        lambda: make_model([node("NonZero", ["x"], ["y"])], out=I64), "as the data say", severity="warning"
    ),
    "rank": Bad(lambda: make_model([node("Relu", ["x"], ["y"])], shape=(1,) * 9), "9 dimensions"),
    "attention-rank": Bad(
        lambda: make_model([node("MatMul", ["x", "x"], ["y"])], shape=(1, 2, 2, 16, 16)), "five dimensions", severity="note"
    ),
    "attention-scale": Bad(scaled_scores, "scaled after the product", severity="note"),
    "external-data": Bad(
        lambda: make_model([node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT}),
        "1 weights are in another file",
        severity="warning",
        outside=("w",),
    ),
    "unused-node": Bad(
        lambda: make_model([node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["nothing"], name="abs")]),
        "nothing reads Abs",
        severity="warning",
    ),
    "unused-weight": Bad(lambda: make_model([node("Relu", ["x"], ["y"])], {"w": WEIGHT}), "1 stored tensors", severity="note"),
    "loads": Bad(contradiction, "ONNX Runtime does not open it", "cpu"),
    "fused-bias": Bad(lone_weight, "join MatMul and Add", "cpu", "warning"),
}
