"""A small VideoPose3D as files: its graph for windows and its streaming form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from poseedge.backends.onnxruntime import CachedOnnxLifter, OnnxLifter
from poseedge.backends.registry import load
from poseedge.fold import fold, streaming_form
from poseedge.graph.graph import Graph
from poseedge.graph.metadata import GraphMetadata
from poseedge.graph.trace import trace, trace_stream
from poseedge.models.network import LiftingNetwork
from tests.support.networks import drawn

SMALL = {"filter_widths": [3, 3, 3], "channels": 16, "causal": True}


def network(**config: Any) -> LiftingNetwork:
    """Return the network, causal with 27 frames unless ``config`` says else."""
    return drawn("videopose3d", **SMALL | config)


def streaming_graph(made: LiftingNetwork, opset: int = 17) -> Graph:
    """Return the streaming form as exported, not simplified."""
    with torch.no_grad():
        module: Any = streaming_form(made)
    return trace_stream(module, made.in_channels, module.caches, opset)


def metadata(made: LiftingNetwork, streams: int, precision: str = "fp32") -> GraphMetadata:
    """Return what a graph of ``made`` says of itself."""
    return GraphMetadata(made.name, made.config, precision, made.output_frames, "0" * 64, "0", streams=streams)


def lifters(folder: Path, opset: int = 17, **config: Any) -> tuple[OnnxLifter, CachedOnnxLifter]:
    """Write both graphs into ``folder`` and open them."""
    made = network(**config)
    trace(fold(made), made.frames, made.in_channels, opset, False).save(folder / "windows.onnx", metadata(made, 0))
    streaming_graph(made, opset).save(folder / "stream.onnx", metadata(made, made.frames))
    windows, stream = load(folder / "windows.onnx"), load(folder / "stream.onnx")
    assert isinstance(windows, OnnxLifter)
    assert isinstance(stream, CachedOnnxLifter)
    return windows, stream
