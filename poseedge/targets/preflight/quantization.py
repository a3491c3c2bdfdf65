"""Rules on Q/DQ: the form that TensorRT reads, and the places where it pays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto

from poseedge.arrays import AnyArray, Float64Array
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import FLOATS, attribute, type_name
from poseedge.graph.structure import dequantizer
from poseedge.int8.centring import weight_axis
from poseedge.int8.placement import SMALLEST
from poseedge.targets.boards import Target
from poseedge.targets.preflight.rules import Issue, rule

PARSER = "onnx-tensorrt importers of QuantizeLinear and DequantizeLinear, 8.2 to 10.x"
HEADER = "NvInfer.h, IQuantizeLayer and IDequantizeLayer"
MODEL_OPTIMIZER = "NVIDIA Model-Optimizer 0.47, onnx/quantization"
GUIDE = "TensorRT developer guide, explicit quantization"
SYMMETRIC = "calibrate with signed, symmetric INT8 (ONNX Runtime: QInt8, ActivationSymmetric, WeightSymmetric)"
ATTENTION_LENGTH = 512
FLOAT_ONLY = ("LayerNormalization", "Softmax", "Gelu", "Erf", "InstanceNormalization", "GroupNormalization")
Q, DQ = "QuantizeLinear", "DequantizeLinear"


@rule("int8-board", "error", "TensorRT support matrices by compute capability")
def int8_board(graph: Graph, target: Target) -> Iterator[Issue]:
    """INT8 goes to boards that have it."""
    if graph.quantized and "int8" not in target.precisions:
        yield Issue("", target.refusal("int8"), "take the FP16 graph, which is the fastest here")


@rule(
    "mixed-typing", "error", "TensorRT 10.12 release notes and migration guide to 11.x: strong typing in place of builder flags"
)
def mixed_typing(graph: Graph, target: Target) -> Iterator[Issue]:
    """A graph that mixes INT8 and FP16 goes to TensorRT whose every release takes precision from the graph."""
    if graph.precision == "int8-fp16" and "int8" in target.precisions and target.releases[0].typing == "weak":
        yield Issue("", target.refusal("int8-fp16"), "take the int8 graph")


@rule("qdq-uint8", "error", "onnx-tensorrt: UINT8 zero points are refused by 8.5 and 8.6, and read as INT8 by 10.x")
def qdq_uint8(graph: Graph, target: Target) -> Iterator[Issue]:
    """Quantized values are signed."""
    for node in graph.of(Q, DQ):
        zero = node.input[2] if len(node.input) > 2 else ""
        kind = graph.types.get(zero or (node.output[0] if node.op_type == Q else node.input[0]))
        if kind == TensorProto.UINT8:
            yield Issue(node, f"{node.op_type} uses uint8" + ("" if zero else " (its default without a zero point)"), SYMMETRIC)


@rule("qdq-asymmetric", "error", PARSER)
def qdq_asymmetric(graph: Graph, target: Target) -> Iterator[Issue]:
    """Zero points are zero."""
    for node in graph.of(Q, DQ):
        zero = graph.value(node.input[2]) if len(node.input) > 2 else None
        if zero is not None and zero.dtype != np.uint8 and zero.any():
            yield Issue(node, "the zero point is not 0", SYMMETRIC)


@rule("qdq-int32-bias", "error", PARSER)
def qdq_int32_bias(graph: Graph, target: Target) -> Iterator[Issue]:
    """Biases stay float: DequantizeLinear of INT32 is not read."""
    for node in graph.of(DQ):
        if graph.types.get(node.input[0]) == TensorProto.INT32:
            fix = "leave biases float (ONNX Runtime: QuantizeBias=False)"
            yield Issue(node, "a bias is quantized to INT32", fix)


@rule("qdq-zero-point", "error", "onnx-tensorrt importers 8.0 to 8.6: INT8 needs the zero-point input")
def qdq_zero_point(graph: Graph, target: Target) -> Iterator[Issue]:
    """Before TensorRT 9, Q and DQ state their zero point."""
    if target.oldest >= (9,):
        return
    for node in graph.of(Q, DQ):
        if len(node.input) < 3 or not node.input[2]:
            yield Issue(node, f"{node.op_type} has no zero-point input", "give it an INT8 zero")


@rule("qdq-scale-constant", "error", HEADER)
def qdq_scale_constant(graph: Graph, target: Target) -> Iterator[Issue]:
    """Scales are known at build time."""
    for node in graph.of(Q, DQ):
        if node.input[1] not in graph.constant:
            yield Issue(node, f"the scale of {node.op_type} is computed at run time", "use static quantization")


@rule("qdq-scale-positive", "error", HEADER)
def qdq_scale_positive(graph: Graph, target: Target) -> Iterator[Issue]:
    """Scales are positive and finite."""
    for node in graph.of(Q, DQ):
        scale = numbers(graph.value(node.input[1]))
        if scale is not None and not (np.isfinite(scale) & (scale > 0)).all():
            yield Issue(
                node,
                f"a scale of {node.op_type} is not positive",
                "calibrate on data that moves; a channel of zeros gets scale 1",
            )


@rule("qdq-scale-type", "error", HEADER + ": FP32 scales")
def qdq_scale_type(graph: Graph, target: Target) -> Iterator[Issue]:
    """Scales are float32; half ones are for strong typing alone."""
    for node in graph.of(Q, DQ):
        kind = graph.types.get(node.input[1], TensorProto.FLOAT)
        if kind != TensorProto.FLOAT:
            strong = target.releases[0].typing != "weak" and kind in FLOATS
            message = f"the scale of {node.op_type} is {type_name(kind)}"
            yield Issue(node, message, "make it float32, and cast after DequantizeLinear", "note" if strong else "error")


@rule("qdq-half-input", "error", "NvInfer.h 8.2: the input of IQuantizeLayer is FP32")
def qdq_half_input(graph: Graph, target: Target) -> Iterator[Issue]:
    """Up to TensorRT 8.2, what is quantized is float32."""
    if target.oldest >= (8, 4):
        return
    for node in graph.of(Q):
        if graph.types.get(node.input[0]) == TensorProto.FLOAT16:
            yield Issue(
                node, "QuantizeLinear reads float16", "put Q/DQ into the FP32 graph; the builder's FP16 flag does the rest"
            )


@rule("qdq-opset", "error", "ONNX: axis of QuantizeLinear is new in opset 13")
def qdq_opset(graph: Graph, target: Target) -> Iterator[Issue]:
    """Per-channel Q/DQ needs opset 13."""
    for node in graph.of(Q, DQ):
        if graph.opset < 13 and len(graph.shapes.get(node.input[1], ())) == 1 and graph.shapes[node.input[1]] != (1,):
            yield Issue(node, f"per-channel {node.op_type} at opset {graph.opset}", "export at opset 13 or above")


@rule("qdq-axis", "error", PARSER)
def qdq_axis(graph: Graph, target: Target) -> Iterator[Issue]:
    """A weight has one scale for each output channel, along the axis that counts them."""
    for node in graph.of(Q, DQ):
        scale, values = graph.shapes.get(node.input[1], ()), graph.shapes.get(node.input[0])
        if not values or node.input[0] not in graph.constant or scale in ((), (1,)):
            continue
        axis = attribute(node, "axis", 1)
        axis += len(values) if axis < 0 else 0
        if axis >= len(values) or scale != (values[axis],):
            yield Issue(node, f"{scale} scales do not fit axis {axis} of a weight {values}", "one scale for each output channel")
            continue
        for layer in _weight_readers(graph, node):
            if axis != (wanted := 0 if layer.op_type == "Conv" else weight_axis(layer)):
                message = f"axis {axis} of the weight of {layer.op_type} does not count output channels"
                yield Issue(node, message, f"use axis {wanted}")


def _weight_readers(graph: Graph, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield the layers that read a Q or DQ node's output as their weight, through the DQ after a Q and the Cast after a DQ."""
    for reader in graph.readers[node.output[0]]:
        if reader.op_type == (DQ if node.op_type == Q else "Cast"):
            yield from _weight_readers(graph, reader)
    yield from (layer for layer, place in products_reading(graph, node.output[0]) if place == 1)


