"""What every folded network promises, checked on a reference network."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from poseedge.deploy.calibration import with_outputs
from poseedge.deploy.fold import fold
from poseedge.deploy.graph import consumers, evaluator
from poseedge.deploy.placement import place
from poseedge.deploy.precision import casts_to, selection_nodes, to_fp16
from poseedge.deploy.quantize import quantize
from poseedge.deploy.ranges import calibrate
from poseedge.deploy.trace import simplify, trace
from poseedge.models.registry import LiftingNetwork
from poseedge.models.tokens import PrunedNetwork
from tests.deploy.preflight.own import assert_targets_take
from tests.models import golden

HOSTILE = {"ScatterND", "ScatterElements", "GatherND", "Einsum", "Tile", "Expand", "Loop", "If", "NonZero", "Identity"}
HOSTILE |= {"RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike", "BatchNormalization", "Conv"}


@cache
def network(name: str) -> LiftingNetwork:
    """Return the reference network of a case."""
    module = golden.network(name)
    assert isinstance(module, LiftingNetwork)
    return module


def windows(name: str) -> npt.NDArray[np.float32]:
    """Return the case's input."""
    return np.asarray(golden.arrays(name)["input"], np.float32)


@cache
def graph(name: str, opset: int = 17) -> onnx.ModelProto:
    """Return the case's folded and simplified graph."""
    plain = network(name)
    model, note = simplify(trace(fold(plain), plain.frames, plain.in_channels, opset, free_batch=False))
    assert note == ""
    return model


def lifted(module: LiftingNetwork, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what the plain network makes of windows."""
    with torch.no_grad():
        return module.lift(torch.from_numpy(x)).numpy()


def folded_equals_plain(plain: LiftingNetwork, x: npt.NDArray[np.float32]) -> None:
    """On one window, and with a free batch on all at once."""
    wanted = lifted(plain, x)
    with torch.no_grad():
        together = fold(plain, free_batch=True)(torch.from_numpy(x)).numpy()
        first = fold(plain)(torch.from_numpy(x[:1])).numpy()
    np.testing.assert_allclose(together, wanted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(first, wanted[:1], rtol=0, atol=1e-5)


def exported_equals_plain(name: str, opset: int) -> None:
    """Window by window, on ONNX Runtime."""
    x = windows(name)
    evaluate = evaluator(graph(name, opset))
    found = np.concatenate([evaluate(window[None])[0] for window in x])
    np.testing.assert_allclose(found, lifted(network(name), x), rtol=0, atol=1e-4)


def exported_with_a_free_batch_equals_plain(name: str) -> None:
    """Whatever the number of windows."""
    plain, x = network(name), np.concatenate([windows(name), windows(name)[:, ::-1]])
    evaluate = evaluator(trace(fold(plain, free_batch=True), plain.frames, plain.in_channels, 17, free_batch=True))
    for count in (1, len(x)):
        np.testing.assert_allclose(evaluate(x[:count])[0], lifted(plain, x[:count]), rtol=0, atol=1e-4)


def graph_is_clean(name: str, opset: int) -> None:
    """No hostile operator, nothing beyond four axes, nothing that is not read, and the targets take it."""
    model = graph(name, opset)
    assert not HOSTILE & {node.op_type for node in model.graph.node}
    inferred = onnx.shape_inference.infer_shapes(model)
    assert max(len(value.type.tensor_type.shape.dim) for value in inferred.graph.value_info) <= 4
    read, given = consumers(model), {value.name for value in model.graph.output}
    assert [node.name for node in model.graph.node if not any(read[name] or name in given for name in node.output)] == []
    assert [tensor.name for tensor in model.graph.initializer if not read[tensor.name]] == []
    assert_targets_take(model)


def exported_selection_is_the_network_s(name: str) -> None:
    """The same frames, in whatever order."""
    plain = network(name)
    assert isinstance(plain, PrunedNetwork)
    wanted = plain.select(torch.from_numpy(windows(name))).numpy()
    found = [selection(graph(name), window) for window in windows(name)]
    np.testing.assert_array_equal(np.sort(found), wanted)


def selection_is_exact_in_half_precision(name: str) -> None:
    """From the pooled features on, the FP16 graph computes in float32: it keeps the frames that they call for."""
    plain, half = network(name), to_fp16(graph(name), [])
    assert isinstance(plain, PrunedNetwork)
    assert plain.pruning is not None
    choosing = [node for node in half.graph.node if node.name in selection_nodes(half)]
    assert not any(casts_to(node, onnx.TensorProto.FLOAT16) for node in choosing)
    made_there = {output for node in choosing for output in node.output}
    sources = {node.input[0] for node in choosing if casts_to(node, onnx.TensorProto.FLOAT)} - made_there
    assert len(sources) == 1
    for window in windows(name):
        (rows,) = evaluator(with_outputs(half, [*sources]), [*sources])(window[None])
        stream = torch.from_numpy(rows.astype(np.float32)).reshape(1, plain.frames, -1, rows.shape[-1])
        kept = plain.pruning(stream.mean(dim=2)).numpy()
        np.testing.assert_array_equal(np.sort(selection(half, window)), kept[0])


def selection_is_never_quantized(name: str) -> None:
    """INT8 lies before and behind it."""
    model = graph(name)
    placement = place(model)
    quantized = quantize(model, placement, calibrate(model, placement, windows(name)))
    kinds = {node.op_type for node in quantized.graph.node if node.name in selection_nodes(quantized)}
    assert "TopK" in kinds
    assert not kinds & {"QuantizeLinear", "DequantizeLinear"}


def selection(model: onnx.ModelProto, window: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Return the frames that a graph keeps of one window, in its order."""
    (index,) = [node.output[1] for node in model.graph.node if node.op_type == "TopK"]
    return evaluator(with_outputs(model, [index]), [index])(window[None])[0][0]
