"""The nodes and metadata of an ONNX file, read without onnx, which a device may not have, and without the weights.

Python 3.6: it becomes part of every bundle's ``run.py``. The fields are those of onnx.proto. ``content``: bytes or a memory map.
"""

from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple

GRAPH, METADATA, NODE = 7, 14, 1  # ModelProto.graph and .metadata_props, GraphProto.node
OUTPUT, NAME, OPERATOR = TOLD = 2, 3, 4  # of a NodeProto
FIXED_BYTES = {1: 8, 5: 4}  # of the protobuf wire types that have a length of their own


class NodeHeader(NamedTuple):
    """What is needed of a NodeProto."""

    name: str
    operator: str
    outputs: Tuple[str, ...]


def nodes_of(content: Any) -> List[NodeHeader]:
    """Return the nodes of a serialized ONNX model in order; raises ``ValueError`` or ``IndexError`` if it is none."""
    nodes = []
    for _, start, end in fields_of(content, 0, len(content), (GRAPH,)):
        for _, first, last in fields_of(content, start, end, (NODE,)):
            texts = [
                (field, text_of(content, *part)) for field, *part in fields_of(content, first, last, (OUTPUT, NAME, OPERATOR))
            ]
            single = dict(texts)
            outputs = tuple(text for field, text in texts if field == OUTPUT)
            nodes.append(NodeHeader(single.get(NAME, ""), single.get(OPERATOR, ""), outputs))
    return nodes


def makers_of(content: Any, names: Iterable[str]) -> Dict[str, str]:
    """Return, for each tensor that one of the nodes ``names`` makes, that node."""
    wanted = set(names)
    return {output: node.name for node in nodes_of(content) if node.name in wanted for output in node.outputs if output}


def model_metadata(content: Any) -> Dict[str, str]:
    """Return the metadata of a serialized ONNX model; raises as ``nodes_of`` does."""
    found = {}
    for _, start, end in fields_of(content, 0, len(content), (METADATA,)):
        entry = {field: text_of(content, *part) for field, *part in fields_of(content, start, end, (1, 2))}
        found[entry.get(1, "")] = entry.get(2, "")  # StringStringEntryProto.key and .value
    return found


def text_of(content: Any, start: int, end: int) -> str:
    """Return the text that stands there."""
    return str(content[start:end], "utf-8", "replace")


def fields_of(content: Any, at: int, end: int, wanted: Tuple[int, ...]) -> Iterator[Tuple[int, int, int]]:
    """Yield number, start and end of those ``wanted`` of the length-delimited fields of the message from ``at`` to ``end``."""
    while at < end:
        key, at = read_varint(content, at)
        kind, size = key & 7, FIXED_BYTES.get(key & 7, 0)
        if kind in (0, 2):
            value, at = read_varint(content, at)
            size = value if kind == 2 else 0
        elif kind not in FIXED_BYTES:
            raise ValueError("wire type {}".format(kind))
        if at + size > end:
            raise ValueError("it ends within a field")
        if kind == 2 and key >> 3 in wanted:
            yield key >> 3, at, at + size
        at += size


def read_varint(content: Any, at: int) -> Tuple[int, int]:
    """Return the protobuf integer at ``at`` and where it ends."""
    value = shift = 0
    while shift < 64:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("an integer of more than 64 bits")
