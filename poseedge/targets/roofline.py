"""An estimate of a graph's latency on a board that is not here: a roofline, kernel by kernel, with a floor for the launch.

It orders boards and precisions and shows what binds. It is no measurement: a builder fuses more or less than assumed here,
no kernel reaches the peak, and clocks fall with heat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from poseedge.errors import PoseedgeError
from poseedge.graph.flops import Product, UncountableError, products
from poseedge.graph.graph import Graph
from poseedge.graph.structure import decomposed_norms, dequantizer
from poseedge.targets.boards import Board, Target

LAUNCH_US = 5.0
TILE = 64  # rows and columns of a product that one multiprocessor takes at a time
ASSUMPTIONS = (
    "one kernel for every product, norm, softmax, reduction and movement of data; all else is fused into its neighbours",
    "every kernel takes the longest of three: its operations at the GPU's dense peak, its bytes at the memory's full bandwidth, "
    f"and {LAUNCH_US:g} us for a launch (5 to 10 us are quoted for Jetson, unconfirmed)",
    f"a product is cut into tiles of {TILE} x {TILE}, one for each multiprocessor at a time: small ones leave the GPU half idle",
    "clocks at the maximum that the peaks are quoted for; nothing else uses GPU or memory; no transfer from or to the host",
    "FP32 without TF32; with flags for the precision, what INT8 leaves out runs in FP16, with strong typing as the graph says",
)
BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
_REDUCING = {"LayerNormalization", "InstanceNormalization", "GroupNormalization", "Softmax", "LogSoftmax", "TopK", "ArgMax"}
_MOVING = {"Transpose", "Gather", "GatherElements", "GatherND", "Concat", "Slice", "Split", "Pad", "Tile", "Expand", "Resize"}
_MOVING |= {"ScatterND", "ScatterElements"}


@dataclass(frozen=True)
class Estimate:
    """One window's latency on a board, and its parts: each alone, as if the others took no time."""

    latency_ms: float
    compute_ms: float
    memory_ms: float
    launch_ms: float
    kernels: int
    launch_bound: int  # kernels for which the launch takes longest
    flops: int
    weight_bytes: int
    activation_bytes: int


def estimate(graph: Graph, target: Target) -> Estimate:
    """Estimate the latency of one window; raises ``PoseedgeError`` if the graph cannot be counted or the board lacks INT8."""
    board = target.board
    if board is None:
        raise PoseedgeError(f"{target.name} names no board", "choose a board's target: poseedge targets shows them")
    if graph.quantized and board.int8_tops is None:
        raise PoseedgeError(target.refusal("int8"), "take the FP16 graph")
    rest = graph.precision
    if graph.quantized:
        rest = "fp16" if target.releases[-1].typing == "weak" or graph.half else "fp32"
    counted = {product.node.output[0]: product for product in products(graph)}
    norms = decomposed_norms(graph)
    times: list[tuple[float, float]] = []
    flops = weights = activations = 0
    for node in graph.nodes:
        product = counted.get(node.output[0])
        if product is None and not _is_kernel(graph, node, norms):
            continue
        kind = "int8" if product and _reads_int8(graph, node) else rest
        constant = sum(_elements(graph, name) for name in node.input if name in graph.constant) * BYTES[kind]
        moving = sum(_elements(graph, name) for name in node.input if name and name not in graph.constant) * BYTES[kind]
        written = sum(_elements(graph, name) for name in node.output if name) * BYTES[rest]
        compute = product_seconds(product, board, kind) if product else 0.0
        times.append((compute, (constant + moving + written) / (board.memory_gb_s * 1e9)))
        flops += 2 * product.multiply_adds if product else 0
        weights, activations = weights + constant, activations + moving + written
    launch = LAUNCH_US * 1e-6
    return Estimate(
        latency_ms=sum(max(*pair, launch) for pair in times) * 1e3,
        compute_ms=sum(compute for compute, _ in times) * 1e3,
        memory_ms=sum(memory for _, memory in times) * 1e3,
        launch_ms=len(times) * launch * 1e3,
        kernels=len(times),
        launch_bound=sum(max(pair) <= launch for pair in times),
        flops=flops,
        weight_bytes=weights,
        activation_bytes=activations,
    )


def product_seconds(product: Product, board: Board, precision: str) -> float:
    """Return how long the arithmetic of a product takes: whole tiles, in waves over the multiprocessors."""
    *batch, rows, columns = (1, *product.output_shape)
    tiles = math.prod(batch) * math.ceil(rows / TILE) * math.ceil(columns / TILE)
    depth = product.multiply_adds / math.prod(product.output_shape)
    waves = math.ceil(tiles / board.sm_count)
    return waves * 2 * TILE * TILE * depth * board.sm_count / peak(board, precision)


def peak(board: Board, precision: str) -> float:
    """Return the board's dense peak, operations per second."""
    tera = {"fp32": board.fp32_tflops, "fp16": board.fp16_tflops, "int8": board.int8_tops or 0.0}[precision]
    return tera * 1e12


def _is_kernel(graph: Graph, node: onnx.NodeProto, norms: set[str]) -> bool:
    if graph.constant.issuperset(node.output):
        return False
    if node.output[0] in norms:
        return node.op_type == "Div"  # one kernel for a norm that is decomposed
    return node.op_type in _REDUCING | _MOVING or node.op_type.startswith("Reduce")


def _reads_int8(graph: Graph, node: onnx.NodeProto) -> bool:
    return all(dequantizer(graph, name) for name in node.input[:2])


def _elements(graph: Graph, name: str) -> int:
    if name not in graph.shapes:
        raise UncountableError(f"the shape of {name} cannot be inferred")
    return math.prod(graph.shapes[name])
