"""What each layer's INT8 costs in millimetres, and the largest set of INT8 layers within a budget.

Rounding errors of different layers are nearly independent, so their squares add: mean distances as they are, jitter as
what it exceeds the float graph's. That makes one pass over the layers enough to search with; the result is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import Float32Array, IndexArray
from poseedge.data.keypoints import with_confidence
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.data.windows import centered
from poseedge.errors import DataError, PoseedgeError
from poseedge.evaluation.parity import parity
from poseedge.evaluation.predict import Prediction
from poseedge.figure import new_figure, save_figure
from poseedge.graph.graph import Graph
from poseedge.int8.integer_products import with_integer_products
from poseedge.int8.placement import Placement, place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import centred_by, read_ranges
from poseedge.lifter import LifterSpec
from poseedge.skeleton import ROOT


@dataclass(frozen=True)
class Degradation:
    """How far quantizing moves the poses, millimetres; jitter per frame squared, beside the float graph's."""

    delta_mpjpe_mm: float
    mean_mm: float
    p99_mm: float
    jitter_mm: float
    float_jitter_mm: float

    @property
    def jitter_ratio(self) -> float:
        """Jitter, as a multiple of the float graph's."""
        return self.jitter_mm / self.float_jitter_mm

    @property
    def added_jitter(self) -> float:
        """The square of what the jitter has more than the float graph's: it adds up over layers."""
        return max(self.jitter_mm**2 - self.float_jitter_mm**2, 0.0)


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer, quantized alone."""

    name: str
    macs: int  # multiply-adds of one window
    cost: Degradation


@dataclass(frozen=True)
class Budget:
    """What INT8 may cost: mean distance in millimetres, jitter as a multiple of the float graph's; None is no limit."""

    mean_mm: float | None = None
    jitter_ratio: float | None = None

    def holds(self, cost: Degradation) -> bool:
        """Say whether ``cost`` is within the budget."""
        far = self.mean_mm is not None and cost.mean_mm > self.mean_mm
        return not far and not (self.jitter_ratio is not None and cost.jitter_ratio > self.jitter_ratio)


@dataclass(frozen=True)
class SearchResult:
    """The result of a search: the layers that are relieved of plain INT8, worst first, and what the rest costs."""

    relieved: list[str]
    cost: Degradation
    int8_share: float  # of all Linear multiply-adds, two-step layers included


@dataclass(frozen=True)
class Run:
    """Consecutive frames of one sequence, and the windows that lift them."""

    sequence: PoseSequence
    frames: IndexArray
    windows: Float32Array  # (W, T, 17, C)
    slots: tuple[IndexArray, IndexArray]  # window and slot of each frame


