"""The runner's own time on the stand-ins keeps far below a small network's."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.engine_overhead import main
from tests.doubles.install import VERSIONS


def test_every_version_is_recorded_both_ways(tmp_path: Path) -> None:
    main(rounds=3, results=tmp_path)
    [path] = tmp_path.glob("*.json")
    rows = json.loads(path.read_text())["rows"]
    assert [(row["tensorrt"], row["how"]) for row in rows] == [(v, how) for v in VERSIONS for how in ("CUDA graph", "enqueued")]
    assert all(0 < row["overhead_ms"]["p50"] < 1 for row in rows)
