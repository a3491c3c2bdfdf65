"""Our own graphs pass on the targets that they are for."""

from __future__ import annotations

from poseedge.graph.graph import Graph
from poseedge.targets.boards import DECOMPOSED, load_target
from poseedge.targets.preflight import check_graph


def assert_targets_take(graph: Graph) -> None:
    """Check a graph against the strictest target of its opset: TensorRT 8.0, or all of 10.3 to 11.4."""
    strictest = "jetson-tx2-jp4.6.0" if graph.opset == DECOMPOSED else "default"
    assert check_graph(graph, load_target(strictest)) == []
