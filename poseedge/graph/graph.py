"""Small helpers on ONNX graphs that tracing, precision and quantization share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import onnx

from poseedge.arrays import AnyArray, Float32Array
from poseedge.errors import ArtefactError, PoseedgeError, nearest
from poseedge.files import atomic_write
from poseedge.graph.metadata import GraphMetadata
from poseedge.graph.session import open_session, session_options

Shape = tuple[int, ...]
Evaluate = Callable[[Float32Array], list[AnyArray]]


def evaluator(model: onnx.ModelProto, outputs: list[str] | None = None, optimize: bool = False) -> Evaluate:
    """Return a function from keypoints to outputs, computed by ONNX Runtime exactly as the graph is written."""
    session = open_session(model.SerializeToString(), session_options(optimize=optimize))
    source = session.get_inputs()[0].name
    return lambda keypoints: session.run(outputs, {source: keypoints})


def run_graph(model: onnx.ModelProto, keypoints: Float32Array) -> AnyArray:
    """Return the graph's first output."""
    return evaluator(model)(keypoints)[0]


def initializers(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Return the weights by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def consumers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """Return, for each tensor name, the nodes that read it."""
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    return readers


def makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Return, for each tensor name, the node that makes it."""
    return {name: node for node in model.graph.node for name in node.output}


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operator set."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain == "")


def linear_layers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Return the MatMul and Gemm nodes whose second input is a two-dimensional weight, by layer name.

    The layer name is the weight's name without ``.weight``, such as ``spatial.0.mlp.fc1``.
    """
    weights = initializers(model)
    layers: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        if node.op_type in {"MatMul", "Gemm"} and len(weights.get(node.input[1], onnx.TensorProto()).dims) == 2:
            layers[unique(node.input[1].removesuffix(".weight"), layers)] = node
    return layers


def single_window(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with a free batch set to one, and without the shapes that were written for the free one."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for value in copy.graph.input:
        if value.type.tensor_type.shape.dim and not value.type.tensor_type.shape.dim[0].dim_value:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    return copy


def infer_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Return all shapes that are known without running the graph."""
    return known_shapes(onnx.shape_inference.infer_shapes(model, data_prop=True).graph)


def known_shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    """Return the shapes that ``graph`` states and that have no free dimension."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor_type = value.type.tensor_type
        if tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor_type.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in tensor_type.shape.dim)
    return shapes


def constant_names(graph: onnx.GraphProto) -> set[str]:
    """Return the tensors that do not depend on the graph's input: weights, and what is computed from them alone."""
    constant = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if all(name in constant for name in node.input if name):
            constant.update(node.output)
    return constant


def unique(name: str, taken: dict[str, Any]) -> str:
    """Return ``name``, numbered if it is taken: two layers may share one weight."""
    number = 2
    candidate = name
    while candidate in taken:
        candidate, number = f"{name}#{number}", number + 1
    return candidate


def matches(name: str, patterns: list[str] | tuple[str, ...]) -> bool:
    """Say whether ``name`` fits one of the shell-style ``patterns``."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def store_constants(model: onnx.ModelProto) -> None:
    """Turn Constant nodes into initializers, where every later step looks for weights."""
    constants = [node for node in model.graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]
    for node in constants:
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        model.graph.node.remove(node)


def load_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file; raises ``ArtefactError`` for anything else."""
    if not path.is_file() or path.suffix != ".onnx":
        raise ArtefactError(f"{path}: no ONNX file", "name .onnx files, such as those of a bundle")
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf raises types of its own
        raise ArtefactError(f"{path}: cannot be read ({error})", "is it truncated? export or copy it again") from error


def check_patterns(patterns: list[str], names: list[str], message: str) -> None:
    """Raise ``PoseedgeError`` for the first pattern that fits none of the ``names``."""
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in names):
            raise PoseedgeError(f"{message} {pattern!r}", nearest(pattern, names))


def save_graph(model: onnx.ModelProto, metadata: GraphMetadata, path: Path) -> None:
    """Check ``model``, put ``metadata`` in, and write it as one file with its weights inside."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata.to_props())
    model.producer_name, model.producer_version = "poseedge", metadata.version
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def with_outputs(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """Return a copy of ``model`` that also gives the tensors ``names``."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    given = {value.name for value in copy.graph.output} | {value.name for value in copy.graph.input}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    return copy
