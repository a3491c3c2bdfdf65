"""What each way of quantizing a float32 graph costs in millimetres and jitter, ``quantize_static`` defaults first.

``python -m benchmarks int8_ablation GRAPH.onnx export/MODEL.toml``
"""

from __future__ import annotations

import contextlib
import io
import resource as usage
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import typer

from benchmarks.options import Results
from benchmarks.record import RESULTS, record
from poseedge.arrays import Float32Array
from poseedge.data.h36m import load_dataset
from poseedge.export.recipe import Int8, load_recipe
from poseedge.graph.graph import Graph
from poseedge.graph.lifting import open_float32
from poseedge.int8.placement import Level, place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import METHODS, Method, calibrate, measure_ranges
from poseedge.int8.sensitivity import Degradation, Sensitivity, choose_runs
from poseedge.int8.windows import load_calibration
from poseedge.resources import resource

SEED = 0


def ablate(
    graph: Annotated[Path, typer.Argument(help="float32 ONNX file")],
    recipe: Annotated[Path, typer.Argument(help="its recipe")],
    frames: Annotated[int, typer.Option(help="frames to measure on, in runs of twelve")] = 960,
    windows: Annotated[int, typer.Option(min=16, help="calibration windows, at most")] = 1024,
    results: Results = RESULTS,
) -> None:
    """Measure every form and record the table."""
    (exact, spec), int8 = open_float32(graph), load_recipe(str(recipe)).int8
    drawn = load_calibration(resource("calib_data", "mocap17-calib"), spec.frames, windows, spec.channels)
    test = load_dataset(resource("calib_data", "mocap17-mini"))
    runs = choose_runs(test.of(test.test), spec, frames, seed=SEED)
    measured = Sensitivity(exact, spec, runs, measure_ranges(exact, place(exact), drawn[:8], "minmax", 0.0))
    rows = []
    for name, build in forms(exact, int8, drawn):
        started = time.perf_counter()
        made = build()
        seconds = time.perf_counter() - started
        cost = measured.cost_of(made)
        rows.append({"form": name, "made_in_s": seconds, **asdict(cost), "jitter_ratio": cost.jitter_ratio})
        print(markdown_row(rows[-1]), flush=True)
    peak = usage.getrusage(usage.RUSAGE_SELF).ru_maxrss * 1024
    report = {"graph": graph.name, "data": test.name, "frames": frames, "peak_rss_bytes": peak, "rows": rows}
    record(results / f"int8_{spec.model}", report, markdown(report))


def forms(exact: Graph, int8: Int8, windows: Float32Array) -> Iterator[tuple[str, Callable[[], Graph]]]:
    """Yield the name of each form, and a function that makes its graph."""

    def ours(
        method: Method = "minmax",
        migrate: float = int8.migrate,
        level: Level = "A",
        count: int = 512,
        smallest: int = 16,
        **where: list[str],
    ) -> Graph:
        placement = place(exact, where.get("keep", int8.keep), where.get("two_step"), level, smallest)
        return quantize(exact, placement, calibrate(exact, placement, windows[:count], method, migrate))

    yield "quantize_static, its defaults", lambda: static(exact, windows[:512])
    for method in METHODS:
        yield f"level A, {method}, no migration", lambda method=method: ours(method, 0.0)  # type: ignore[misc]
    for migrate in (0.3, 0.5, 0.7, 0.9):
        yield f"level A, minmax, migration {migrate}", lambda migrate=migrate: ours(migrate=migrate)  # type: ignore[misc]
    for method in METHODS[1:]:
        yield f"level A, {method}, migration {int8.migrate}", lambda method=method: ours(method)  # type: ignore[misc]
    yield "level B, sizes of 8 and more", lambda: ours(level="B", smallest=8)
    for count in (16, 32, 64, 128, 256, 1024):
        yield f"level A, minmax, {count} windows", lambda count=count: ours(count=count)  # type: ignore[misc]
    if "*" not in int8.two_step:
        yield "steady: two steps where the recipe says so", lambda: ours(two_step=int8.two_step)
        yield "the same layers kept float", lambda: ours(keep=int8.two_step)
    yield "two steps everywhere", lambda: ours(two_step=["*"])


def static(exact: Graph, windows: Float32Array) -> Graph:
    """Return what ONNX Runtime's ``quantize_static`` makes with its defaults."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    (source,) = exact.inputs

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(windows)

        def get_next(self) -> dict[str, Any] | None:
            window = next(self.left, None)
            return None if window is None else {source: window[None]}

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(exact.proto, before)
        quantize_static(str(before), str(after), Reader())
        return Graph.load(after)


def markdown_row(row: dict[str, Any]) -> str:
    """Return one line of the table."""
    cost = Degradation(**{key: row[key] for key in Degradation.__dataclass_fields__})
    moved = [f"{cost.delta_mpjpe_mm:+.3f}", f"{cost.mean_mm:.2f}", f"{cost.p99_mm:.1f}"]
    cells = [*moved, f"{cost.jitter_mm:.2f}", f"{cost.jitter_ratio:.2f}x"]
    return f"| {row['form']} | {' | '.join(cells)} |"


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a readable table."""
    still = np.mean([row["float_jitter_mm"] for row in report["rows"]])
    head = [
        f"# INT8 forms of {report['graph']}",
        "",
        f"Against the float32 graph on {report['frames']} frames of {report['data']}, test subjects, exact keypoints.",
        f"Millimetres; jitter in mm per frame squared (float32: {still:.2f}). 512 calibration windows unless named.",
        "",
        "| form | MPJPE change | mean distance | p99 | jitter | of float32's |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(markdown_row(row) for row in report["rows"])]) + "\n"


PROGRAM = ablate
