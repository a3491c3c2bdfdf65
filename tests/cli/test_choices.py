"""An option that cannot apply to what is named is refused, not ignored."""

from __future__ import annotations

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
