"""How this TensorRT is told about precision: chosen by the members that it has, and by what the graph says itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorrt as trt

from poseedge.device.runner.engine.routes import MIXED, NO_INT8, OBEY, basic_route, strong_route, strongly_typed, weak_route
from poseedge.errors import PoseedgeError
from poseedge.graph.float32 import float32_nodes
from poseedge.graph.graph import Graph

EXPORT = "make one that says it itself: poseedge export --precision {precision}"


@dataclass(frozen=True)
class Route:
    """What to tell the builder, as plain values, so that it can be stored and compared."""

    typing: str  # "strong": strongly typed; "weak": builder flags allow lower ones
    network_flags: int
    enable: tuple[str, ...]  # builder flags
    disable: tuple[str, ...]
    calibrate: bool = False  # INT8 scales from a calibrator instead of Q/DQ
    pinned: tuple[str, ...] = ()  # ONNX nodes whose layers stay in FP32


def choose_route(precision: str, graph: Graph, capability: tuple[int, int], held: Sequence[str] | None = None) -> Route:
    """Return the route for ``precision``; raises ``PoseedgeError`` where this device or this TensorRT has none.

    Strong typing is taken where it is complete and the graph holds the precision that is wanted; before, and for a graph
    that leaves the precision to TensorRT, builder flags. From TensorRT 11 on the graph must say it. ``held``: the nodes to keep
    in FP32 under weak typing, as a bundle's manifest lists them; None: as far as the graph itself tells.
    """
    if precision in ("int8", MIXED) and capability in NO_INT8:
        board = NO_INT8[capability]
        raise PoseedgeError(f"int8: {board} (sm_{capability[0]}{capability[1]}) has no INT8 hardware", "use --precision fp16")
    said = graph.precision
    if said not in ("fp32", precision):
        raise PoseedgeError(f"the graph is {said} by its own types, not {precision}", f"use --precision {said}, or another graph")
    if precision == MIXED:
        return mixed_route(said)
    base = basic_route(trt, precision)
    if base.typing == "strong" and said != precision:
        if not hasattr(trt.BuilderFlag, "FP16"):
            raise PoseedgeError(
                f"TensorRT {trt.__version__} takes precision from the graph alone, and this graph is {said}, not {precision}",
                EXPORT.format(precision=precision),
            )
        base = weak_route(trt, precision)
    if base.typing == "strong" or precision == "fp32":
        return Route(*base)
    pinned = tuple(float32_nodes(graph) if held is None else held)
    enable = (*base.enable, OBEY) if pinned else base.enable
    return Route(base.typing, base.network_flags, enable, base.disable, precision == "int8" and said != "int8", pinned)


def mixed_route(said: str) -> Route:
    """Return the route for INT8 in a half-precision graph; ``said`` is what the graph is by its own types."""
    if not strongly_typed(trt):
        raise PoseedgeError(f"{MIXED}: TensorRT {trt.__version__} takes precision from builder flags", "use the int8 graph")
    if said != MIXED:
        raise PoseedgeError(f"the graph is {said} by its own types, not {MIXED}", EXPORT.format(precision=MIXED))
    return Route(*strong_route(trt))