def choose_runs(dataset: PoseDataset, spec: LifterSpec, frames: int, length: int = 12, seed: int = 0) -> list[Run]:
    """Return runs of ``length`` consecutive frames, ``frames`` in all, spread over the sequences of ``dataset``.

    A network that gives every frame of a window of ``length`` or more lifts a run in one window, any other in a window for
    each frame.
    """
    long = [sequence for sequence in dataset.sequences if len(sequence) >= length]
    if not long:
        raise DataError(f"{dataset.name} has no sequence of {length} frames", "choose another data set")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(long))
    found = []
    for number in range(-(-frames // length)):
        sequence = long[order[number % len(long)]]
        start = int(rng.integers(len(sequence) - length + 1))
        rows = np.arange(start, start + length)
        every, count = centered(len(sequence), spec.frames, spec.shown_frame), np.arange(length)
        if len(spec.output_frames) < max(spec.frames, length):
            indices, slots = every[rows], (count, np.full(length, spec.center_slot))
        else:
            middle = start + length // 2
            indices, slots = every[middle : middle + 1], (np.zeros_like(count), rows - middle + spec.center_slot)
        windows = with_confidence(sequence.keypoints[indices], spec.channels)
        found.append(Run(sequence, rows, np.ascontiguousarray(windows, np.float32), slots))
    return found


class Sensitivity:
    """Measures INT8 forms of one float graph on the same runs of frames."""

    def __init__(self, graph: Graph, spec: LifterSpec, runs: list[Run], ranges: Mapping[str, Any]) -> None:
        """``ranges`` are what ``measure_ranges`` found on the tensors of all layers."""
        self.graph, self.spec, self.runs, self.ranges = graph, spec, runs, ranges
        self.layers = place(graph).layers
        if not self.layers:
            raise PoseedgeError("no layer of this graph takes INT8", "poseedge quantize says where INT8 goes")
        self.macs = multiply_adds(graph)
        self.exact = self.lift(graph)

    def lift(self, graph: Graph) -> list[Prediction]:
        """Return the poses of all runs."""
        evaluate = with_integer_products(graph).evaluator(optimize=True)
        predictions = []
        for run in self.runs:
            poses = np.concatenate([evaluate(window[None])[0] for window in run.windows])[run.slots]
            poses[:, ROOT] = 0
            predictions.append(Prediction(run.sequence, run.frames, poses))
        return predictions

    def cost(self, keep: list[str], two_step: list[str]) -> Degradation:
        """Return what INT8 costs but for the layers ``keep``, the inputs of the layers ``two_step`` rounded twice."""
        return self.cost_of(self.quantized(keep, two_step))

    def quantized(self, keep: list[str], two_step: list[str]) -> Graph:
        """Return that INT8 form of the graph."""
        placement = place(self.graph, keep, two_step)
        return quantize(self.graph, placement, read_ranges(retargeted(self.ranges, placement)))

    def cost_of(self, quantized: Graph) -> Degradation:
        """Return what any INT8 form of the graph costs."""
        found = parity(self.lift(quantized), self.exact)
        distance, jitter = found.distance_mm, found.jitter_mm
        assert jitter is not None  # the frames of a run follow each other
        return Degradation(found.delta_mpjpe_mm, distance.mean, distance.p99, jitter.this, jitter.against)

    def rank(self, advance: Callable[[int], None] = lambda _: None) -> list[LayerSensitivity]:
        """Return every layer with what it costs alone, the worst first."""
        ranked = []
        for name in self.layers:
            alone = self.cost([other for other in self.layers if other != name], [])
            ranked.append(LayerSensitivity(name, self.macs[name], alone))
            advance(1)
        return sorted(ranked, key=lambda layer: -layer.cost.mean_mm)

    def search(
        self,
        ranked: list[LayerSensitivity],
        budget: Budget,
        two_step: bool,
        advance: Callable[[int], None] = lambda _: None,
        worth: Mapping[str, float] | None = None,
    ) -> SearchResult:
        """Return the smallest set of layers to relieve, by ``worth``, for the rest to stay within ``budget``.

        ``worth`` is what INT8 brings in each layer: its multiply-adds unless given. A layer where it brings nothing is
        relieved whatever the budget. They are kept float, or with ``two_step`` round their input twice. Raises
        ``PoseedgeError`` if even that does not hold it.
        """
        worth = worth or {layer.name: layer.macs for layer in ranked}
        order = sorted(ranked, key=lambda layer: -price(burden(layer.cost, budget), worth[layer.name]))
        relieved = sum(worth[layer.name] <= 0 for layer in ranked)
        strictness = 1.0  # how much less than the budget the sum of squares may be, learnt from what was measured
        while True:
            relieved = max(relieved, layers_to_keep(order, budget, strictness))
            names = [layer.name for layer in order[:relieved]]
            cost = self.cost([], names) if two_step else self.cost(names, [])
            advance(1)
            if budget.holds(cost):
                left = sum(layer.macs for layer in ranked) - (0 if two_step else sum(layer.macs for layer in order[:relieved]))
                return SearchResult(names, cost, left / sum(self.macs.values()))
            if relieved >= len(order) - (0 if two_step else 1):
                raise PoseedgeError("no set of INT8 layers holds this budget", "allow more, or try the other remedy: --two-step")
            strictness *= 0.9
            relieved += 1


def price(burden: float, worth: float) -> float:
    """Return what a layer's INT8 costs for what it brings."""
    return burden / worth if worth > 0 else math.inf


def burden(cost: Degradation, budget: Budget) -> float:
    """Return a layer's share of what the budget limits: squares, relative to the limits."""
    far = cost.mean_mm**2 / budget.mean_mm**2 if budget.mean_mm else 0.0
    jumpy = 0.0
    if budget.jitter_ratio:
        jumpy = cost.added_jitter / (max(budget.jitter_ratio**2 - 1, 1e-3) * cost.float_jitter_mm**2)
    return max(far, jumpy) if budget.mean_mm or budget.jitter_ratio else cost.mean_mm**2


def layers_to_keep(order: list[LayerSensitivity], budget: Budget, strictness: float) -> int:
    """Return how many of the first layers to relieve for the squares of the others to add up to less than the budget."""
    for count in range(len(order)):
        rest = [layer.cost for layer in order[count:]]
        far = sum(cost.mean_mm**2 for cost in rest)
        added = sum(cost.added_jitter for cost in rest)
        still = rest[0].float_jitter_mm ** 2
        if (budget.mean_mm is None or far <= strictness * budget.mean_mm**2) and (
            budget.jitter_ratio is None or added <= strictness * still * (budget.jitter_ratio**2 - 1)
        ):
            return count
    return len(order)


def retargeted(found: Mapping[str, Any], placement: Placement) -> dict[str, Any]:
    """Return what was measured of the tensors of ``placement``, centred as it says: that depends on which layers take INT8."""
    measured = ("share", "low", "high", "mean")
    tensors = {
        key: {**{name: found["tensors"][key][name] for name in measured}, **centred_by(placement, key)}
        for key in placement.tensors
    }
    return {**found, "tensors": tensors}


def multiply_adds(graph: Graph) -> dict[str, int]:
    """Return the multiply-adds of every Linear layer, for one window."""
    return {
        name: math.prod(graph.shapes.get(node.output[0], ())[:-1]) * math.prod(graph.stored[node.input[1]].dims)
        for name, node in graph.layers.items()
    }


def as_json(ranked: list[LayerSensitivity], total: int) -> list[dict[str, Any]]:
    """Return the ranking for machines."""
    return [{"name": layer.name, "share": layer.macs / total, **asdict(layer.cost)} for layer in ranked]


def draw_sensitivity(ranked: list[LayerSensitivity], title: str, path: Path) -> None:
    """Draw the ranking as a PNG: what each layer alone moves, and the jitter it adds. Needs matplotlib."""
    figure = new_figure(10, 1.6 + 0.17 * len(ranked))
    left, right = figure.subplots(1, 2, sharey=True)
    names = [layer.name for layer in ranked]
    left.barh(names, [layer.cost.mean_mm for layer in ranked], color="tab:blue")
    right.barh(names, [np.sqrt(layer.cost.added_jitter) for layer in ranked], color="tab:orange")
    still = ranked[0].cost.float_jitter_mm
    right.axvline(still, color="black", linewidth=1, linestyle="--", label=f"float graph's own: {still:.2f}")
    right.legend(loc="lower right")
    left.set(title="mean distance, mm", ylim=(len(names) - 0.4, -0.6))
    right.set(title="jitter added, mm per frame squared")
    for axes in (left, right):
        axes.grid(axis="x", linewidth=0.5)
        axes.tick_params(axis="y", labelsize=7)
    figure.suptitle(title)
    save_figure(figure, path)
