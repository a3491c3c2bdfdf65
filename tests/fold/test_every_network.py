"""Every network's folded form equals the plain one, and its graph is fit for deployment."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from poseedge.fold import has_fold
from poseedge.graph.graph import Graph
from poseedge.models.pruning import PrunedNetwork
from tests.support.networks import LIFTING, assert_folded_equals_plain, exported, lifted, lifting, reference_cases, windows
from tests.support.own_graphs import assert_targets_take

pytestmark = pytest.mark.slow

REFERENCE = reference_cases()
CASES = [f"small {name}" for name in LIFTING]

HOSTILE = {"ScatterND", "ScatterElements", "GatherND", "DFT", "Einsum", "Tile", "Expand", "Loop", "If", "Shape", "NonZero"}
HOSTILE |= {"RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike", "Identity"}
FOLDED_AWAY = {"BatchNormalization", "Conv"}
LARGEST_RANK = 4
EXPORT_TOLERANCE_M = 1e-4


@pytest.mark.parametrize("name", [case for cases in REFERENCE.values() for case in cases])
def test_folded_network_equals_the_plain_one(name: str) -> None:
    assert_folded_equals_plain(lifting(name), windows(lifting(name), 3))


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("name", CASES)
def test_exported_graph_equals_the_network(name: str, opset: int) -> None:
    keypoints = windows(lifting(name), 2)
    evaluate = exported(name, opset).evaluator()
    found = np.concatenate([evaluate(window[None].numpy())[0] for window in keypoints])
    np.testing.assert_allclose(found, lifted(lifting(name), keypoints), rtol=0, atol=EXPORT_TOLERANCE_M)


@pytest.mark.parametrize("name", CASES)
def test_exported_graph_with_a_free_batch_equals_the_network(name: str) -> None:
    keypoints = windows(lifting(name), 3)
    evaluate, wanted = exported(name, 17, free_batch=True).evaluator(), lifted(lifting(name), keypoints)
    for count in (1, 3):
        found = evaluate(keypoints[:count].numpy())[0]
        np.testing.assert_allclose(found, wanted[:count], rtol=0, atol=EXPORT_TOLERANCE_M)


@pytest.mark.parametrize(("opset", "free_batch"), [(13, False), (17, False), (17, True)])
@pytest.mark.parametrize("name", CASES)
def test_exported_graph_is_fit_for_deployment(name: str, opset: int, free_batch: bool) -> None:
    graph = exported(name, opset, free_batch)
    gathers = free_batch and isinstance(lifting(name), PrunedNetwork)  # which rows depends on how many windows there are
    needed = ({"Shape"} if gathers else set()) | (set() if has_fold(lifting(name)) else FOLDED_AWAY)
    assert not hostile(graph) - needed
    inferred = onnx.shape_inference.infer_shapes(graph.proto, strict_mode=True).graph
    assert max(len(value.type.tensor_type.shape.dim) for value in inferred.value_info) <= LARGEST_RANK
    assert max(len(tensor.dims) for tensor in inferred.initializer) <= LARGEST_RANK
    assert not unread(graph)
    assert_targets_take(graph)


def hostile(graph: Graph) -> set[str]:
    """Return the operators of ``model`` that deployment suffers from."""
    return (HOSTILE | FOLDED_AWAY) & {node.op_type for node in graph.nodes}


def unread(graph: Graph) -> list[str]:
    """Return the nodes and weights of ``model`` whose result is not used."""
    read, given = graph.readers, graph.outputs
    nodes = [node.name for node in graph.nodes if not any(read[name] or name in given for name in node.output)]
    return nodes + [tensor.name for tensor in graph.proto.graph.initializer if not read[tensor.name]]
