"""Rules on shapes and on what the file holds beside the network."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from poseedge.targets.boards import Target
from poseedge.targets.preflight.rules import Issue, rule
from poseedge.targets.preflight.view import View

MAX_RANK = 8
FUSED_ATTENTION = "TensorRT 11.x documentation, Fused Attention"
DATA_DEPENDENT = ("NonZero", "Unique", "Compress", "NonMaxSuppression")


@rule("valid", "error", "onnx.checker", runtime="any")
def valid(view: View, target: Target) -> Iterator[Issue]:
    """The graph is valid ONNX."""
    try:
        onnx.checker.check_model(view.model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first = str(error).strip().splitlines()[0]
        yield Issue("", f"ONNX's own checker refuses it: {first}", "export it again")


@rule("dynamic-shape", "warning", "TensorRT: every dynamic dimension needs an optimization profile")
def dynamic_shape(view: View, target: Target) -> Iterator[Issue]:
    """No dimension of an input is free but the batch."""
    for value in view.model.graph.input:
        free = [place for place, dim in enumerate(value.type.tensor_type.shape.dim) if not dim.dim_value]
        if any(place > 0 for place in free):
            fix = "fix frames, joints and channels at export; poseedge's builder gives a profile to the batch alone"
            yield Issue(value.name, f"dimensions {[place for place in free if place]} of this input are free", fix)


@rule("data-dependent-shape", "warning", "TensorRT: data-dependent shapes allocate at run time and break CUDA graphs")
def data_dependent_shape(view: View, target: Target) -> Iterator[Issue]:
    """No shape depends on values."""
    for node in view.of(*DATA_DEPENDENT):
        if node.output[0] not in view.constant:
            message = f"the result of {node.op_type} has as many elements as the data say"
            yield Issue(node, message, "choose a fixed number with TopK")


@rule("rank", "error", "NvInferRuntimeBase.h, Dims::MAX_DIMS")
def rank(view: View, target: Target) -> Iterator[Issue]:
    """No tensor has more than eight dimensions."""
    for name, shape in view.shapes.items():
        if len(shape) > MAX_RANK:
            yield Issue(name, f"this tensor has {len(shape)} dimensions", "join dimensions with Reshape")


@rule("attention-rank", "note", "unconfirmed; NVIDIA's fused attention takes four dimensions")
def attention_rank(view: View, target: Target) -> Iterator[Issue]:
    """Attention products have at most four dimensions."""
    for node in view.of("MatMul"):
        deep = len(view.shapes.get(node.output[0], ())) > 4
        if deep and not view.constant.intersection(node.input):
            yield Issue(node, "an attention product of five dimensions may not be fused", "fold frames or joints into the batch")


@rule("attention-scale", "note", FUSED_ATTENTION)
def attention_scale(view: View, target: Target) -> Iterator[Issue]:
    """Attention scales the queries, not the scores."""
    for softmax in view.of("Softmax"):
        scaling = view.maker(softmax.input[0], "Mul") or view.maker(softmax.input[0], "Div")
        if scaling is not None and view.maker(scaling.input[0], "MatMul") and scaling.input[1] in view.constant:
            message = "scores are scaled after the product, which TensorRT's fused attention does not match"
            yield Issue(scaling, message, "scale the queries or their weights; poseedge's fold does")


@rule("external-data", "warning", "ONNX external data; the parser needs the file's path to find it", runtime="any")
def external_data(view: View, target: Target) -> Iterator[Issue]:
    """Weights are inside the file."""
    if view.outside:
        message = f"{len(view.outside)} weights are in another file, which must travel along"
        yield Issue(view.outside[0], message, "store them inside: onnx.save(onnx.load(path), path)")


@rule("unused-node", "warning", "ONNX graph", runtime="any")
def unused_node(view: View, target: Target) -> Iterator[Issue]:
    """Every node serves an output."""
    read = view.outputs.union(name for node in view.nodes for name in node.input)
    for node in view.nodes:
        if read.isdisjoint(node.output):
            yield Issue(node, f"nothing reads {node.op_type}", "simplify the graph (onnxsim), as poseedge export does")


@rule("unused-weight", "note", "ONNX graph", runtime="any")
def unused_weight(view: View, target: Target) -> Iterator[Issue]:
    """Every stored tensor is read."""
    bodies = {item.g.name for node in view.nodes for item in node.attribute if item.HasField("g")}
    unread = [] if bodies else [name for name in view.stored if not view.readers[name] and name not in view.outputs]
    if unread:
        yield Issue(unread[0], f"{len(unread)} stored tensors are never read", "simplify the graph (onnxsim)")
