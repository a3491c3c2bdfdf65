"""The nodes and metadata of an ONNX file, read from its bytes: JetPack brings no onnx."""

from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple


class NodeHeader(NamedTuple):
    """What is needed of a NodeProto."""

    name: str
    operator: str
    outputs: Tuple[str, ...]


def nodes_of(model: bytes) -> List[NodeHeader]:
    """Return the nodes of a serialized ONNX model in order."""
    nodes = []
    for graph in (value for field, value in message_fields(memoryview(model)) if field == 7):  # ModelProto.graph
        for node in (value for field, value in message_fields(graph) if field == 1):  # GraphProto.node
            texts = [(field, text_of(value)) for field, value in message_fields(node) if field in (2, 3, 4)]
            single = dict(texts)
            outputs = tuple(text for field, text in texts if field == 2)  # NodeProto.output, .name, .op_type
            nodes.append(NodeHeader(single.get(3, ""), single.get(4, ""), outputs))
    return nodes


def makers_of(model: bytes, names: Iterable[str]) -> Dict[str, str]:
    """Return, for each tensor that one of the nodes ``names`` makes, that node."""
    wanted = set(names)
    return {output: node.name for node in nodes_of(model) if node.name in wanted for output in node.outputs if output}


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
