"""The naive route computes what the published network computes, in its form."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from benchmarks.naive_nanohtnet import export_naive, published_form
from poseedge.models.nanohtnet import NanoHTNet
from tests.models import golden

LIFTING = ["nanohtnet", "nanohtnet-small"]


def network(name: str) -> NanoHTNet:
    module = golden.network(name)
    assert isinstance(module, NanoHTNet)
    return module


@pytest.mark.parametrize("name", [name for name in golden.CASES if name.startswith("nanohtnet")])
def test_published_form_equals_the_published_network(name: str) -> None:
    facts, stored = golden.case(name), golden.arrays(name)
    with torch.no_grad():
        output = published_form(network(name))(torch.from_numpy(stored["input"]))
    np.testing.assert_allclose(output.numpy(), stored["output"], rtol=facts["rtol"], atol=facts["atol"])


def test_published_form_has_the_same_state_dict_and_leaves_the_network_alone() -> None:
    plain = network("nanohtnet-small")
    before = [type(module) for module in plain.modules()]
    assert published_form(plain).state_dict().keys() == plain.state_dict().keys()
    assert [type(module) for module in plain.modules()] == before


@pytest.mark.parametrize("name", LIFTING)
def test_naive_graph_equals_the_published_network(name: str, tmp_path: Path) -> None:
    facts, stored = golden.case(name), golden.arrays(name)
    export_naive(network(name), tmp_path / "naive.onnx")
    session = ort.InferenceSession(str(tmp_path / "naive.onnx"), providers=["CPUExecutionProvider"])
    for window, expected in zip(stored["input"], stored["output"], strict=True):
        output = session.run(None, {"keypoints": window[None]})[0]
        np.testing.assert_allclose(output[0], expected, rtol=facts["rtol"], atol=facts["atol"])


def test_naive_graph_keeps_what_people_export_today(tmp_path: Path) -> None:
    plain = network("nanohtnet-small")
    export_naive(plain, tmp_path / "naive.onnx")
    model = onnx.load(tmp_path / "naive.onnx")
    operators = Counter(node.op_type for node in model.graph.node)
    blocks = plain.config["layers"]
    assert operators["ScatterND"] == operators["Tile"] == 8 * blocks
    assert operators["Conv"] == 2 * blocks
    assert next(opset.version for opset in model.opset_import if not opset.domain) == 17
