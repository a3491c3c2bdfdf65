"""The one place that imports ONNX Runtime and opens its sessions."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: from 1.29 on ONNX Runtime reports to Microsoft

import onnxruntime as ort

from poseedge.errors import ArtefactError

__all__ = ["CPU", "ERRORS", "FATAL", "SessionError", "metadata_of", "open_session", "ort", "reason", "session_options"]

CPU = "CPUExecutionProvider"
ProviderEntry = str | tuple[str, dict[str, str]]  # its name, and its options
TRUNCATED = "is it truncated? export or copy it again"
ERRORS, FATAL = 3, 4  # how severe a message must be for ONNX Runtime to print it


class SessionError(ArtefactError):
    """ONNX Runtime does not open a graph; ``reason`` is its own word for it."""

    def __init__(self, graph: str, reason: str) -> None:
        newer = "IR version" in reason or "opset version" in reason
        hint = "save it for an older opset and IR version, or update onnxruntime" if newer else TRUNCATED
        super().__init__(f"{graph}: ONNX Runtime cannot load it ({reason})", hint)
        self.reason = reason


def session_options(
    threads: int | None = None, optimize: bool = True, severity: int = ERRORS, written: Path | None = None
) -> ort.SessionOptions:
    """Return options for ``threads`` intra-op threads, or as many as there are cores.

    ``optimize=False`` runs the graph exactly as it is written; ``written`` is a file for the graph that constant folding
    leaves, and then nothing else is optimized.
    """
    options = ort.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = severity
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if written is not None:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(written)
    return options


def open_session(
    graph: Path | bytes,
    options: ort.SessionOptions,
    providers: Sequence[ProviderEntry] | None = (CPU,),
    disabled: Sequence[str] = (),
    name: str = "the graph",
) -> ort.InferenceSession:
    """Open a file or a serialized graph without the ``disabled`` optimizers; ``name`` is what errors call the latter.

    ``providers`` are asked in their order for every node; None where the options name a device. Raises ``SessionError`` if
    ONNX Runtime refuses the graph: it never takes another provider by itself when one fails to start.
    """
    source, name = (str(graph), str(graph)) if isinstance(graph, Path) else (graph, name)
    try:
        return ort.InferenceSession(
            source,
            options,
            providers=None if providers is None else list(providers),
            disabled_optimizers=list(disabled),
            enable_fallback=0,
        )
    except Exception as error:  # ONNX Runtime raises a dozen types of its own
        raise SessionError(name, reason(error).replace(name, Path(name).name)) from error


def metadata_of(session: ort.InferenceSession, name: str) -> dict[str, str]:
    """Return the metadata of a session's graph, which errors call ``name``; raises ``SessionError`` if it is no text."""
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:
        raise SessionError(name, "its metadata is no UTF-8") from error


def reason(error: Exception) -> str:
    """Return the first line of what an error of ONNX Runtime says, without its own place, number and the file's name."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    said = re.sub(r"^.*(\[ONNXRuntimeError\] : \d+ : \w+|with error) ?: ", "", first)
    said = re.sub(r"^Load model from .* failed: ?", "", said)
    return re.sub(r"^\S+\.(cc|h):\d+ .*?\)( const)? (?=\S)", "", said)
