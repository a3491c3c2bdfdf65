"""Two graphs of one network, or an engine and a graph, layer by layer: where do they part?

Tensors correspond by name: the names that tracing gives, by module scope, are kept by the precision passes. Some of the
same name are not the same by intention, since INT8 moves constants about (``quantize.py``): a product before its bias is
left out, as is a norm that only INT8 layers read; any other norm's output is compared without its bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseedge.arrays import AnyArray, Float32Array
from poseedge.errors import ArtefactError
from poseedge.figure import new_figure, save_figure
from poseedge.graph.graph import Graph
from poseedge.graph.lifting import open_lifting, pose_output
from poseedge.lifter import LifterSpec

TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2, "int8": 1e-1, "int8-fp16": 1e-1}  # relative error, by the lower precision of the two
AT_ONCE_BYTES = 256 << 20  # fetched from each graph in one pass: an attention map of MotionBERT takes 32 MB
PRODUCTS = ("MatMul", "Gemm", "Conv")


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    path: Path
    graph: Graph
    spec: LifterSpec

    @classmethod
    def read(cls, path: Path) -> Side:
        """Read an ONNX file; raises ``ArtefactError`` for anything else."""
        return cls(path, *open_lifting(path))

    def tensors(self, names: list[str]) -> Callable[[Float32Array], list[AnyArray]]:
        """Return a function from one window to the tensors ``names``."""
        return self.graph.evaluator(names)

    def poses(self) -> Callable[[Float32Array], AnyArray]:
        """Return a function from one window to its joints, metres."""
        evaluate = self.graph.evaluator([pose_output(self.graph)])
        return lambda keypoints: evaluate(keypoints)[0]


@dataclass(frozen=True)
class LayerDifference:
    """How far two tensors of one name are apart, over all windows; ``relative_error`` is None if it is not finite.

    The relative error is the root of the squared difference's sum over that of the first graph's squares.
    """

    name: str
    tensor: str
    operator: str
    relative_error: float | None
    largest: float | None  # absolute difference

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise, decibel; None where the two are the same or not finite."""
        return -20 * float(np.log10(self.relative_error)) if self.relative_error else None

    def parts(self, tolerance: float) -> bool:
        """Whether the two are further apart than ``tolerance``."""
        return self.relative_error is None or self.relative_error > tolerance


@dataclass(frozen=True)
class Comparison:
    """Layers in the order in which they are computed."""

    layers: list[LayerDifference]
    tolerance: float
    distance_mm: dict[str, float]  # between the two poses: mean, p99, max

    @property
    def first(self) -> LayerDifference | None:
        """The first layer where the two part."""
        return next((layer for layer in self.layers if layer.parts(self.tolerance)), None)


