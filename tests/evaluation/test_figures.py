"""The pictures of an evaluation are there, drawn, and show the frames that are farthest off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseedge.evaluation.figures import draw_figures, worst
from poseedge.evaluation.predict import Prediction
from poseedge.evaluation.results import Evaluation
from poseedge.evaluation.score import score
from tests.support.echo import MINI_TEST

pyplot = pytest.importorskip("matplotlib.pyplot")


def spoiled() -> list[Prediction]:
    """Return exact predictions of two sequences, of which one frame each is off."""
    found = []
    for number, sequence in enumerate(MINI_TEST.sequences[:2]):
        poses = sequence.relative_m.copy()
        poses[10 + number, 5] += 0.17 * (number + 1)
        found.append(Prediction(sequence, np.arange(len(sequence)), poses))
    return found


def test_the_worst_frame_of_each_sequence_is_found_and_the_worst_comes_first() -> None:
    poses = worst(spoiled())
    assert [(pose.row, pose.prediction.sequence.camera.id) for pose in poses] == [(11, "mocap17-cam1"), (10, "mocap17-cam0")]
    assert [pose.error_mm for pose in poses] == pytest.approx([20 * 3**0.5, 10 * 3**0.5], rel=1e-3)
    assert poses[0].title.endswith("frame 11: 35 mm")
    assert len(worst(spoiled(), count=1)) == 1
    assert worst([replace(spoiled()[0], frames=np.arange(0), poses_m=np.empty((0, 17, 3)))]) == []


@pytest.mark.slow
def test_pictures_are_written_and_hold_something(tmp_path: Path) -> None:
    predictions = spoiled()
    what = {"artefact": "x.onnx", "backend": "onnxruntime", "precision": "fp32", "dataset": "d", "keypoints": "gt"}
    how = {"flip": False, "protocol": "once", "p2_batch": 0, "refine": None}
    report = Evaluation.model_validate({**what, **how, **dict(score(predictions))})
    paths = draw_figures(report, predictions, tmp_path / "new")
    assert [path.name for path in paths] == ["by_joint.png", "by_action.png", "worst_frames.png"]
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())
    for path in paths:
        picture = pyplot.imread(path)
        assert picture.shape[0] > 100
        assert (picture[..., :3].min(axis=-1) < 0.5).mean() > 0.003  # dark or coloured pixels
