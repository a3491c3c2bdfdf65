"""The streaming form of an export: the products of the graphs for windows on one frame, and in caches what layers have read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from poseedge.arrays import Float32Array
from poseedge.backends.onnxruntime import CachedOnnxLifter, OnnxLifter
from poseedge.bundle.manifest import GraphEntry, StreamEntry
from poseedge.errors import PoseedgeError
from poseedge.export.job import Export
from poseedge.fold import streaming_form
from poseedge.graph.cpu_form import to_cpu_form
from poseedge.graph.graph import Graph
from poseedge.graph.trace import NEWEST_TRACED, simplify, trace_stream
from poseedge.int8.placement import Placement
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import Ranges
from poseedge.models.network import LiftingNetwork

COMPARED_FRAMES = 330
TOLERANCE_MM = 0.1  # the FP32 graphs: different only by the order of sums


def stream_graph(job: Export, network: LiftingNetwork) -> Graph:
    """Return the FP32 graph; raises ``PoseedgeError`` if there is none of this network, or none as ``job`` wants it."""
    opset = min(job.target.opset, NEWEST_TRACED)
    graph = traced_stream(network, opset)
    if graph is None:
        raise PoseedgeError(f"{network.name} has no streaming form", "VideoPose3D has; leave --stream out")
    if job.flip or job.free_batch or not job.recipe.fold:
        raise PoseedgeError("a streaming form takes one frame of one person, folded", "leave --flip and --free-batch out")
    if job.target.cpu_form:
        to_cpu_form(graph, job.target.opset)
    return graph


def traced_stream(network: LiftingNetwork, opset: int) -> Graph | None:
    """Return the network's streaming form as a graph, None if it has none."""
    with torch.no_grad():
        module: Any = streaming_form(network)
    return None if module is None else simplify(trace_stream(module, network.in_channels, module.caches, opset))[0]


def quantize_alike(stream: Graph, placement: Placement, ranges: Ranges) -> Graph:
    """Return ``stream`` with the layers in INT8 that have it in the graph for windows, and the same steps.

    Layers go by the names of their weights. What a structure of windows says of first and last layers is not to be told from
    caches.
    """
    layers = {name: stream.layers[name] for name in placement.layers}
    twice = {layers[name].output[0] for name in placement.two_step_names}
    tensors, taken = {}, {}
    for name, node in layers.items():
        before, source = placement.layers[name].input[0], node.input[0]
        tensors[source], taken[source] = (source, placement.tensors[before][1]), ranges[before]
    return quantize(stream, Placement(layers, frozenset(twice), frozenset(), tensors), taken)


def compared(entry: GraphEntry, folder: Path, windows: str, motion: Float32Array) -> StreamEntry:
    """Return what the manifest says of a streaming graph, compared frame by frame with the graph ``windows``.

    ``motion``: consecutive frames ``(T, 17, C)``. Raises ``PoseedgeError`` if FP32 graphs differ by more than rounding.
    """
    whole, memory = OnnxLifter(folder / windows), (lifter := CachedOnnxLifter(folder / entry.file)).begin()
    spec, last = whole.spec, len(motion) - 1
    farthest = 0.0
    for newest in range(len(motion) + spec.look_ahead):
        rows = np.clip(np.arange(newest + 1 - spec.frames, newest + 1), 0, last)
        apart = np.linalg.norm(memory.push(motion[rows[-1]]) - whole(motion[rows][None])[0, 0], axis=-1)
        farthest = max(farthest, 1000 * float(apart.max()))
    if lifter.spec.precision == "fp32" and not farthest <= TOLERANCE_MM:
        raise PoseedgeError(
            f"the streaming form of {spec.model} differs from the windows by {farthest:.2e} mm, allowed is {TOLERANCE_MM:g}",
            "this is a bug in the fold or the exporter; leave --stream out, and report it",
        )
    return StreamEntry(**entry.model_dump(), frames=len(motion), from_windows_mm=farthest)
