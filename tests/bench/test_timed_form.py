"""A report of INT8 on a CPU says which form of the graph was timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from poseedge.backends.onnxruntime import REWRITTEN, OnnxLifter
from poseedge.bench.measure import remarks_of
from poseedge.bench.remote_report import AS_WRITTEN, remote_report
from poseedge.bundle.reading import open_bundle
from poseedge.device.ssh import Outcome


def test_graph_that_was_rewritten_at_load_is_told(small_bundle: Path) -> None:
    lifters = [OnnxLifter(small_bundle / f"nanohtnet_{precision}.onnx") for precision in ("fp32", "int8")]
    assert remarks_of(lifters) == [f"nanohtnet_int8.onnx: {REWRITTEN} (onnxruntime)"]


def test_graph_that_ran_as_written_on_another_machine_is_told(small_bundle: Path, tmp_path: Path) -> None:
    outcomes = {precision: run_there(small_bundle, precision, tmp_path) for precision in ("fp32", "int8")}
    notes = remote_report(open_bundle(small_bundle), "there", outcomes).notes
    assert f"int8: {AS_WRITTEN}" in notes
    assert f"fp32: {AS_WRITTEN}" not in notes


def test_memory_that_another_machines_gpu_took_is_told(small_bundle: Path, tmp_path: Path) -> None:
    outcome = run_there(small_bundle, "fp32", tmp_path)
    assert outcome.report is not None
    outcome.report["method"]["memory"] = {"chosen": "mapped", "copied_ms": 0.5, "mapped_ms": 0.4}
    notes = remote_report(open_bundle(small_bundle), "there", {"fp32": outcome}).notes
    assert "fp32: keypoints and poses mapped: 0.5000 ms a call copied, 0.4000 ms mapped into the GPU" in notes


def run_there(bundle: Path, precision: str, folder: Path) -> Outcome:
    """Run the bundle's own runner on one precision; return what it reported."""
    report = folder / f"{precision}.json"
    options = ["--precision", precision, "--runs", "3", "--energy", "0", "--json", str(report)]
    subprocess.run([sys.executable, bundle / "run.py", *options], check=False, capture_output=True)
    return Outcome(json.loads(report.read_text()))
