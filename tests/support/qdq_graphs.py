"""Layers between QuantizeLinear and DequantizeLinear, as TensorRT wants them and bent in many ways."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from poseedge.arrays import AnyArray
from tests.support.small_graphs import F16, F32, WEIGHT, make_model, node

ZERO = np.array(0, np.int8)
SCALE = np.array(0.02, np.float32)


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


def channels_of_activation() -> onnx.ModelProto:
    """Return a layer whose input has a scale for each channel."""
    return quantized(scale=np.full(32, 0.02, np.float32), zero=np.zeros(32, np.int8))


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