def tensor_comparison(
    this: Side,
    other: Side,
    windows: Float32Array,
    every_tensor: bool = False,
    tolerance: float | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Run both on ``windows (N, T, 17, C)`` and compare the last tensor of each layer, or ``every_tensor``.

    ``advance`` is told about every window of every pass; there are ``passes_needed`` of them.
    """
    parts = portions(this.graph, corresponding(this.graph, other.graph, every_tensor))
    lower = max(this.spec.precision, other.spec.precision, key=list(TOLERANCE).index)
    errors: dict[str, _Difference] = {}
    for part in parts:
        sides = [fetch(side, part) for side in (this, other)]
        for window in windows:
            for name, a, b in zip(part, *(side(window[None]) for side in sides), strict=True):
                if a.size == b.size:
                    errors.setdefault(name, _Difference()).add(a, b.reshape(a.shape))
            advance(1)
    label = str if every_tensor else scope
    layers = [
        LayerDifference(label(name), name, this.graph.makers[name].op_type, *error.result()) for name, error in errors.items()
    ]
    if not layers:
        raise ArtefactError(
            f"{this.path.name} and {other.path.name} have no tensor in common", "compare graphs of one network, exported alike"
        )
    chosen = TOLERANCE[lower] if tolerance is None else tolerance
    return Comparison(layers, chosen, pose_distance_mm(this, other, windows))


def passes_needed(this: Side, other: Side, every_tensor: bool) -> int:
    """Return how often both graphs run on all windows."""
    return len(portions(this.graph, corresponding(this.graph, other.graph, every_tensor)))


def corresponding(this: Graph, other: Graph, every_tensor: bool) -> list[str]:
    """Return the tensors to compare, in the order in which ``this`` computes them."""
    shared = set(other.makers) - unfinished(other) - unfinished(this)
    names = [name for node in this.nodes for name in node.output if name in shared]
    if every_tensor:
        return names
    last = {scope(name): name for name in names}
    return [name for name in names if last[scope(name)] == name]


def portions(graph: Graph, names: list[str]) -> list[list[str]]:
    """Cut ``names`` into lists of tensors that together stay below ``AT_ONCE_BYTES``, for one window."""
    parts: list[list[str]] = []
    held = AT_ONCE_BYTES
    for name in names:
        size = 4 * math.prod(graph.shapes[name]) if name in graph.shapes else 0
        if held + size > AT_ONCE_BYTES:
            parts.append([])
            held = 0
        parts[-1].append(name)
        held += size
    return parts


def scope(tensor: str) -> str:
    """Return the layer that a tensor belongs to: ``temporal.0.mlp.fc1`` for ``/temporal.0/mlp/fc1/Add_output_0``."""
    path = tensor.removeprefix("/").split("/")
    return ".".join(path[:-1]) if len(path) > 1 else tensor


def unfinished(graph: Graph) -> set[str]:
    """Return the products that wait for their bias, and the norms that INT8 scales anew: constants may have moved."""
    added = {node.output[0]: graph.reader(node.output[0], "Add") for node in graph.of(*PRODUCTS)}
    products = {name for name, bias in added.items() if bias and not graph.stored.keys().isdisjoint(bias.input)}
    norms = {node.output[0] for node in graph.of("LayerNormalization")}
    following = {name: {reader.op_type for reader in graph.readers[name]} for name in norms}
    return products | {name for name in norms if following[name] and following[name] <= {"QuantizeLinear", "Sub"}}


def fetch(side: Side, names: list[str]) -> Callable[[Float32Array], Iterator[AnyArray]]:
    """Return a function from keypoints to the tensors ``names``, one after the other; of norms, without their bias."""
    biases = {
        node.output[0]: bias
        for node in side.graph.of("LayerNormalization")
        if len(node.input) == 3 and (bias := side.graph.value(node.input[2])) is not None
    }
    made = {node.output[0]: node.input[0] for node in side.graph.of("Cast")}  # a kept norm is cast
    evaluate = side.tensors(names)
    return lambda keypoints: (
        value.astype(np.float64) - biases.get(made.get(name, name), 0)
        for name, value in zip(names, evaluate(keypoints), strict=True)
    )


def pose_distance_mm(this: Side, other: Side, windows: Float32Array) -> dict[str, float]:
    """Return the distances between the joints that the two give, millimetres."""
    sides = [side.poses() for side in (this, other)]
    poses_m = [np.concatenate([side(window[None]).reshape(-1, 3) for window in windows]).astype(np.float64) for side in sides]
    distance = 1000 * np.linalg.norm(poses_m[0] - poses_m[1], axis=-1)
    return {"mean": float(distance.mean()), "p99": float(np.percentile(distance, 99)), "max": float(distance.max())}


@dataclass
class _Difference:
    """Sums over windows."""

    signal: float = 0.0
    noise: float = 0.0
    largest: float = 0.0

    def add(self, a: AnyArray, b: AnyArray) -> None:
        """Add one window's tensor of each side."""
        self.signal += float(np.square(a).sum())
        self.noise += float(np.square(a - b).sum())
        self.largest = float(np.maximum(self.largest, np.abs(a - b).max(initial=0)))  # keeps NaN

    def result(self) -> tuple[float | None, float | None]:
        """Return relative error and largest difference, None where they are not finite."""
        relative = (self.noise / self.signal) ** 0.5 if self.signal else float(self.noise and np.inf)
        found = [value if np.isfinite(value) else None for value in (relative, self.largest)]
        return found[0], found[1]


def draw_comparison(comparison: Comparison, title: str, path: Path) -> None:
    """Draw the relative error of each layer as a PNG; needs matplotlib."""
    layers = comparison.layers
    shown = [comparison.tolerance or 1.0, *(layer.relative_error for layer in layers if layer.relative_error)]
    floor, ceiling = 10 ** np.floor(np.log10(min(shown))), 10 ** np.ceil(np.log10(1.01 * max(shown)))
    figure = new_figure(9, 1.5 + 0.16 * len(layers))
    axes = figure.subplots()
    lengths = [ceiling if layer.relative_error is None else max(layer.relative_error, floor) for layer in layers]
    colors = ["tab:red" if layer.parts(comparison.tolerance) else "tab:blue" for layer in layers]
    axes.barh(range(len(layers)), lengths, left=0, color=colors)
    axes.axvline(comparison.tolerance, color="black", linewidth=1, linestyle="--", label=f"tolerance {comparison.tolerance:g}")
    axes.set_xscale("log")
    axes.set_xlim(floor, ceiling)
    axes.tick_params(axis="x", which="minor", labelbottom=False)
    axes.set_yticks(range(len(layers)), [layer.name for layer in layers], fontsize=6)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlabel("relative error")
    axes.set_title(title, fontsize=10)
    axes.legend(loc="lower right")
    save_figure(figure, path)
