"""Nodes and names of a graph: small questions that every pass asks."""

from __future__ import annotations

from collections.abc import Container, Iterator
from fnmatch import fnmatchcase
from typing import Any

from onnx import NodeProto, TensorProto, helper

from poseedge.errors import PoseedgeError, nearest

STANDARD = ("", "ai.onnx")  # the names of ONNX's own operator set
# Beginnings of the operators that compute in integers, or round to them and back.
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "DynamicQuantizeMatMul", "MatMulInteger", "ConvInteger")
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """Return an attribute's value, text as ``str``."""
    for item in node.attribute:
        if item.name == name:
            value = helper.get_attribute_value(item)
            return value.decode() if isinstance(value, bytes) else value
    return default


def casts_to(node: NodeProto, kind: int) -> bool:
    """Say whether ``node`` casts to this type."""
    return node.op_type == "Cast" and attribute(node, "to") == kind


def tensors_read(node: NodeProto) -> Iterator[str]:
    """Yield the tensors that ``node`` reads, those that its bodies (of If, Loop, Scan) read from outside included."""
    yield from filter(None, node.input)
    for item in node.attribute:
        for body in (*item.graphs, *([item.g] if item.HasField("g") else [])):
            own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
            own.update(name for inner in body.node for name in inner.output)
            yield from (name for inner in body.node for name in tensors_read(inner) if name not in own)
            yield from (value.name for value in body.output if value.name not in own)


def unique(name: str, taken: Container[str]) -> str:
    """Return ``name``, numbered if it is taken."""
    number = 2
    candidate = name
    while candidate in taken:
        candidate, number = f"{name}#{number}", number + 1
    return candidate


def label(node: NodeProto) -> str:
    """Return what a person finds the node by."""
    return node.name or (node.output[0] if node.output else node.op_type)


def type_name(kind: int) -> str:
    """Return ``float16`` for 10."""
    return TensorProto.DataType.Name(kind).lower()


def matches(name: str, patterns: list[str] | tuple[str, ...]) -> bool:
    """Say whether ``name`` fits one of the shell-style ``patterns``; of a joined layer, ``a+b``, whether a part does."""
    return any(fnmatchcase(part, pattern) for part in {name, *name.split("+")} for pattern in patterns)


def check_patterns(patterns: list[str], names: list[str], message: str) -> None:
    """Raise ``PoseedgeError`` for the first pattern that fits none of the ``names``."""
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in names):
            raise PoseedgeError(f"{message} {pattern!r}", nearest(pattern, names))
