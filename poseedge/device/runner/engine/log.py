"""TensorRT's log and the parser's errors."""

from pathlib import Path
from typing import Any, List

from poseedge.onnx_file import nodes_of


def make_log(trt: Any) -> Any:
    """Return a TensorRT logger that keeps the errors, and register TensorRT's own plugins with it.

    TensorRT may call it from any thread. 8.x and 10.x scatter through a plugin, in a plan that is loaded too.
    """
    serious = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Log(trt.ILogger):  # type: ignore[misc]  # a class of a module that is found at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: List[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in serious:
                self.errors.append(msg)

        def words(self) -> str:
            return "TensorRT says: " + ("; ".join(self.errors[-3:]) or "nothing")

    log = Log()
    if hasattr(trt, "init_libnvinfer_plugins"):
        trt.init_libnvinfer_plugins(log, "")
    return log


def parser_words(parser: Any, graph: Path, log: Any) -> str:
    """Return the parser's errors, each with its node's name and operator."""
    lines = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        if hasattr(error, "node_name"):
            name, operator = error.node_name(), error.node_operator()
        else:
            nodes = nodes_of(graph.read_bytes())
            name, operator = nodes[error.node()][:2] if 0 <= error.node() < len(nodes) else ("", "")
        lines.append("node {!r} ({}): {}".format(name, operator, error.desc()) if operator else error.desc())
    return "; ".join(lines) or log.words()
