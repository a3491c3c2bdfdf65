"""Rules on shapes and on what the file holds beside the network."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from poseedge.graph.graph import Graph
from poseedge.targets.boards import Target
from poseedge.targets.preflight.rules import Issue, rule

MAX_RANK = 8
FUSED_ATTENTION = "TensorRT 11.x documentation, Fused Attention"
DATA_DEPENDENT = ("NonZero", "Unique", "Compress", "NonMaxSuppression")


@rule("valid", "error", "onnx.checker", runtime="any")
def valid(graph: Graph, target: Target) -> Iterator[Issue]:
    """The graph is valid ONNX."""
    try:
        onnx.checker.check_model(graph.proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first = str(error).strip().splitlines()[0]
        yield Issue("", f"ONNX's own checker refuses it: {first}", "export it again")


@rule("dynamic-shape", "warning", "TensorRT: every dynamic dimension needs an optimization profile")
def dynamic_shape(graph: Graph, target: Target) -> Iterator[Issue]:
    """No dimension of an input is free but the batch."""
    for value in graph.proto.graph.input:
        free = [place for place, dim in enumerate(value.type.tensor_type.shape.dim) if not dim.dim_value]
        if any(place > 0 for place in free):
            fix = "fix frames, joints and channels at export; poseedge's builder gives a profile to the batch alone"
            yield Issue(value.name, f"dimensions {[place for place in free if place]} of this input are free", fix)


@rule("data-dependent-shape", "warning", "TensorRT: data-dependent shapes allocate at run time and break CUDA graphs")
def data_dependent_shape(graph: Graph, target: Target) -> Iterator[Issue]:
    """No shape depends on values."""
    for node in graph.of(*DATA_DEPENDENT):
        if node.output[0] not in graph.constant:
            message = f"the result of {node.op_type} has as many elements as the data say"
            yield Issue(node, message, "choose a fixed number with TopK")


@rule("rank", "error", "NvInferRuntimeBase.h, Dims::MAX_DIMS")
def rank(graph: Graph, target: Target) -> Iterator[Issue]:
    """No tensor has more than eight dimensions."""
    for name, shape in graph.shapes.items():
        if len(shape) > MAX_RANK:
            yield Issue(name, f"this tensor has {len(shape)} dimensions", "join dimensions with Reshape")


@rule("attention-rank", "note", "unconfirmed; NVIDIA's fused attention takes four dimensions")
def attention_rank(graph: Graph, target: Target) -> Iterator[Issue]:
    """Attention products have at most four dimensions."""
    for node in graph.of("MatMul"):
        deep = len(graph.shapes.get(node.output[0], ())) > 4
        if deep and not graph.constant.intersection(node.input):
            yield Issue(node, "an attention product of five dimensions may not be fused", "fold frames or joints into the batch")


@rule("attention-scale", "note", FUSED_ATTENTION)
def attention_scale(graph: Graph, target: Target) -> Iterator[Issue]:
    """Attention scales the queries, not the scores."""
    for softmax in graph.of("Softmax"):
        scaling = graph.maker(softmax.input[0], "Mul") or graph.maker(softmax.input[0], "Div")
        if scaling is not None and graph.maker(scaling.input[0], "MatMul") and scaling.input[1] in graph.constant:
            message = "scores are scaled after the product, which TensorRT's fused attention does not match"
            yield Issue(scaling, message, "scale the queries or their weights; poseedge's fold does")


@rule("external-data", "warning", "ONNX external data; the parser needs the file's path to find it", runtime="any")
def external_data(graph: Graph, target: Target) -> Iterator[Issue]:
    """Weights are inside the file."""
    if graph.external:
        message = f"{len(graph.external)} weights are in another file, which must travel along"
        yield Issue(graph.external[0], message, "store them inside: onnx.save(onnx.load(path), path)")


@rule("unused-node", "warning", "ONNX graph", runtime="any")
def unused_node(graph: Graph, target: Target) -> Iterator[Issue]:
    """Every node serves an output."""
    given = set(graph.outputs)
    for node in graph.nodes:
        if given.isdisjoint(node.output) and not any(graph.readers[name] for name in node.output):
            yield Issue(node, f"nothing reads {node.op_type}", "simplify the graph (onnxsim), as poseedge export does")


@rule("unused-weight", "note", "ONNX graph", runtime="any")
def unused_weight(graph: Graph, target: Target) -> Iterator[Issue]:
    """Every stored tensor is read."""
    unread = [name for name in graph.stored if not graph.readers[name] and name not in graph.outputs]
    if unread:
        yield Issue(unread[0], f"{len(unread)} stored tensors are never read", "simplify the graph (onnxsim)")
