"""One deliberately bad graph per rule: what a person might bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from tests.support.qdq_graphs import (
    SCALE,
    ZERO,
    channels_of_activation,
    half_input,
    half_quantized,
    half_scale,
    int32_bias,
    leaking,
    lone_weight,
    mixed,
    old_channels,
    quantized,
    quantized_attention,
    run_time_scale,
    two_scales,
    unmade,
)
from tests.support.small_graphs import (
    BOOL,
    F16,
    F32,
    I64,
    WEIGHT,
    attention,
    branching,
    contradiction,
    decomposed_norm,
    integers,
    layer_norm,
    make_model,
    named,
    node,
    of_ir,
    scaled_scores,
    scattered,
    topk,
    unary,
)

F64, U8 = TensorProto.DOUBLE, TensorProto.UINT8


@dataclass(frozen=True)
class Bad:
    """A graph, the target that it is bad for, and what the rule must say of it."""

    model: Callable[[], onnx.ModelProto]
    says: str
    target: str = "default"
    severity: str = "error"
    outside: tuple[str, ...] = ()


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
