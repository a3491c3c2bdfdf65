"""The naive route computes what the published networks compute, in their form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from benchmarks.naive import export_naive, naive_call, poses_of, published_form
from benchmarks.naive.export import FORMS
from poseedge.graph.flops import products
from poseedge.graph.graph import Graph
from poseedge.models.network import LiftingNetwork
from poseedge.models.registry import lifting_names
from poseedge.models.strided_transformer import StridedTransformer
from tests.support import golden

pytestmark = pytest.mark.slow

SMALL = [
    *("nanohtnet-small", "htnet-small", "graphmlp-small", "strided_transformer-27", "mhformer-27", "tpc_mhformer-27"),
    *("mixste-f27", "hot_mixste-f27", "tpc_mixste-f27", "motionbert-f27", "hot_motionbert-f27"),
]


@cache
def network(name: str) -> LiftingNetwork:
    module = golden.network(name)
    assert isinstance(module, LiftingNetwork)
    return module


def windows(name: str) -> torch.Tensor:
    return torch.from_numpy(golden.arrays(name)["input"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that exports a case once."""
    folder = tmp_path_factory.mktemp("naive")

    def export(name: str) -> Path:
        path = folder / f"{name}.onnx"
        if not path.is_file():
            export_naive(network(name), path)
        return path

    return export


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def largest_rank(path: Path) -> int:
    inferred = onnx.shape_inference.infer_shapes(onnx.load(path))
    return max(len(value.type.tensor_type.shape.dim) for value in inferred.graph.value_info)


def test_published_forms_are_of_networks_that_exist() -> None:
    assert set(FORMS) <= set(lifting_names())


@pytest.mark.parametrize("name", [*SMALL, "nanohtnet", "nanohtnet-pretrain"])
def test_published_form_equals_the_published_network(name: str) -> None:
    facts, stored = golden.case(name), golden.arrays(name)
    with torch.no_grad():
        output = published_form(network(name))(windows(name))
    np.testing.assert_allclose(output.numpy(), stored["output"], rtol=facts["rtol"], atol=facts["atol"])


@pytest.mark.parametrize("name", SMALL)
def test_published_form_has_the_same_state_dict_and_leaves_the_network_alone(name: str) -> None:
    plain = network(name)
    before = [type(module) for module in plain.modules()]
    published = published_form(plain)
    assert published.state_dict().keys() == plain.state_dict().keys()
    assert [type(module) for module in plain.modules()] == before != [type(module) for module in published.modules()]


@pytest.mark.parametrize("name", SMALL)
def test_naive_graph_gives_the_poses_that_deployment_wants(name: str, exported: Callable[[str], Path]) -> None:
    plain, window = network(name), windows(name)[:1]
    with torch.no_grad():
        wanted = plain.lift(window).numpy()
    np.testing.assert_allclose(naive_call(plain, exported(name), window.numpy(), threads=1)(), wanted, rtol=0, atol=1e-5)


def test_naive_graph_is_at_opset_17(exported: Callable[[str], Path]) -> None:
    assert {opset.domain: opset.version for opset in onnx.load(exported("htnet-small")).opset_import}[""] == 17


# What people export today


@pytest.mark.parametrize("name", ["nanohtnet-small", "htnet-small"])
def test_limb_features_are_scattered_joint_by_joint(name: str, exported: Callable[[str], Path]) -> None:
    found, blocks = operators(exported(name)), network(name).config["layers"]
    assert found["ScatterND"] == found["Tile"] == 8 * blocks
    assert found["Conv"] == 2 * blocks


def test_adjacency_meets_the_features_in_an_einsum(exported: Callable[[str], Path]) -> None:
    found = operators(exported("graphmlp-small"))
    assert found["Einsum"] == found["Conv"] == 2 * network("graphmlp-small").config["layers"]


def test_every_pose_of_the_sequence_is_computed_beside_the_centre(exported: Callable[[str], Path]) -> None:
    plain, path = network("strided_transformer-27"), exported("strided_transformer-27")
    assert isinstance(plain, StridedTransformer)
    window = windows("strided_transformer-27")[:1]
    outputs = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"keypoints": window.numpy()})
    with torch.no_grad():
        center, sequence = plain.forward_with_sequence(window)
    np.testing.assert_allclose(outputs[1], sequence.numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(poses_of(plain, outputs), center.numpy(), rtol=0, atol=1e-5)
    assert operators(path)["MaxPool"] == 3


@pytest.mark.parametrize("name", ["nanohtnet-small", "htnet-small", "mhformer-27", "mixste-f27", "motionbert-f27"])
def test_queries_keys_and_values_are_transposed_as_one(name: str, exported: Callable[[str], Path]) -> None:
    assert largest_rank(exported(name)) == 5


@pytest.mark.parametrize(("name", "frames"), [("mhformer-27", 27), ("tpc_mhformer-27", 9), ("tpc_mixste-f27", 9)])
def test_poses_of_all_frames_are_computed_where_the_centre_s_is_wanted(
    name: str, frames: int, exported: Callable[[str], Path]
) -> None:
    last = products(Graph.load(exported(name)))[-1]
    assert frames in last.output_shape or frames * 17 in last.output_shape


@pytest.mark.parametrize("name", ["tpc_mhformer-27", "tpc_mixste-f27"])
def test_centre_is_taken_out_of_the_ranking_by_a_scatter(name: str, exported: Callable[[str], Path]) -> None:
    found = operators(exported(name))
    assert (found["TopK"], found["ScatterND"]) == (2, 1)  # the choice, and a sort
