"""An engine of a streaming form remembers as its graph does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.backends.onnxruntime import CachedOnnxLifter
from poseedge.backends.registry import load
from poseedge.caches import CachedLifter
from poseedge.errors import ArtefactError
from tests.doubles.binding import Fake
from tests.support import recorded, streaming
from tests.support.engines import build


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> CachedOnnxLifter:
    return streaming.lifters(tmp_path_factory.mktemp("causal"), opset=13)[1]


def opened(engine: Path) -> Any:
    """Return the lifter, untyped: what it is made of is looked at."""
    return load(engine)


@pytest.mark.slow
def test_engine_gives_the_poses_of_the_graph_frame_by_frame(device: Fake, graph: CachedOnnxLifter) -> None:
    lifter = opened(build(graph.path).path)
    remembers = isinstance(lifter, CachedLifter)
    assert remembers
    assert lifter.spec == graph.spec
    assert dict(lifter.caches) == dict(graph.caches)
    people = [recorded.sequences()[place].keypoints[:40] for place in (20, 28)]
    ours, theirs = [lifter.begin() for _ in people], [graph.begin() for _ in people]
    for rows in zip(*people, strict=True):
        for one, other, row in zip(ours, theirs, rows, strict=True):
            np.testing.assert_allclose(one.push(row), other.push(row), rtol=0, atol=1e-6)
    assert lifter.session.captured


def test_it_may_be_called_with_windows_as_any_lifter(some_device: Fake, graph: CachedOnnxLifter) -> None:
    windows = np.stack([recorded.sequences()[20].keypoints[start : start + 27] for start in (0, 50)])
    np.testing.assert_allclose(opened(build(graph.path).path)(windows), graph(windows), rtol=0, atol=1e-6)


def test_engine_that_nothing_tells_the_windows_of_is_refused(some_device: Fake, graph: CachedOnnxLifter) -> None:
    engine = build(graph.path).path
    alone = engine.rename(engine.with_name("alone.engine"))
    with pytest.raises(ArtefactError, match="nothing beside it says of what windows"):
        load(alone)


def test_nothing_is_left_on_the_device(some_device: Fake, graph: CachedOnnxLifter) -> None:
    lifter = opened(build(graph.path).path)
    lifter.begin().push(recorded.sequences()[20].keypoints[0])
    lifter.close()
    assert some_device.gpu.leftovers() == {}
