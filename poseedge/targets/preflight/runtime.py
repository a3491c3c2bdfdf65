"""Rules for ONNX Runtime on a CPU."""

from __future__ import annotations

from collections.abc import Iterator

from poseedge.graph.graph import Graph
from poseedge.graph.session import FATAL, SessionError, open_session, ort, session_options
from poseedge.graph.structure import dequantizer
from poseedge.int8.quantize import ORT_DISABLED_OPTIMIZERS
from poseedge.targets.boards import Target
from poseedge.targets.preflight.rules import Issue, rule


@rule("loads", "error", f"ONNX Runtime {ort.__version__} on this machine", runtime="onnxruntime")
def loads(graph: Graph, target: Target) -> Iterator[Issue]:
    """ONNX Runtime opens the graph."""
    try:
        open_session(graph.proto.SerializeToString(), session_options(optimize=False, severity=FATAL))
    except SessionError as error:
        yield Issue("", f"ONNX Runtime does not open it: {error.reason}", "export it again")


@rule("fused-bias", "warning", "measured: all weights are dequantized in every call, 2.5 times slower", runtime="onnxruntime")
def fused_bias(graph: Graph, target: Target) -> Iterator[Issue]:
    """An INT8 graph asks ONNX Runtime to leave MatMul + Add alone."""
    disabled = graph.metadata.ort_disabled_optimizers if graph.metadata else ()
    layers = [node for node in graph.of("MatMul") if dequantizer(graph, node.input[1])]
    if layers and not set(ORT_DISABLED_OPTIMIZERS) <= set(disabled):
        fix = f"open the session with disabled_optimizers={list(ORT_DISABLED_OPTIMIZERS)}; our exports say so themselves"
        yield Issue("", "ONNX Runtime will join MatMul and Add to a Gemm that it cannot quantize", fix)
