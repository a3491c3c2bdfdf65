"""Small ONNX networks that stand in for detectors: some say what they are told, some see a bright spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]


def says(path: Path, outputs: Sequence[Array], source: Sequence[int] = (1, 3, 640, 640), kind: int = TensorProto.FLOAT) -> Path:
    """Write a network that gives ``outputs`` whatever the picture."""
    nodes = [
        helper.make_node("Constant", [], [f"out{place}"], value=numpy_helper.from_array(value.astype(np.float32)))
        for place, value in enumerate(outputs)
    ]
    shapes = {f"out{place}": list(value.shape) for place, value in enumerate(outputs)}
    return _write(path, nodes, list(source), shapes, [], kind)


def sees_spot_as_heatmap(path: Path, size: tuple[int, int] = (192, 256), attention: bool = False) -> Path:
    """Write a network whose 17 heatmaps are the brightness of the picture, made four times smaller as HRNet does.

    With ``attention``, the corners' centres of heatmap and picture coincide as in ViTPose, and there is a softmax.
    """
    width, height = size
    if attention:
        how = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
        nodes = [
            helper.make_node("Resize", ["brightness", "", "", "smaller"], ["map"], **how),
            helper.make_node("Softmax", ["map"], ["unused"]),
        ]
    else:  # the pixel of the heatmap is the first of four
        nodes = [helper.make_node("Slice", ["brightness", "from", "to", "axes", "steps"], ["map"])]
    nodes.append(helper.make_node("Expand", ["map", "shape"], ["out0"]))
    constants = {
        "smaller": np.array([1, 1, height // 4, width // 4]),
        "shape": np.array([1, 17, height // 4, width // 4]),
        **{"from": np.array([0, 0]), "to": np.array([height, width]), "axes": np.array([2, 3]), "steps": np.array([4, 4])},
    }
    return _write(path, [*_brightness(), *nodes], [1, 3, height, width], {"out0": [1, 17, height // 4, width // 4]}, constants)


def sees_spot_as_simcc(path: Path, size: tuple[int, int] = (192, 256)) -> Path:
    """Write a network that says along each axis, at half pixels, where the picture is brightest, for 17 joints."""
    width, height = size
    nodes, shapes = _brightness(), {}
    constants: dict[str, Array] = {}
    for place, (axis, length) in enumerate(((2, width), (3, height))):
        constants |= {f"axis{place}": np.array([axis]), f"finer{place}": np.array([1, 1, 2 * length])}
        constants[f"shape{place}"] = np.array([1, 17, 2 * length])
        how = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
        nodes += [
            helper.make_node("ReduceMax", ["brightness", f"axis{place}"], [f"line{place}"], keepdims=0),
            helper.make_node("Resize", [f"line{place}", "", "", f"finer{place}"], [f"fine{place}"], **how),
            helper.make_node("Expand", [f"fine{place}", f"shape{place}"], [f"out{place}"]),
        ]
        shapes[f"out{place}"] = [1, 17, 2 * length]
    return _write(path, nodes, [1, 3, height, width], shapes, constants)


def spot(size: tuple[int, int], at: tuple[float, float], spread: float) -> npt.NDArray[np.uint8]:
    """Return a dark picture ``(H, W, 3)`` with a bright spot at ``at``; (0, 0) is the first pixel's centre."""
    columns, rows = np.arange(size[0]), np.arange(size[1])[:, None]
    bright = 250 * np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * spread**2))
    return np.repeat(bright.round().astype(np.uint8)[..., None], 3, axis=2)


def _brightness() -> list[Any]:
    """Nodes that undo the normalization of the first channel: ``source`` to ``brightness``, 0 to 1."""
    return [
        helper.make_node("Gather", ["source", "red"], ["first"], axis=1),
        helper.make_node("Mul", ["first", "deviation"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["brightness"]),
    ]


def _write(
    path: Path, nodes: list[Any], source: list[int], shapes: dict[str, list[int]], constants: Any, kind: int = TensorProto.FLOAT
) -> Path:
    common = {
        "red": np.array([0]),
        "deviation": np.array(58.395 / 255, np.float32),
        "mean": np.array(123.675 / 255, np.float32),
    }
    values = {**common, **constants} if constants else {}
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "stand_in",
        [helper.make_tensor_value_info("source", kind, source)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
