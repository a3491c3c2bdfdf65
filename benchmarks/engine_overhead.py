"""What the TensorRT runner adds to an engine's own time, measured on the test stand-ins of TensorRT and pycuda.

python -m benchmarks.engine_overhead

The stand-in's engine computes nothing here; copies, queues and graph replay are Python, which takes longer than what
they stand for takes the host. What it cannot show is the time of the real driver's calls.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper

from benchmarks.record import RESULTS, grid, machine_slug, record, versions
from poseedge.arrays import AnyArray
from poseedge.bench.latency import Candidate, Schedule, pinned, summary_ms, time_alternating
from poseedge.bench.machine import busy, machine_facts
from poseedge.bench.memory import random_keypoints
from poseedge.skeleton import NUM_JOINTS
from tests.doubles import engine as stand_in
from tests.doubles.install import VERSIONS, install

FRAMES, FRAMES_OUT = 243, 9  # NanoHTNet's window
TARGET_US = 60
ROUNDS = 300


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of 8 timed calls for each.")] = ROUNDS,
    results: Annotated[Path, typer.Option(help="Folder for the JSON and the table.")] = RESULTS,
) -> None:
    """Time one call at batch 1 on each TensorRT, replayed as a CUDA graph and enqueued plainly."""
    machine = machine_facts()
    with pinned(1), tempfile.TemporaryDirectory() as folder:
        rows = [row for version in VERSIONS for row in measure(version, Path(folder), rounds)]
    method = {
        "rounds": rounds,
        "batch": 1,
        "window": [FRAMES, NUM_JOINTS, 2],
        "target_us": TARGET_US,
        "engine": "computes nothing",
    }
    report = {"machine": machine, "method": method, "rows": rows}
    record(results / f"engine-overhead_{machine_slug(machine)}", report, markdown(report))
    if warning := busy(machine):
        print(f"\nnote: {warning}; do not record this result")


def measure(version: str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Return two rows for one TensorRT."""
    graph = folder / f"{version}.onnx"
    onnx.save(window_graph(), graph)
    with pytest.MonkeyPatch.context() as patch:
        install(patch, version)
        from poseedge.backends.tensorrt import TensorRTLifter
        from poseedge.engines.builder import Options
        from poseedge.engines.cache import ensure_engine, plan_job
        from poseedge.engines.cuda import open_cuda

        with closing(open_cuda()) as cuda:
            job = plan_job(graph, Options("fp32"), cuda)
            ensure_engine(job, cuda)
        with TensorRTLifter(job.output) as replayed, TensorRTLifter(job.output, cuda_graph=False) as enqueued:
            patch.setattr(stand_in, "run", lambda engine, memory, gpu: None)
            keypoints = random_keypoints(replayed.spec, 1)
            calls: dict[str, Candidate] = {
                "CUDA graph": lambda: replayed(keypoints),
                "enqueued": lambda: enqueued(keypoints),
            }
            times = time_alternating(calls, Schedule(rounds))
            assert replayed.session.captured
            assert not enqueued.session.captured
    return [{"tensorrt": version, "how": how, "overhead_ms": summary_ms(spent)} for how, spent in times.items()]


def window_graph() -> onnx.ModelProto:
    """Return a network with NanoHTNet's input and output, and hardly anything between."""
    weights: dict[str, AnyArray] = {
        "frames": np.arange(FRAMES_OUT, dtype=np.int64),
        "matrix": np.ones((2, 3), np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["keypoints", "frames"], ["chosen"], name="choose", axis=1),
        helper.make_node("MatMul", ["chosen", "matrix"], ["poses"], name="lift"),
    ]
    source = helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, [1, FRAMES, NUM_JOINTS, 2])
    target = helper.make_tensor_value_info("poses", TensorProto.FLOAT, [1, FRAMES_OUT, NUM_JOINTS, 3])
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "window", [source], [target], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def markdown(report: dict[str, Any]) -> str:
    """Return the table."""
    rows = []
    for row in report["rows"]:
        times = row["overhead_ms"]
        rows.append([row["tensorrt"], row["how"], *(f"{1000 * times[key]:.1f}" for key in ("p50", "p90", "p99"))])
    lines = [
        "# What the TensorRT runner adds to the engine's own time",
        "",
        f"One call at batch 1, {FRAMES} frames in, {FRAMES_OUT} out, microseconds; target: under {TARGET_US}.",
        "Measured on stand-ins of TensorRT and pycuda whose engine computes nothing; the real driver's calls are not in it.",
        "",
        *grid(["TensorRT", "call", "p50", "p90", "p99"], rows),
        "",
        versions(report["machine"]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
