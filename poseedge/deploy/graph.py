"""Small helpers on ONNX graphs that tracing, precision and quantization share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from poseedge.errors import ArtefactError
from poseedge.files import atomic_write
from poseedge.metadata import GraphMetadata

Array = npt.NDArray[np.float32]
Evaluate = Callable[[Array], list[npt.NDArray[Any]]]


def evaluator(model: onnx.ModelProto, outputs: list[str] | None = None, optimize: bool = False) -> Evaluate:
    """Return a function from keypoints to outputs, computed by ONNX Runtime exactly as the graph is written."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    return lambda keypoints: session.run(outputs, {source: keypoints})


def run_graph(model: onnx.ModelProto, keypoints: Array) -> npt.NDArray[Any]:
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


def load_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file; raises ``ArtefactError`` for anything else."""
    if not path.is_file() or path.suffix != ".onnx":
        raise ArtefactError(f"{path}: no ONNX file", "name an .onnx file, such as the fp32 graph of a bundle")
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf raises types of its own
        raise ArtefactError(f"{path}: cannot be read ({error})", "is it truncated? export or copy it again") from error


def save_graph(model: onnx.ModelProto, metadata: GraphMetadata, path: Path) -> None:
    """Check ``model``, put ``metadata`` in, and write it as one file with its weights inside."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata.to_props())
    model.producer_name, model.producer_version = "poseedge", metadata.version
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
