"""Is this ONNX file a lifter that can be worked on? One answer for every command that looks inside a graph."""

from __future__ import annotations

from pathlib import Path

import onnx

from poseedge.errors import ArtefactError
from poseedge.graph.graph import Graph
from poseedge.graph.nodes import type_name
from poseedge.graph.spec import End, spec_of
from poseedge.lifter import LifterSpec
from poseedge.skeleton import NUM_JOINTS

OLDEST_QUANTIZED = 13  # the first opset where DequantizeLinear takes a scale for each channel


def spec_of_graph(path: Path, graph: Graph) -> LifterSpec:
    """Return what ``graph`` takes and gives; ``path`` is its file. Raises ``ArtefactError`` if it is no lifter."""
    values = graph.proto.graph
    inputs = [end_of(value) for value in values.input if value.name in graph.inputs]
    props = {entry.key: entry.value for entry in graph.proto.metadata_props}
    given = next(value for value in values.output if value.name == pose_output(graph))
    end = end_of(given)
    if not end.shape:  # it need not be stated
        end = End(end.kind, graph.shapes.get(given.name, ()))
    return spec_of(path, inputs, [end], props)


def read_spec(path: Path) -> LifterSpec:
    """Return what the ONNX file ``path`` takes and gives; raises ``ArtefactError`` if it is no lifting graph."""
    return spec_of_graph(path, Graph.load(path))


def open_lifting(path: Path) -> tuple[Graph, LifterSpec]:
    """Read an ONNX file that lifts one window, or any number of them, and say what it takes and gives.

    Raises ``ArtefactError`` for anything else.
    """
    graph = Graph.load(path)
    spec = spec_of_graph(path, graph)
    if graph.metadata and graph.metadata.streams:
        raise ArtefactError(f"{path}: takes frames one by one, expected windows", "name the bundle's graph of the same precision")
    if spec.batch not in (None, 1):
        hint = "export it for one window, or with a free batch"
        raise ArtefactError(f"{path}: takes {spec.batch} windows at a time, expected one or a free batch", hint)
    return graph, spec


def open_float32(path: Path) -> tuple[Graph, LifterSpec]:
    """Read a lifting graph that can be quantized; raises ``ArtefactError`` for one that is half or quantized or too old."""
    graph, spec = open_lifting(path)
    if graph.precision != "fp32":
        hint = "give the float32 graph that it was made from"
        raise ArtefactError(f"{path}: is {graph.precision} already, expected a graph in float32", hint)
    if graph.opset < OLDEST_QUANTIZED:
        hint = "export it again, at opset 17"
        raise ArtefactError(f"{path}: opset {graph.opset}, INT8 by channel needs {OLDEST_QUANTIZED}", hint)
    graph.store_constants()
    return graph, spec


def pose_output(graph: Graph) -> str:
    """Return the output that holds joints ``(.., 17, 3)``."""
    return next((name for name in graph.outputs if graph.shapes.get(name, ())[-2:] == (NUM_JOINTS, 3)), graph.outputs[0])


def end_of(value: onnx.ValueInfoProto) -> End:
    """Return type and shape of a graph's input or output."""
    kind, dims = type_name(value.type.tensor_type.elem_type), value.type.tensor_type.shape.dim
    return End(f"tensor({kind})", [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims])
