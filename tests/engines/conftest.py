"""The graph that most tests here build."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engines import write_graph


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "small.onnx")
