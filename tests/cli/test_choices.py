"""An option that cannot apply to what is named is refused, not ignored."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.doubles import onnxruntime
from tests.support.user import Command, assert_refused


def test_eval_refuses_choices_that_cannot_apply(poseedge: Command, small_bundle: Path) -> None:
    graph = small_bundle / "nanohtnet_fp32.onnx"
    assert_refused(poseedge("eval", graph, "--precision", "int8"), "a single file has one precision", "")
    assert_refused(poseedge("eval", graph, "--against", graph, "--precision", "int8"), "a single file has one precision", "")
    assert_refused(poseedge("eval", small_bundle, "--model", "nanohtnet"), "a bundle knows its network", "--model")
    assert_refused(poseedge("eval", graph, "--backend", "torch"), "backend 'torch' does not open .onnx files", "onnxruntime")


def test_choice_counts_for_the_side_of_a_comparison_that_it_can_mean(
    poseedge: Command, small_bundle: Path, export_inputs: Path
) -> None:
    data, checkpoint = export_inputs / "data", export_inputs / "small.pth"
    arguments = ("--precision", "int8", "--model", "nanohtnet", "--data", data, "--json")
    assert poseedge("eval", small_bundle, "--against", checkpoint, *arguments).json["precision"] == "int8"
    report = poseedge("eval", checkpoint, "--against", small_bundle, *arguments).json
    assert report["precision"] == "fp32"
    assert report["parity"]["distance_mm"]["mean"] > 0


def test_bench_refuses_choices_that_cannot_apply(poseedge: Command, small_bundle: Path) -> None:
    graph = small_bundle / "nanohtnet_fp32.onnx"
    assert_refused(poseedge("bench", graph, "--precision", "int8"), "--precision chooses within a bundle", "leave it out")
    assert_refused(poseedge("bench", graph, "--backend", "nonsense"), "no backend 'nonsense'", "onnxruntime")
    for option in (("--port", 22), ("--timeout", 9), ("--ssh", "ssh"), ("--python", "python3")):
        assert_refused(poseedge("bench", graph, *option), f"{option[0]} goes with --host", "leave it out")


def test_eval_tells_how_a_device_runs_the_graph(
    monkeypatch: pytest.MonkeyPatch, poseedge: Command, small_bundle: Path, export_inputs: Path
) -> None:
    onnxruntime.install(monkeypatch, "CUDAExecutionProvider", on_cpu=("Concat",))
    outcome = poseedge("eval", small_bundle, "--backend", "cuda", "--data", export_inputs / "data", "--json")
    assert outcome.json["backend"] == "cuda"
    assert "note: nanohtnet_fp32.onnx on cuda: TF32 is off" in outcome.err
    assert "nodes run in CPUExecutionProvider, such as Concat" in outcome.err


@pytest.mark.parametrize(
    "words", [("eval", ""), ("eval", "x", "--against", ""), ("eval", "x", "--model="), ("bench", "x", "--backend", "")]
)
def test_empty_words_are_refused(poseedge: Command, words: tuple[str, ...]) -> None:
    assert_refused(poseedge(*words), "an empty value after", "leave it out")


@pytest.mark.parametrize(
    "words",
    [
        ("eval", "x", "--threads", "1000"),
        ("bench", "x", "--threads", "1000"),
        ("bench", "x", "--batch", str(10**9)),
        ("build", "x", "--batch", str(10**9)),
        ("train", "--data", "x", "--output", "y", "--batch", str(10**9)),
        ("pretrain", "--data", "x", "--output", "y", "--batch", str(10**9)),
        ("quantize", "x", "--windows", "999999"),
        ("sensitivity", "x", "--windows", "999999"),
        ("compare", "x", "y", "--windows", "999999"),
    ],
    ids=" ".join,
)
def test_numbers_beyond_any_machine_are_refused_with_their_bounds(poseedge: Command, words: tuple[str, ...]) -> None:
    outcome = poseedge(*words)
    assert outcome.status == 2
    said = " ".join(outcome.err.replace("│", " ").split())
    assert f"Invalid value for '{words[-2]}'" in said
    assert re.search(r"\b(256|4096|16384|65536)\b", said)  # in whichever words typer has for it


def test_unknown_precision_of_a_bundle_is_refused_with_those_that_it_holds(poseedge: Command, small_bundle: Path) -> None:
    for verb in ("bench", "eval", "check"):
        assert_refused(poseedge(verb, small_bundle, "--precision", "int9"), "holds no int9 graph", "fp32, fp16, int8")


def test_pictures_of_an_evaluation_go_into_a_folder(poseedge: Command, small_bundle: Path) -> None:
    assert_refused(poseedge("eval", small_bundle, "--plot", "x.png"), "x.png: three pictures", "--plot x")


@pytest.mark.parametrize("verb", ["compare", "quantize", "sensitivity"])
def test_what_cannot_be_drawn_is_said_before_anything_is_computed(
    poseedge: Command, small_bundle: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    graph = small_bundle / "nanohtnet_fp32.onnx"
    graphs = [graph, graph] if verb == "compare" else [graph]
    monkeypatch.setattr("onnx.load", lambda *_, **__: pytest.fail("something was read"))
    assert_refused(poseedge(verb, *graphs, "--plot", "x.png"), "needs the Python package 'matplotlib'", "poseedge[plot]")


@pytest.mark.parametrize(
    "words",
    [("bench", "x", "--output", "."), ("quantize", "x", "--output", "."), ("compare", "x", "y", "--plot", ".")],
    ids=" ".join,
)
def test_folder_in_the_place_of_a_file_is_refused_before_any_work(poseedge: Command, words: tuple[str, ...]) -> None:
    outcome = poseedge(*words)
    assert outcome.status == 2
    assert "is a directory" in outcome.err


def test_bundle_does_not_take_the_place_of_the_folder_that_one_works_in(poseedge: Command, inputs: list[object]) -> None:
    outcome = poseedge("export", *inputs, "--output", ".", "--precision", "fp32")
    assert outcome.status == 2
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("option", [("--steady",), ("--calibration", "mse")], ids=" ".join)
def test_export_refuses_what_is_for_int8_where_none_is_exported(poseedge: Command, option: tuple[str, ...]) -> None:
    outcome = poseedge("export", "--model", "nanohtnet", "--precision", "fp16", *option)
    assert_refused(outcome, f"{option[0]} is for INT8, and fp16 is exported", "--precision int8")
