"""A bundle written by hand: a small lifting network in three precisions or four, sample windows, manifest and runner."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from poseedge.arrays import AnyArray
from poseedge.device.joined import run_py
from poseedge.files import sha256_of

FRAMES, OUTPUT_FRAMES, JOINTS = 9, (3, 4, 5), 17
OPSET = 13  # the newest that TensorRT 8.2 reads
LIMITS = {
    "fp32": {"mean_mm": 0.01, "p99_mm": 0.05},
    "fp16": {"mean_mm": 2.0, "p99_mm": 6.0},
    "int8": {"mean_mm": 20.0, "p99_mm": 60.0},
}
MIXED = "int8-fp16"  # with strong typing


def write_bundle(folder: Path, batch: int | str = 1, precisions: tuple[str, ...] = tuple(LIMITS)) -> Path:
    """Write the bundle into ``folder``; ``batch`` may be a name, for a free batch. Returns its ``run.py``."""
    folder.mkdir()
    for precision in precisions:
        onnx.save(lifting_graph(precision, batch), folder / f"{precision}.onnx")
    keypoints = np.random.default_rng(7).uniform(-1, 1, (4, FRAMES, JOINTS, 2)).astype(np.float32)
    session = ort.InferenceSession(folder / "fp32.onnx", providers=["CPUExecutionProvider"])
    poses = np.concatenate([session.run(["poses"], {"keypoints": window[None]})[0] for window in keypoints])
    np.savez(folder / "samples.npz", keypoints=keypoints, poses_m=poses)
    (folder / "run.py").write_text(_runner())
    seal(folder)
    return folder / "run.py"


@cache
def _runner() -> str:
    return run_py()


def seal(folder: Path, change: Callable[[dict[str, Any]], None] = lambda manifest: None) -> None:
    """Write the manifest over what the folder holds, after ``change``."""
    manifest: dict[str, Any] = {
        "format": 1,
        "model": "smallnet",
        "config": {"frames": FRAMES},
        "frames": FRAMES,
        "output_frames": OUTPUT_FRAMES,
        "graphs": {path.stem: {"file": path.name, "opset": OPSET} for path in sorted(folder.glob("*.onnx"))},
        "samples": "samples.npz",
        "limits": {**LIMITS, MIXED: LIMITS["int8"]},
        "files": {path.name: sha256_of(path) for path in folder.iterdir() if path.suffix in {".onnx", ".npz", ".py"}},
    }
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def load_runner(path: Path) -> ModuleType:
    """Import a bundle's ``run.py`` from where it lies."""
    spec = importlib.util.spec_from_file_location("bundle_run", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(_compiled(path.read_text()), vars(module))
    return module


@cache
def _compiled(text: str) -> CodeType:
    return compile(text, "run.py", "exec")


def lifting_graph(precision: str, batch: int | str) -> onnx.ModelProto:
    """Return the network: the three centre frames, each joint through one matrix; it also names the frames, as INT64."""
    rng = np.random.default_rng(3)
    matrix, offset = rng.normal(size=(2, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    bodies = {"fp32": plain_body, "fp16": half_body, "int8": quantized_body, MIXED: mixed_body}
    body, weights = bodies[precision](matrix, offset)
    weights["frames"] = np.array(OUTPUT_FRAMES, np.int64)
    nodes = [*body, helper.make_node("Identity", ["frames"], ["selected"], name="selected_frames")]
    graph = helper.make_graph(
        nodes,
        "smallnet",
        [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, (batch, FRAMES, JOINTS, 2))],
        [
            helper.make_tensor_value_info("selected", TensorProto.INT64, (len(OUTPUT_FRAMES),)),
            helper.make_tensor_value_info("poses", TensorProto.FLOAT, (batch, len(OUTPUT_FRAMES), JOINTS, 3)),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


Body = tuple[list[onnx.NodeProto], dict[str, AnyArray]]


def plain_body(matrix: AnyArray, offset: AnyArray, source: str = "keypoints", target: str = "poses") -> Body:
    """Choose the frames, multiply, add."""
    nodes = [
        helper.make_node("Gather", [source, "frames"], ["chosen"], name="choose", axis=1),
        helper.make_node("MatMul", ["chosen", "matrix"], ["turned"], name="lift"),
        helper.make_node("Add", ["turned", "offset"], [target], name="shift"),
    ]
    return nodes, {"matrix": matrix, "offset": offset}


def half_body(matrix: AnyArray, offset: AnyArray) -> Body:
    """The same in FP16 between casts."""
    nodes, weights = plain_body(matrix.astype(np.float16), offset.astype(np.float16), "half", "half_poses")
    enter = helper.make_node("Cast", ["keypoints"], ["half"], name="enter", to=TensorProto.FLOAT16)
    leave = helper.make_node("Cast", ["half_poses"], ["poses"], name="leave", to=TensorProto.FLOAT)
    return [enter, *nodes, leave], weights


def quantized_body(matrix: AnyArray, offset: AnyArray) -> Body:
    """The same with its input through INT8."""
    nodes, weights = plain_body(matrix, offset, "dequantized")
    weights |= {"scale": np.array(1 / 127, np.float32), "zero": np.array(0, np.int8)}
    enter = helper.make_node("QuantizeLinear", ["keypoints", "scale", "zero"], ["quantized"], name="quantize")
    leave = helper.make_node("DequantizeLinear", ["quantized", "scale", "zero"], ["dequantized"], name="dequantize")
    return [enter, leave, *nodes], weights


def mixed_body(matrix: AnyArray, offset: AnyArray) -> Body:
    """The same with its input through INT8, and the rest in FP16."""
    (quantize, dequantize, *_), scales = quantized_body(matrix, offset)
    (enter, *nodes), weights = half_body(matrix, offset)
    enter.input[0] = "dequantized"
    return [quantize, dequantize, enter, *nodes], {**weights, "scale": scales["scale"], "zero": scales["zero"]}
