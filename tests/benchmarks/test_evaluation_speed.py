"""The evaluation benchmark measures what it says, and its table holds it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.evaluation_speed import Memory, Nothing, evaluation_speed, resident_bytes, watched
from poseedge.backends.registry import load
from poseedge.data.h36m import load_dataset
from poseedge.evaluation.predict import predict
from poseedge.evaluation.score import score

app = typer.Typer()
app.command()(evaluation_speed)


def test_all_forms_evaluate_the_same_frames(small_bundle: Path, export_inputs: Path, tmp_path: Path) -> None:
    arguments = [small_bundle, export_inputs / "small.pth", "--data", export_inputs / "data", "--results", tmp_path]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    report = json.loads(next(tmp_path.glob("evaluation_*.json")).read_text())
    rows = {row["form"]: row for row in report["rows"]}
    assert [row["frames"] for row in rows.values()] == [32, 32, 32]
    wanted = score(predict(load(small_bundle), load_dataset(export_inputs / "data").of(["S9"]))).mpjpe_mm
    assert rows["ONNX Runtime"]["mpjpe_mm"] == pytest.approx(wanted)
    assert rows["PyTorch"]["mpjpe_mm"] == pytest.approx(wanted, abs=0.01)
    assert rows["PyTorch"]["predictions_bytes"] == 32 * 17 * 3 * 4
    assert "| PyTorch | 32 |" in next(tmp_path.glob("*.md")).read_text()


def test_the_lifter_that_computes_nothing_gives_zeros(small_bundle: Path) -> None:
    lifter = Nothing(load(small_bundle).spec)
    assert not lifter(np.ones((3, 27, 17, 2), np.float32)).any()


def test_memory_that_grows_is_seen() -> None:
    with watched() as memory:
        memory.advance(1)
        memory.look()
        hoard = np.ones(400_000_000, np.uint8)  # much more than what a long test run gives back meanwhile
        memory.advance(1)
        memory.look()
    found = memory.growth()
    assert found["most_bytes"] - found["settled_bytes"] > 300_000_000
    assert hoard.nbytes < resident_bytes()


def test_the_first_tenth_of_a_run_is_not_counted() -> None:
    assert Memory(100, [(0, 10), (5, 20), (10, 50), (60, 80), (100, 60)]).growth() == {
        **{"settled_bytes": 50, "end_bytes": 60, "most_bytes": 80, "samples": 3}
    }
