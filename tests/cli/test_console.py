"""What goes to a program is JSON, whatever the numbers."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path

import pytest

from poseedge.cli.console import emit_json, next_step, table


def test_what_json_has_no_number_for_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"a": [math.nan, 1.5, (math.inf, -math.inf)], "b": {"c": 2}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5, [None, None]], "b": {"c": 2}}


def test_long_names_are_folded_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    name = "/".join(["a-folder-with-a-long-name"] * 12) + "/graph [v2].onnx"
    table("t", ["file", "ms", "note"], [[name, "1.25", name]], text=("note",))
    said = capsys.readouterr().out
    assert "…" not in said
    assert "1.25" in said
    columns = [line for line in said.splitlines() if "a-folder" in line or "graph" in line or "onnx" in line]
    assert "".join("".join(columns).split()).count("a-folder") >= 20


def test_next_command_is_one_line_that_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    next_step("poseedge", "eval", Path("my folder/a'b [x].onnx"), "--against", "$(rm -rf x)", where="on the board")
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    typed = said.removeprefix("next: ").removesuffix(", on the board\n")
    assert shlex.split(typed) == ["poseedge", "eval", "my folder/a'b [x].onnx", "--against", "$(rm -rf x)"]
