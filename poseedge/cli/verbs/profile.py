"""``poseedge profile``: where a TensorRT engine spends its time."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poseedge.cli.console import emit_json, next_step, out, stage, table
from poseedge.errors import ArtefactError, require
from poseedge.lifter import ENGINE_SUFFIXES

if TYPE_CHECKING:
    from poseedge.engines.layer_times import LayerTime

NODES_SHOWN = 3


def profile(
    engine: Annotated[Path, typer.Argument(help="engine that poseedge build made")],
    runs: Annotated[int, typer.Option(min=1, help="timed runs")] = 50,
    top: Annotated[int, typer.Option(min=1, help="show this many layers, the slowest")] = 20,
    json: Annotated[bool, typer.Option("--json", help="print all layers, in order, as JSON")] = False,
) -> None:
    """Time every layer of an engine and name the ONNX nodes in it.

    Example: poseedge profile build/nanohtnet/engines/nanohtnet_fp16.10.3.0.sm_87.engine
    """
    if engine.suffix not in ENGINE_SUFFIXES or not engine.is_file():
        raise ArtefactError(f"{engine}: no TensorRT engine", "make one with: poseedge build")
    require("tensorrt", "tensorrt")
    from poseedge.engines.layer_times import profile_engine

    layers = profile_engine(engine, runs, stage=stage)
    if json:
        emit_json({"engine": str(engine), "runs": runs, "layers": [asdict(layer) for layer in layers]})
        return
    slowest = sorted(layers, key=lambda layer: -layer.mean_ms)[:top]
    total = sum(layer.mean_ms for layer in layers)
    title = f"{engine.name}: {len(layers)} layers, {total:.3f} ms one by one (more than together: poseedge bench)"
    columns = ["layer", "ms", "share", "kind", "type", "ONNX nodes"]
    table(title, columns, list(map(cells, slowest)), text=("layer", "kind", "type", "ONNX nodes"))
    unnamed = sum(layer.mean_ms for layer in layers if not layer.nodes)
    out.print(f"{unnamed / total:.0%} of the time is in layers that stand for no ONNX node, such as changes of format")
    next_step("poseedge", "bench", engine)


def cells(layer: LayerTime) -> list[str]:
    """Return a layer's line of the table."""
    more = len(layer.nodes) - NODES_SHOWN
    nodes = ", ".join(layer.nodes[:NODES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return [layer.layer, f"{layer.mean_ms:.4f}", f"{layer.share:.1%}", layer.kind, ", ".join(layer.types), nodes]