@rule("qdq-activation-channels", "error", GUIDE)
def qdq_activation_channels(graph: Graph, target: Target) -> Iterator[Issue]:
    """An activation has one scale."""
    for node in graph.of(Q, DQ):
        if node.input[0] not in graph.constant and graph.shapes.get(node.input[1], ()) not in ((), (1,)):
            fix = "use one scale, and move differences between channels into the weights (SmoothQuant) or the norm before"
            yield Issue(node, "an activation is quantized per channel", fix)


@rule("q-without-dq", "error", GUIDE)
def q_without_dq(graph: Graph, target: Target) -> Iterator[Issue]:
    """What is quantized is dequantized before anything else reads it, and before it leaves the graph."""
    for node in graph.of(Q):
        others = [reader.op_type for reader in graph.readers[node.output[0]] if reader.op_type != DQ]
        if others or node.output[0] in graph.outputs:
            message = f"{', '.join(sorted(set(others))) or 'the graph output'} reads quantized values without DequantizeLinear"
            yield Issue(node, message, "follow every QuantizeLinear by a DequantizeLinear")


@rule("dq-without-q", "error", GUIDE)
def dq_without_q(graph: Graph, target: Target) -> Iterator[Issue]:
    """What is dequantized is a stored weight, or was quantized just before."""
    for node in graph.of(DQ):
        if node.input[0] not in graph.constant and graph.maker(node.input[0], Q) is None:
            yield Issue(node, "DequantizeLinear reads what no QuantizeLinear made", "put a QuantizeLinear before it")


@rule("dq-weights-alone", "error", "NVIDIA/TensorRT #2163 and #2604; trt-engine-explorer up to 9.3: no INT8 weights")
def dq_weights_alone(graph: Graph, target: Target) -> Iterator[Issue]:
    """Before TensorRT 10, weights are stored as float, with Q and DQ: INT8 ones do not parse up to 8.4, or are unproven."""
    lone = [node for node in graph.of(DQ) if node.input[0] in graph.stored and graph.types[node.input[0]] == TensorProto.INT8]
    if not lone or target.reads_int8_weights:
        return
    refused = target.oldest < (8, 5)
    message = f"{len(lone)} weights are stored as INT8, which TensorRT {target.releases[0].version} "
    message += "does not read" if refused else "is not known to read"
    fix = f"write float weights that become the same integers: export --target {target.name}, or quantize --float-weights"
    yield Issue(lone[0], message, fix, "error" if refused else "warning")


