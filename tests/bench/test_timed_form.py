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
    outcomes = {}
    for precision in ("fp32", "int8"):
        report = tmp_path / f"{precision}.json"
        options = ["--precision", precision, "--runs", "3", "--energy", "0", "--json", str(report)]
        subprocess.run([sys.executable, small_bundle / "run.py", *options], check=False, capture_output=True)
        outcomes[precision] = Outcome(json.loads(report.read_text()))
    notes = remote_report(open_bundle(small_bundle), "there", outcomes).notes
    assert f"int8: {AS_WRITTEN}" in notes
    assert f"fp32: {AS_WRITTEN}" not in notes
