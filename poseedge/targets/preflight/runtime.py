"""Rules for ONNX Runtime on a CPU."""

from __future__ import annotations

from collections.abc import Iterator

from poseedge.graph.session import FATAL, SessionError, open_session, ort, session_options
from poseedge.int8.quantize import ORT_DISABLED_OPTIMIZERS
from poseedge.targets.boards import Target
from poseedge.targets.preflight.rules import Issue, rule
from poseedge.targets.preflight.view import View


@rule("loads", "error", f"ONNX Runtime {ort.__version__} on this machine", runtime="onnxruntime")
def loads(view: View, target: Target) -> Iterator[Issue]:
    """ONNX Runtime opens the graph."""
    try:
        open_session(view.model.SerializeToString(), session_options(optimize=False, severity=FATAL))
    except SessionError as error:
        yield Issue("", f"ONNX Runtime does not open it: {error.reason}", "export it again")


@rule("fused-bias", "warning", "measured: all weights are dequantized in every call, 2.5 times slower", runtime="onnxruntime")
def fused_bias(view: View, target: Target) -> Iterator[Issue]:
    """An INT8 graph asks ONNX Runtime to leave MatMul + Add alone."""
    disabled = view.metadata.ort_disabled_optimizers if view.metadata else ()
    layers = [node for node in view.of("MatMul") if view.dequantizer(node.input[1])]
    if layers and not set(ORT_DISABLED_OPTIMIZERS) <= set(disabled):
        fix = f"open the session with disabled_optimizers={list(ORT_DISABLED_OPTIMIZERS)}; our exports say so themselves"
        yield Issue("", "ONNX Runtime will join MatMul and Add to a Gemm that it cannot quantize", fix)
