"""What an engine tells of its layers: the inspector's JSON and the profiler's times, of the TensorRT stand-in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx

from tests.doubles.binding import Bound
from tests.doubles.gpu import LAUNCH_MS
from tests.doubles.presence import Version

if TYPE_CHECKING:
    from tests.doubles.engine import CudaEngine

NAMES_CARRY_NODES = (10, 0)  # before, a fused layer's name lists its nodes; the compiler of 10.x makes names of its own
METADATA = (8, 6)
SPLIT_FORMAT = (11, 0)


@dataclass(frozen=True)
class BuiltLayer:
    """One layer of an engine and the ONNX nodes in it."""

    name: str
    kind: str
    nodes: tuple[str, ...]


def built_layers(model: onnx.ModelProto, version: Version) -> list[BuiltLayer]:
    """Fuse each product with the addition that follows it, and put a reformat in front."""
    groups: list[list[onnx.NodeProto]] = []
    for node in model.graph.node:
        if groups and node.op_type == "Add" and groups[-1][-1].op_type == "MatMul" and groups[-1][-1].output[0] in node.input:
            groups[-1].append(node)
        else:
            groups.append([node])
    layers = []
    for number, group in enumerate(groups):
        names = tuple(node.name for node in group)
        own = f"__myl_{''.join(node.op_type[:3] for node in group)}_myl0_{number}"
        kind = "gemm" if group[0].op_type == "MatMul" else "kgen"
        layers.append(BuiltLayer(own if version >= NAMES_CARRY_NODES else " + ".join(names), kind, names))
    first = layers[0].name if layers else ""
    return [BuiltLayer(f"Reformatting CopyNode for Input Tensor 0 to {first}", "Reformat", ()), *layers]


class EngineInspector(Bound):
    """Tells more with detailed verbosity, and in other words with each version."""

    def __init__(self, engine: CudaEngine) -> None:
        self._engine = engine

    def get_engine_information(self, format: Any) -> str:
        assert format is self.trt.LayerInformationFormat.JSON
        release, plan = self.fake.release, self._engine._plan
        detailed = plan.verbosity == "DETAILED"
        layers = [self._layer(layer) if detailed else layer.name for layer in self._engine._layers]
        ends = [entry[0] for entry in self._engine._io]
        text = json.dumps({"Layers": layers, "I/O Tensors" if release >= SPLIT_FORMAT else "Bindings": ends})
        return text.replace("\\u001e", "\x1e")  # TensorRT writes the separator as it is, which strict JSON does not allow

    def _layer(self, layer: BuiltLayer) -> dict[str, Any]:
        release, plan = self.fake.release, self._engine._plan
        dtype = "Half" if "FP16" in plan.flags and layer.kind != "Reformat" else "Float"
        form = (
            {"Format": "Row-Major", "Datatype": dtype} if release >= SPLIT_FORMAT else {"Format/Datatype": f"Row major {dtype}"}
        )
        told = {
            "Name": layer.name,
            "LayerType": layer.kind,
            "Inputs": [],
            "Outputs": [{"Name": "out", "Dimensions": [1], **form}],
        }
        told |= {"TacticName": f"sm80_xmma_{layer.kind}"}
        if release >= METADATA and layer.nodes:
            told["Metadata"] = "\x1e".join(f"[ONNX Layer: {node}]" for node in layer.nodes)
        return told


class Profiler:
    """Base of profilers; a subclass must call ``__init__``."""

    def __init__(self) -> None:
        self.ready = True

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        """To be overridden."""


def report_times(profiler: Any, layers: list[BuiltLayer]) -> None:
    """Report each layer once: products take twice as long as all else, and the sum is that of a run."""
    assert profiler.ready
    weights = [2 if layer.kind == "gemm" else 1 for layer in layers]
    for layer, weight in zip(layers, weights, strict=True):
        profiler.report_layer_time(layer.name, LAUNCH_MS * weight / sum(weights))
