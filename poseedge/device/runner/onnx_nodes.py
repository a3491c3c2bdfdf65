"""The nodes and metadata of an ONNX file, read from its bytes: JetPack brings no onnx."""

from typing import Any, Dict, Iterator, List, Tuple


def node_names(model: bytes) -> List[Tuple[str, str]]:
    """Return (name, operator) of a serialized ONNX model's nodes: JetPack brings no onnx, TensorRT 8 gives only numbers."""
    nodes = []
    for graph in (value for field, value in message_fields(memoryview(model)) if field == 7):  # ModelProto.graph
        for node in (value for field, value in message_fields(graph) if field == 1):  # GraphProto.node
            texts = {field: text_of(value) for field, value in message_fields(node) if field in (3, 4)}
            nodes.append((texts.get(3, ""), texts.get(4, "")))  # NodeProto.name, .op_type
    return nodes


def model_metadata(model: bytes) -> Dict[str, str]:
    """Return the metadata of a serialized ONNX model."""
    entries = [dict(message_fields(value)) for field, value in message_fields(memoryview(model)) if field == 14]
    return {text_of(entry.get(1, b"")): text_of(entry.get(2, b"")) for entry in entries}  # StringStringEntryProto.key, .value


def text_of(value: Any) -> str:
    """Return the text that a field of a protobuf message holds."""
    return bytes(value).decode("utf-8", "replace")


def message_fields(message: Any) -> Iterator[Tuple[int, Any]]:
    """Yield (number, bytes) of the length-delimited fields of a protobuf message."""
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        size = {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 in (0, 2):
            value, at = read_varint(message, at)
            size = value if key & 7 == 2 else 0
        if key & 7 == 2:
            yield key >> 3, message[at : at + size]
        at += size


def read_varint(message: Any, at: int) -> Tuple[int, int]:
    """Return the protobuf integer at ``at`` and where it ends."""
    value, shift = 0, 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
