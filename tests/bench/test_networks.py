"""What ``poseedge models`` counts of each network is what was counted of the published code."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from poseedge.bench.networks import counted_default, network_facts, sizes_of
from poseedge.models import create
from poseedge.models.flops import count
from poseedge.models.network import LiftingNetwork
from poseedge.network_files import read_table
from tests.support.networks import LIFTING

COUNTED = [(name, size) for name in LIFTING for size in read_table(name, "counted")]


def network(name: str, **config: Any) -> LiftingNetwork:
    """Return a network without weights."""
    with torch.device("meta"):
        module = create(name, **config)
    assert isinstance(module, LiftingNetwork)
    return module


@pytest.mark.parametrize("name", LIFTING)
def test_parameters_and_operations_of_the_default_size_were_counted(name: str) -> None:
    default = next(size for size in read_table(name, "counted") if "network" not in size)
    assert default.keys() >= {"parameters", "gflops"}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIFTING)
def test_sizes_in_the_file_are_those_of_the_network(name: str) -> None:
    assert read_table(name, "default") in ({}, counted_default(name))


def test_network_whose_file_has_no_sizes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    told = network_facts()
    monkeypatch.setattr(
        "poseedge.bench.networks.read_table", lambda name, table: {} if table == "default" else read_table(name, table)
    )
    monkeypatch.setattr("poseedge.bench.networks.network_files", lambda: {"nanohtnet": None})
    assert network_facts() == [row for row in told if row["name"] == "nanohtnet"]
    assert told[0]["flops_per_output_frame"] == told[0]["flops"] // told[0]["frames_out"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), COUNTED)
def test_parameters_and_operations_are_those_of_the_published_network(name: str, size: dict[str, Any]) -> None:
    facts = sizes_of(network(name, **size.get("network", {})))
    assert facts["parameters"] == size.get("parameters", facts["parameters"])
    assert facts["flops"] == pytest.approx(size["gflops"] * 1e9, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [(name, size) for name, size in COUNTED if "gflops_without_attention" in size])
def test_operations_without_attention_products_are_what_the_paper_states(name: str, size: dict[str, Any]) -> None:
    flops, attention = count(network(name, **size.get("network", {})).to("meta"), "meta")
    assert flops - attention == pytest.approx(size["gflops_without_attention"] * 1e9, rel=0.01)
