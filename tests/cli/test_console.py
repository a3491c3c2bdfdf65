"""What goes to a program is JSON, whatever the numbers."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from poseedge.cli import console
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


WIDE = ["file", "backend", *(f"number\n{n}" for n in range(12))]
LINE = ["nanohtnet_fp32.onnx", "onnxruntime", *(f"{n}.123456" for n in range(12))]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_table_wider_than_the_terminal_goes_on_below_with_its_names_whole(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "out", Console(width=width))
    table("title", WIDE, [LINE, LINE], text=("backend",))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    named = [line.split() for line in lines if "nanohtnet_fp32.onnx onnxruntime" in line]
    assert [cell for row in named[::2] for cell in row[2:]] == LINE[2:]
    assert len(named) == 2 * {80: 3, 100: 2, 120: 2, 200: 1}[width]


def test_words_after_the_numbers_stand_in_one_part_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "out", Console(width=80))
    table("title", [*WIDE[2:], "note"], [[*LINE[2:], "a longer word of it"]], text=("note",))
    said = capsys.readouterr().out
    assert said.count("a longer word of it") == 1
    assert [cell for cell in said.split() if cell in LINE[3:]] == LINE[3:]


def test_long_words_beside_few_numbers_fold_in_one_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "out", Console(width=60))
    table("title", ["file", "ms", "note"], [["a.onnx", "1.25", "word " * 40]], text=("note",))
    assert capsys.readouterr().out.count("a.onnx") == 1


def test_next_command_is_one_line_that_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    next_step("poseedge", "eval", Path("my folder/a'b [x].onnx"), "--against", "$(rm -rf x)", where="on the board")
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    typed = said.removeprefix("next: ").removesuffix(", on the board\n")
    assert shlex.split(typed) == ["poseedge", "eval", "my folder/a'b [x].onnx", "--against", "$(rm -rf x)"]
