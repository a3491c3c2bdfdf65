"""What ``poseedge models`` counts of each network is what was counted of the published code."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from poseedge.bench.networks import facts_of
from poseedge.models import create, names
from poseedge.models.flops import count
from poseedge.models.network import LiftingNetwork
from poseedge.models.registry import network_class

# The selection's distances between frames, on top of TPC-MHFormer's figures.
SELECTION = {frames: 2 * frames**2 * 1536 / 1e9 for frames in (351, 243)}
# Parameters, and GFLOPs of one window: with attention products, and without, as the papers count.
COUNTED: dict[str, tuple[int, float, float | None]] = {
    "nanohtnet": (2_491_567, 0.0579, None),
    "htnet": (3_048_489, 0.0758, None),
    "graphmlp": (9_489_440, 2 * (0.17384 + 0.00355), None),
    "nehsnet": (4_050_805, 2 * 0.0625, None),
    "strided_transformer": (4_346_214, 2.120, 1.601),
    "mhformer": (31_516_125, 16.436, 14.146),
    "tpc_mhformer": (31_516_125, 9.165 + SELECTION[351], 8.220),
    "mixste": (33_783_811, 294.85, 277.25),
    "hot_mixste": (35_000_323, 176.2, 167.5),
    "tpc_mixste": (33_783_811, 266.8, 251.3),
    "motionbert": (16_001_549, 142.1, 131.1),
    "hot_motionbert": (16_347_661, 66.9, 63.2),
}
OTHER_SIZES: list[tuple[str, dict[str, Any], float]] = [
    ("nanohtnet", {"keep_frames": 27}, 0.1048),
    ("nanohtnet", {"frames": 27}, 0.0544),
    ("graphmlp", {"frames": 243}, 2 * (0.17805 + 0.00355)),
    ("strided_transformer", {"frames": 27, "stride_num": [3, 3, 3]}, 0.130),
    ("strided_transformer", {"frames": 81, "stride_num": [3, 3, 9]}, 0.407),
    ("strided_transformer", {"frames": 243, "stride_num": [3, 9, 9]}, 1.357),
    ("mhformer", {"frames": 27}, 1.046),
    ("mhformer", {"frames": 81}, 3.247),
    ("mhformer", {"frames": 243}, 10.724),
    ("tpc_mhformer", {"frames": 243, "token_num": 81}, 5.977 + SELECTION[243]),
]


def network(name: str, **config: Any) -> LiftingNetwork:
    """Return a network without weights."""
    with torch.device("meta"):
        module = create(name, **config)
    assert isinstance(module, LiftingNetwork)
    return module


def test_every_lifting_network_was_counted() -> None:
    assert sorted(COUNTED) == [name for name in names() if issubclass(network_class(name), LiftingNetwork)]


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_and_operations_are_those_of_the_published_network(name: str) -> None:
    parameters, gflops, _ = COUNTED[name]
    facts = facts_of(network(name))
    assert facts["parameters"] == parameters
    assert facts["flops"] == pytest.approx(gflops * 1e9, rel=0.01)
    assert facts["flops_per_output_frame"] == facts["flops"] // facts["frames_out"]


@pytest.mark.parametrize("name", [name for name, counted in COUNTED.items() if counted[2]])
def test_operations_without_attention_products_are_what_the_paper_states(name: str) -> None:
    flops, attention = count(network(name).to("meta"), "meta")
    assert flops - attention == pytest.approx((COUNTED[name][2] or 0) * 1e9, rel=0.01)


@pytest.mark.parametrize(("name", "config", "gflops"), OTHER_SIZES)
def test_other_sizes_cost_what_was_counted(name: str, config: dict[str, Any], gflops: float) -> None:
    assert facts_of(network(name, **config))["flops"] == pytest.approx(gflops * 1e9, rel=0.01)