@rule("qdq-narrow", "warning", MODEL_OPTIMIZER + ": K < 16 or N < 16")
def qdq_narrow(graph: Graph, target: Target) -> Iterator[Issue]:
    """Quantized products are at least 16 deep and wide."""
    for node, operands in _quantized_products(graph):
        sizes = [graph.shapes[name][-2:] for name in operands if len(graph.shapes.get(name, ())) > 1]
        if node.op_type == "Conv" or len(sizes) < 2:
            continue
        depth, width = (sizes[1][1], sizes[1][0]) if attribute(node, "transB") else sizes[1]
        if min(depth, width) < SMALLEST:
            message = f"INT8 on a product of {depth} deep and {width} wide is slower than float"
            yield Issue(node, message, f"leave layers narrower than {SMALLEST} float")


@rule("qdq-vector", "warning", MODEL_OPTIMIZER + ": no Q/DQ on a matrix-vector product")
def qdq_vector(graph: Graph, target: Target) -> Iterator[Issue]:
    """Quantized products have more than one row."""
    for node, _ in _quantized_products(graph):
        shape = graph.shapes.get(node.output[0], ())
        if node.op_type != "Conv" and len(shape) > 1 and 1 in (int(np.prod(shape[:-1])), shape[-1]):
            yield Issue(node, "INT8 on a matrix-vector product", "leave it float, or lift several windows at once")


@rule("qdq-half-quantized", "warning", GUIDE + ": a layer runs in INT8 if all its data inputs come through DQ")
def qdq_half_quantized(graph: Graph, target: Target) -> Iterator[Issue]:
    """Both operands of a product are quantized, or neither is."""
    for node, operands in operands_of_products(graph):
        through = [dequantizer(graph, name) is not None for name in operands]
        if any(through) and not all(through):
            missing = operands[through.index(False)]
            yield Issue(
                node, f"{missing} reaches {node.op_type} without Q/DQ, so it runs in float", "quantize both operands, or neither"
            )


@rule("qdq-attention-length", "warning", MODEL_OPTIMIZER + ": no INT8 attention beyond 512 tokens")
def qdq_attention_length(graph: Graph, target: Target) -> Iterator[Issue]:
    """Attention over more than 512 tokens stays float."""
    for node, operands in _quantized_products(graph):
        longest = max((max(graph.shapes.get(name, (0,))[-2:]) for name in (*operands, node.output[0])), default=0)
        if not graph.constant.intersection(operands) and longest > ATTENTION_LENGTH:
            yield Issue(node, f"INT8 attention over {longest} tokens finds no fused kernel", "leave the attention products float")


@rule("qdq-concat-scales", "warning", MODEL_OPTIMIZER + ", concat_elimination")
def qdq_concat_scales(graph: Graph, target: Target) -> Iterator[Issue]:
    """What is concatenated after DQ has one scale."""
    for node in graph.of("Concat"):
        sources = [dequantizer(graph, name) for name in node.input]
        scales = {float(s.flat[0]) for d in sources if d and (s := numbers(graph.value(d.input[1]))) is not None}
        if all(sources) and len(scales) > 1:
            yield Issue(
                node, "parts with different scales are concatenated, which costs requantizing copies", "give them one scale"
            )


@rule("qdq-float-operator", "warning", "TensorRT computes norms, softmax and GELU in float")
def qdq_float_operator(graph: Graph, target: Target) -> Iterator[Issue]:
    """Norms, softmax and GELU read float tensors."""
    for node in graph.of(*FLOAT_ONLY):
        if dequantizer(graph, node.input[0]):
            yield Issue(node, f"{node.op_type} reads a quantized tensor and computes in float", "let it read the float tensor")


def operands_of_products(graph: Graph) -> Iterator[tuple[onnx.NodeProto, list[str]]]:
    """Yield every matrix product and convolution with the names of its two operands."""
    for node in graph.of("MatMul", "Gemm", "Conv"):
        yield node, list(node.input[:2])


def products_reading(graph: Graph, name: str) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Yield the products that read ``name``, and as which operand."""
    for node in graph.readers[name]:
        if node.op_type in ("MatMul", "Gemm", "Conv") and name in node.input[:2]:
            yield node, list(node.input).index(name)


def numbers(array: AnyArray | None) -> Float64Array | None:
    """Return ``array`` as float64, or None."""
    return None if array is None else np.asarray(array, np.float64)


def _quantized_products(graph: Graph) -> Iterator[tuple[onnx.NodeProto, list[str]]]:
    """Yield the products whose operands both come through DequantizeLinear."""
    for node, operands in operands_of_products(graph):
        if all(dequantizer(graph, name) for name in operands):
            yield node, operands
