"""Building engines in tests: the hand-written graph through the library, on whatever TensorRT is installed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from poseedge.arrays import Float32Array
from poseedge.lifter import LifterSpec
from poseedge.progress import Stage, silent
from tests.support.lifting_bundle import FRAMES, JOINTS, lifting_graph


@dataclass(frozen=True)
class Made:
    """What a build left."""

    path: Path
    facts: Any
    built: bool
    said: list[str]


def write_graph(path: Path, precision: str = "fp32", batch: int | str = 1) -> Path:
    """Write the hand-written lifting network: its first output is the poses, its second INT64."""
    model = lifting_graph(precision, batch)
    model.graph.output.insert(0, model.graph.output.pop())
    onnx.save(model, path)
    return path


def normalized_graph(path: Path) -> Path:
    """Write the network with its input through a layer norm that is decomposed."""
    model = onnx.load(write_graph(path))
    model.graph.node[0].input[0] = "normed"
    for name, value in {"two": 2, "epsilon": 1e-5}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    norm = [
        ("ReduceMean", ["keypoints"], "mean"),
        ("Sub", ["keypoints", "mean"], "difference"),
        ("Pow", ["difference", "two"], "square"),
        ("ReduceMean", ["square"], "variance"),
        ("Add", ["variance", "epsilon"], "steady"),
        ("Sqrt", ["steady"], "deviation"),
        ("Div", ["difference", "deviation"], "normed"),
    ]
    for place, (kind, inputs, output) in enumerate(norm):
        axes: dict[str, Any] = {"axes": [-1]} if kind == "ReduceMean" else {}
        model.graph.node.insert(place, helper.make_node(kind, inputs, [output], name=output, **axes))
    onnx.save(model, path)
    return path


def engine_files(graph: Path) -> list[str]:
    """Return the files beside the engines of ``graph``, hidden ones too, without what later builds use."""
    folder = graph.parent / "engines"
    return sorted(path.name for path in folder.glob("*") if path.suffix not in {".timing", ".calibration"})


def keypoints(count: int, seed: int = 7) -> Float32Array:
    """Return ``(count, 9, 17, 2)`` windows."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, FRAMES, JOINTS, 2)).astype(np.float32)


def expected(graph: Path, windows: Float32Array) -> Float32Array:
    """Return the poses that ONNX Runtime gives, window by window."""
    import onnxruntime as ort

    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["poses"], {"keypoints": window[None]})[0] for window in windows])


def calibration(spec: LifterSpec) -> Float32Array:
    """Return windows to calibrate with."""
    assert spec.frames == FRAMES
    return keypoints(6, seed=1)


def build(
    graph: Path,
    precision: str = "fp32",
    output: Path | None = None,
    rebuild: bool = False,
    stage: Stage = silent,
    **options: Any,
) -> Made:
    """Build ``graph`` as ``poseedge build`` does."""
    from poseedge.engines.cache import ensure_engine, plan_job
    from poseedge.engines.cuda import open_cuda
    from poseedge.engines.options import BuildOptions

    said: list[str] = []
    with closing(open_cuda()) as cuda:
        job = plan_job(graph, BuildOptions(precision, **options), cuda, output, calibration)
        facts, built = ensure_engine(job, cuda, rebuild, stage, said.append)
    return Made(job.output, facts, built, said)
