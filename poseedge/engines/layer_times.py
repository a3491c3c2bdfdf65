"""Where an engine spends its time: each layer of the plan, with the ONNX nodes that became it."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import tensorrt as trt

from poseedge.engines.facts import graph_path
from poseedge.engines.plan import open_plan
from poseedge.lifter import random_keypoints
from poseedge.progress import Stage, silent

NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")  # how TensorRT writes the origin of a layer, from 8.6 on


@dataclass(frozen=True)
class LayerTime:
    """One layer of an engine; names and types are TensorRT's own words."""

    layer: str
    kind: str
    types: tuple[str, ...]  # of its outputs, format included before TensorRT 11
    nodes: tuple[str, ...]  # ONNX nodes in it, as far as TensorRT tells
    mean_ms: float
    share: float  # of the sum over all layers


def profile_engine(path: Path, runs: int = 50, warmup: int = 10, stage: Stage = silent) -> list[LayerTime]:
    """Return the layers of ``path`` in order, timed one by one over ``runs`` single windows.

    Each layer is waited for, so the sum is more than the latency that ``poseedge bench`` measures.
    """
    plan = open_plan(path, cuda_graph=False)
    with closing(plan.session) as session, stage(f"profiling {path.name}", warmup + runs) as advance:
        profiler = make_profiler()
        session.attach(profiler)
        keypoints = random_keypoints(plan.spec, plan.spec.batch or 1)
        for run in range(warmup + runs):
            if run == warmup:
                profiler.times.clear()
            session.run(keypoints)
            advance(1)
        described = {entry["Name"]: entry for entry in session.inspect() if isinstance(entry, dict)}
    known = node_names(graph_path(path, plan.facts)) if plan.facts is not None else set()
    times = {name: sum(spent) / runs for name, spent in profiler.times.items()}
    total = sum(times.values())
    return [layer_time(name, described.get(name, {}), known, ms, ms / total if total else 0) for name, ms in times.items()]


def make_profiler() -> Any:
    """Return a profiler that keeps every time, by layer name in order of execution."""

    class LayerProfiler(trt.IProfiler):
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times: dict[str, list[float]] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times.setdefault(layer_name, []).append(ms)

    return LayerProfiler()


def layer_time(name: str, described: dict[str, Any], known: set[str], mean_ms: float, share: float) -> LayerTime:
    """Put together time and description; the inspector's keys differ by version and may be missing."""
    types = [str(out.get("Datatype", out.get("Format/Datatype", ""))) for out in described.get("Outputs", [])]
    nodes = tuple(dict.fromkeys(NODE.findall(described.get("Metadata", "")))) or named_nodes(name, known)
    return LayerTime(name, str(described.get("LayerType", "")), tuple(filter(None, types)), nodes, mean_ms, share)


def named_nodes(layer: str, known: set[str]) -> tuple[str, ...]:
    """Return the ONNX nodes that a layer's name lists, as it does before TensorRT 8.6: joined by +, or as arguments."""
    if layer.startswith("Reformatting CopyNode"):
        return ()
    return tuple(part for part in re.split(r" \+ |[(),{}\[\]]+ ?", layer) if part in known)


def node_names(graph: Path) -> set[str]:
    """Return the names of a graph's nodes, none if it has gone."""
    return {node.name for node in onnx.load(graph, load_external_data=False).graph.node} if graph.is_file() else set()
