"""The record of builds is written network by network, and keeps the others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks import compile_graphs
from benchmarks.compile_graphs import record_rows
from poseedge.targets.aot import Compiled, Compiler

COMPILER = cast(Compiler, SimpleNamespace(architecture="sm86", version="0.5.0"))


def rows(network: str, int8_bytes: int, error: str = "") -> list[dict[str, Any]]:
    common = {"network": network, "opset": 17, "file_bytes": 4_100_000, "stored_weight_bytes": 1_000_000}
    whole = Compiled("sm86", nodes=9, engines=1, weight_bytes=4_000_000)
    small = Compiled("sm86", error, nodes=12, outside=["TopK choose"], weight_bytes=int8_bytes)
    return [
        {**common, "precision": "fp32", "findings": [], **dataclasses.asdict(whole)},
        {**common, "precision": "int8", "findings": [error] if error else [], **dataclasses.asdict(small)},
    ]


def test_a_network_s_rows_take_the_place_of_its_former_ones(tmp_path: Path) -> None:
    record_rows(tmp_path, COMPILER, rows("mixste", 3_000_000))
    record_rows(tmp_path, COMPILER, rows("htnet", 1_000_000))
    record_rows(tmp_path, COMPILER, rows("mixste", 1_000_000))
    kept = json.loads((tmp_path / "compile_sm86.json").read_text())["rows"]
    assert [(row["network"], row["weight_bytes"]) for row in kept if row["precision"] == "int8"] == [
        ("htnet", 1_000_000),
        ("mixste", 1_000_000),
    ]


def test_every_row_says_when_and_on_what_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_rows(tmp_path, COMPILER, rows("mixste", 1_000_000))
    monkeypatch.setattr(compile_graphs, "made_now", lambda _: "2020-01-01, another machine")
    record_rows(tmp_path, COMPILER, rows("htnet", 1_000_000))
    lines = (tmp_path / "compile_sm86.md").read_text().splitlines()
    assert "- 2020-01-01, another machine: htnet." in lines
    assert any(line.startswith("- 20") and line.endswith(" 0.5.0: mixste.") for line in lines)


def test_table_tells_nodes_inside_and_the_share_of_weights(tmp_path: Path) -> None:
    record_rows(tmp_path, COMPILER, rows("htnet", 1_000_000))
    table = (tmp_path / "compile_sm86.md").read_text()
    assert "| htnet | 17 | int8 | 11 of 12 | 0 | 4.10 | 1.00 | 0.25 |" in table
    assert "Findings: none." in table


def test_launches_are_shown_where_they_were_counted(tmp_path: Path) -> None:
    counted, before = rows("htnet", 1_000_000)[:2]
    del before["kernels"]
    record_rows(tmp_path, COMPILER, [{**counted, "kernels": 75}, before])
    table = (tmp_path / "compile_sm86.md").read_text()
    assert "| htnet | 17 | fp32 | 9 of 9 | 75 | 4.10 |" in table
    assert "| htnet | 17 | int8 | 11 of 12 | - | 4.10 |" in table


def test_refusal_stands_in_the_table_and_among_the_findings(tmp_path: Path) -> None:
    record_rows(tmp_path, COMPILER, rows("htnet", 0, "no UINT8"))
    table = (tmp_path / "compile_sm86.md").read_text()
    assert "| htnet | 17 | int8 | no UINT8 |" in table
    assert "- htnet opset 17 int8: no UINT8" in table
