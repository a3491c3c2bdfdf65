"""A calibration set holds every kind of motion and every camera, values unchanged, and can be made again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from poseedge.data.excerpt import cut_calibration_set, turns
from poseedge.data.h36m import load_dataset
from poseedge.data.npz import read_npz
from poseedge.data.types import PoseDataset
from poseedge.errors import DataError
from poseedge.resources import resource
from tests.support.folders import MINI, Folder, excerpt
from tests.support.mpi_files import by_sequence

MOTION = read_npz(MINI / "data_3d_mocap17-mini.npz")["positions_3d"]


def many_takes() -> Folder:
    """Return a set with seven takes of one kind of motion and one of another, of one training subject."""
    folder = excerpt()
    walk, views = folder.motion["S1"]["Walking 1"], folder.tracks["S1"]["Walking 1"]
    folder.motion["S1"] = {f"Walking {k}": walk + k for k in range(7)} | {"Eating 1": walk}
    folder.tracks["S1"] = {action: views for action in folder.motion["S1"]}
    return folder


def actions(dataset: PoseDataset) -> list[str]:
    return list(dict.fromkeys(s.action for s in dataset.sequences))


@pytest.mark.slow
def test_clips_are_the_middle_of_the_source_with_all_keypoints(tmp_path: Path) -> None:
    facts = cut_calibration_set(MINI, tmp_path / "calib", "calib", frames=100)
    assert facts["keypoints"] == ["detected", "gt"]
    assert facts["subjects"] == ["S1", "S5", "S6", "S7"]
    assert (facts["clips"], facts["frames"]) == (4, 400)
    assert facts["by_action"] == {"Walking": 1, "Dancing": 1, "Basketball": 1, "Boxing": 1}
    assert facts["by_camera"] == {f"mocap17-cam{k}": 1 for k in range(4)}
    for kind in ("gt", "detected"):
        made, source = load_dataset(tmp_path / "calib", kind), load_dataset(MINI, kind)
        assert (made.name, made.test) == ("calib", ())
        for sequence in made.sequences:
            whole = next(s for s in source.sequences if s.name == sequence.name)
            start = (len(whole) - 100) // 2
            np.testing.assert_array_equal(sequence.keypoints, whole.keypoints[start : start + 100])
            np.testing.assert_array_equal(sequence.joints_m, whole.joints_m[start : start + 100])


def test_takes_of_a_kind_are_spread_and_rare_kinds_kept(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = many_takes().write(tmp_path / "source")
    cut_calibration_set(source, tmp_path / "even", "even")
    assert actions(load_dataset(tmp_path / "even")) == ["Eating 1", "Walking 0", "Walking 3", "Walking 6"]


def test_draws_follow_the_seed(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = many_takes().write(tmp_path / "source")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cut_calibration_set(source, tmp_path / name, "calib", frames=5, seed=seed)
    files = ["data_3d_calib.npz", "data_2d_calib_gt.npz", "cameras_calib.json"]
    contents = {name: [(tmp_path / name / file).read_bytes() for file in files] for name in "abc"}
    assert contents["a"] == contents["b"]
    assert contents["a"][0] != contents["c"][0]
    drawn = load_dataset(tmp_path / "a")
    assert Counter(s.category for s in drawn.sequences if s.camera.id.endswith("0")) == {"Walking": 3, "Eating": 1}
    assert {len(s) for s in drawn.sequences} == {5}


@pytest.mark.parametrize(("cameras", "subjects"), [(4, 5), (4, 4), (4, 1), (4, 3), (1, 6), (5, 2)])
def test_all_cameras_have_their_turn(cameras: int, subjects: int) -> None:
    taken = [turns(cameras, number, subjects) for number in range(subjects)]
    assert {camera for own in taken for camera in own} == set(range(cameras))
    assert all(len(set(own)) == len(own) for own in taken)


def test_the_bundled_calibration_set_is_such_a_set() -> None:
    bundled = load_dataset(resource("calib_data", "mocap17-calib"))
    assert (len(bundled.sequences), bundled.frames) == (49, 10335)
    assert max(Counter((s.subject, s.category) for s in bundled.sequences).values()) == 3
    assert {s.camera.id for s in bundled.sequences} == {f"mocap17-cam{k}" for k in range(4)}


@pytest.mark.slow
def test_what_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    folder = excerpt()
    assert folder.rig is not None
    folder.rig["train"] = []
    (tmp_path / "source").mkdir()
    with pytest.raises(DataError, match="no training subjects"):
        cut_calibration_set(folder.write(tmp_path / "source"), tmp_path / "calib", "calib")
    (tmp_path / "3dhp").mkdir()
    with pytest.raises(DataError, match="without cameras"):
        cut_calibration_set(by_sequence(tmp_path / "3dhp"), tmp_path / "calib", "calib")
    assert not (tmp_path / "calib").exists()
    with pytest.raises(DataError, match="exists already"):
        cut_calibration_set(MINI, tmp_path / "3dhp", "calib")
