"""A lifter that remembers gives, of one new frame, the pose of the whole window that this frame ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poseedge.backends.onnxruntime import CachedOnnxLifter, OnnxLifter
from poseedge.backends.registry import load
from poseedge.caches import CachedLifter
from poseedge.errors import ArtefactError, DataError
from poseedge.graph.graph import Graph
from poseedge.graph.lifting import open_lifting, read_spec
from tests.support import recorded, streaming

FRAMES = 340
Array = npt.NDArray[Any]
Opened = tuple[OnnxLifter, CachedOnnxLifter]


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return streaming.lifters(tmp_path_factory.mktemp("causal"))


def motion(place: int, frames: int = FRAMES) -> Array:
    return recorded.sequences()[place].keypoints[:frames].astype(np.float32)


def padded(rows: Array, newest: int, frames: int) -> Array:
    """Return the window ``(1, frames, 17, 2)`` that frame ``newest`` ends, with copies of the first and last frames outside."""
    return rows[np.clip(np.arange(newest + 1 - frames, newest + 1), 0, len(rows) - 1)][None]


def farthest_mm(windows: OnnxLifter, stream: CachedOnnxLifter, rows: Array) -> float:
    memory, farthest = stream.begin(), 0.0
    for newest in range(len(rows) + windows.spec.look_ahead):
        pose = memory.push(rows[min(newest, len(rows) - 1)])
        farthest = max(farthest, float(np.abs(pose - windows(padded(rows, newest, windows.spec.frames))[0, 0]).max()))
    return 1000 * farthest


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"causal": False},
        {"filter_widths": [3, 5, 1, 3]},
        {"filter_widths": [1, 3, 3]},
        {"filter_widths": [5, 3], "causal": False},
    ],
    ids=str,
)
def test_frames_one_by_one_give_the_poses_of_whole_windows(config: dict[str, Any], tmp_path: Path) -> None:
    assert farthest_mm(*streaming.lifters(tmp_path, **config), motion(20)) < 0.01  # 1e-5 m


def test_a_frame_of_another_past_gives_another_pose(causal: Opened) -> None:
    _, stream = causal
    rows = motion(20)
    one, other = stream.begin(), stream.begin()
    for row in rows[100:130]:
        kept = one.push(row)
    for row in [*rows[100:120], *rows[200:209], rows[129]]:
        forgotten = other.push(row)
    assert np.abs(kept - forgotten).max() > 1e-3


def test_people_do_not_share_what_is_remembered(causal: Opened) -> None:
    _, stream = causal
    people = [motion(place, 60) for place in (20, 28)]
    alone = []
    for rows in people:
        memory = stream.begin()
        alone.append([memory.push(row) for row in rows])
    both = stream.begin(), stream.begin()
    in_turn = [[memory.push(row) for memory, row in zip(both, pair, strict=True)] for pair in zip(*people, strict=True)]
    np.testing.assert_array_equal(np.swapaxes(in_turn, 0, 1), alone)


def test_memory_holds_no_more_than_the_window(causal: Opened) -> None:
    _, stream = causal
    one, other = stream.begin(), stream.begin()
    for row in motion(28, 50):
        one.push(row)
    for row in motion(20)[:27]:
        pose, again = one.push(row), other.push(row)
    np.testing.assert_allclose(pose, again, rtol=0, atol=1e-6)


def test_it_may_be_called_with_windows_as_any_lifter(causal: Opened) -> None:
    windows, stream = causal
    keypoints = np.concatenate([padded(motion(20), newest, 27) for newest in (5, 40)])
    assert isinstance(stream, CachedLifter)
    assert not isinstance(windows, CachedLifter)
    assert (stream.spec.frames, stream.spec.output_frames, stream.spec.look_ahead) == (27, (26,), 0)
    np.testing.assert_allclose(stream(keypoints), np.concatenate([windows(w[None]) for w in keypoints]), rtol=0, atol=1e-5)
    assert any("all 27 frames" in note for note in stream.notes)


@pytest.mark.parametrize(
    ("row", "said"), [(np.zeros((16, 2)), r"\(17, 2\), found \(16, 2\)"), (np.full((17, 2), np.nan), "NaN")], ids=["shape", "nan"]
)
def test_other_frames_are_refused(causal: Opened, row: Array, said: str) -> None:
    with pytest.raises(DataError, match=said):
        causal[1].begin().push(row)


def test_one_frame_costs_what_it_adds(causal: Opened) -> None:
    windows, stream = causal
    made = streaming.network()
    weights = sum(value.numel() for key, value in made.named_parameters() if "conv" in key or key == "shrink.weight")
    assert stream.cost().flops == 2 * weights
    assert windows.cost().flops == 2 * (9 * 16 * 34 * 3 + 3 * 16 * 16 * 4 + 16 * 16 * 4 + 16 * 51)


def test_graph_without_the_caches_that_it_asks_for_is_refused(causal: Opened, tmp_path: Path) -> None:
    graph = Graph.load(causal[1].path)
    del graph.proto.graph.output[-1]
    made = streaming.network()
    graph.save(tmp_path / "broken.onnx", streaming.metadata(made, made.frames))
    with pytest.raises(ArtefactError, match="for the caches"):
        load(tmp_path / "broken.onnx")


def test_commands_that_run_windows_through_a_graph_refuse_it(causal: Opened) -> None:
    path = causal[1].path
    assert read_spec(path).frames == 27  # what builds engines reads it
    with pytest.raises(ArtefactError, match="frames one by one"):
        open_lifting(path)


@pytest.mark.parametrize("opset", [13, 17])
def test_shapes_are_fixed_and_every_cache_comes_back_as_it_went_in(opset: int) -> None:
    graph = streaming.streaming_graph(streaming.network(), opset)
    assert graph.opset == opset
    assert graph.inputs == ["keypoints", "keypoints_before", "cache_1", "cache_2"]
    assert graph.outputs == ["joints", "keypoints_before_next", "cache_1_next", "cache_2_next"]
    assert [graph.shapes[name] for name in graph.inputs] == [(1, 1, 17, 2), (2, 34), (6, 16), (18, 16)]
    assert [graph.shapes[f"{name}_next"] for name in graph.inputs[1:]] == [(2, 34), (6, 16), (18, 16)]
    assert not {node.op_type for node in graph.nodes} & {"Gather", "ScatterND", "Conv", "BatchNormalization", "Shape", "If"}
