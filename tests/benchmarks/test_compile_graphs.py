"""The table of builds tells what NVIDIA's compiler took, and what it left outside."""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.compile_graphs import markdown
from poseedge.targets.aot import Compiled


def network(int8_bytes: int, error: str = "") -> dict[str, Any]:
    common = {"opset": 17, "file_bytes": 4_100_000, "stored_weight_bytes": 1_000_000}
    whole = Compiled("sm86", nodes=9, engines=1, weight_bytes=4_000_000)
    small = Compiled("sm86", error, nodes=12, outside=["TopK choose"], weight_bytes=int8_bytes)
    rows = [
        {**common, "precision": "fp32", "findings": [], **dataclasses.asdict(whole)},
        {**common, "precision": "int8", "findings": [error] if error else [], **dataclasses.asdict(small)},
    ]
    return {"made": "2026-01-01, a machine", "graphs": rows}


def test_table_tells_nodes_inside_and_the_share_of_weights() -> None:
    table = markdown("sm86", {"htnet": network(1_000_000), "mixste": network(2_000_000)})
    assert "| htnet | 17 | int8 | 11 of 12 | 0 | 4.10 | 1.00 | 0.25 |" in table
    assert "| mixste | 17 | int8 | 11 of 12 | 0 | 4.10 | 2.00 | 0.50 |" in table
    assert "- 2026-01-01, a machine: htnet, mixste." in table
    assert "Findings: none." in table


def test_launches_are_shown_where_they_were_counted() -> None:
    counted, before = network(1_000_000)["graphs"]
    del before["kernels"]
    table = markdown("sm86", {"htnet": {"made": "then", "graphs": [{**counted, "kernels": 75}, before]}})
    assert "| htnet | 17 | fp32 | 9 of 9 | 75 | 4.10 |" in table
    assert "| htnet | 17 | int8 | 11 of 12 | - | 4.10 |" in table


def test_refusal_stands_in_the_table_and_among_the_findings() -> None:
    table = markdown("sm86", {"htnet": network(0, "no UINT8")})
    assert "| htnet | 17 | int8 | no UINT8 |" in table
    assert "- htnet opset 17 int8: no UINT8" in table
