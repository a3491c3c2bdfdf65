"""Steps are timed in a real training, and waiting for windows shows."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import loading as module
from benchmarks.loading import extrapolated, loading, train
from poseedge.errors import PoseedgeError
from poseedge.training.batch import Batch, ProcessShare
from tests.support.folders import MINI
from tests.support.training import FewWindows, network, recipe

PAUSE_S = 0.3
app = typer.Typer()
app.command()(loading)


class Slow(FewWindows):
    """Windows that take longer to cut than a step takes."""

    def draw(self, step: int, size: int, share: ProcessShare) -> Batch:
        time.sleep(PAUSE_S)
        return super().draw(step, size, share)


def test_a_step_grows_along_a_straight_line() -> None:
    fixed, each = 0.3, 0.02
    assert extrapolated(fixed + 8 * each, fixed + 16 * each, 256 / 8) == pytest.approx(fixed + 256 * each)


def test_a_double_batch_that_took_no_longer_is_no_measurement() -> None:
    with pytest.raises(PoseedgeError, match=r"a batch took 2\.000 s, one of double size 1\.900 s"):
        extrapolated(2.0, 1.9, 32)


@pytest.mark.slow
def test_slow_windows_make_a_training_wait() -> None:
    watch, slow = (train(network(), recipe(), source, 4, 4) for source in (FewWindows(), Slow()))
    assert len(watch.step_s) == len(slow.step_s) == 4
    assert watch.waited_s < slow.waited_s < slow.clock_s
    assert slow.clock_s > 3 * PAUSE_S  # the first wait is not among them
    assert sum(slow.step_s) < slow.clock_s  # waiting takes no processor


@pytest.mark.slow
def test_table_is_recorded_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine_slug", lambda _: "here")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- loading -->\n<!-- end of loading -->\nafter\n")
    wanted = [str(MINI), "--model", "htnet", "--steps", "2", "--results", str(tmp_path), "--page", str(page)]
    monkeypatch.setattr(module, "SMALLER", 16)  # so that the double batch clearly takes longer
    result = CliRunner().invoke(app, wanted)
    assert result.exit_code == 0, result.output
    row = json.loads((tmp_path / "loading_here.json").read_text())["networks"]["htnet"]
    assert row["timed_batches"] == [32, 64]
    assert 0 < row["cut_s"] < row["step_s"]
    assert "| htnet | 1 | 512 |" in page.read_text()
