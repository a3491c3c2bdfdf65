"""A TensorRT engine as a lifter."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from poseedge.arrays import Float32Array
from poseedge.errors import require
from poseedge.lifter import Cost, check_keypoints


class TensorRTLifter:
    """An engine on device 0. Any thread may call it; calls take turns, so give each thread its own for more speed.

    It is released by ``close``, at the end of ``with``, when nobody refers to it any more, or when the program ends.
    """

    backend = "tensorrt"
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, cuda_graph: bool = True) -> None:
        """Open ``path``; raises as ``engines.plan.open_plan`` does, and ``PoseedgeError`` if there is no TensorRT."""
        require("tensorrt", "tensorrt")
        from poseedge.engines.plan import open_plan

        self._plan, self.path = open_plan(path, cuda_graph), path
        self.spec, self.provider, self.session = self._plan.spec, self._plan.provider, self._plan.session
        self.close = weakref.finalize(self, self.session.close)

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        return self._plan.lift(check_keypoints(keypoints, self.spec))

    def cost(self) -> Cost:
        """Return what the graph costs that the engine was built from, with the engine's own size."""
        from poseedge.engines.facts import graph_path
        from poseedge.graph.flops import graph_cost

        size = self.path.stat().st_size
        graph = graph_path(self.path, self._plan.facts) if self._plan.facts else self.path.with_suffix(".onnx")
        if not graph.is_file():
            return Cost(None, None, None, None, size, "the graph that it was built from is not here")
        return replace(graph_cost(graph), file_bytes=size, nodes=None)

    def __enter__(self) -> TensorRTLifter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
