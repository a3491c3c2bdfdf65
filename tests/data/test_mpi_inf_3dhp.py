"""MPI-INF-3DHP in both of its forms, written here in their exact layout, becomes the same sequences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge import metrics
from poseedge.data.mpi_inf_3dhp import RELEVANT, load_3dhp
from poseedge.data.sources import open_dataset
from poseedge.data.types import PoseDataset
from poseedge.errors import DataError
from poseedge.evaluation.predict import predict
from poseedge.evaluation.results import Score
from poseedge.evaluation.score import score
from tests.support.echo import SEQ2FRAME, SEQ2SEQ, Echo
from tests.support.folders import MINI, as_object, excerpt
from tests.support.mpi_files import FRAMES, by_camera, by_sequence, motion


@pytest.mark.slow
@pytest.mark.parametrize("write", [by_camera, by_sequence])
def test_both_forms_give_the_same_sequences(write: Callable[[Path], Path], tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path))
    assert (dataset.name, dataset.train, dataset.test) == ("3dhp", ("S1",), ("TS1", "TS5"))
    assert sorted(s.name for s in dataset.sequences) == ["S1/Seq1/0", "S1/Seq1/1", "TS1/Seq1/0", "TS5/Seq1/0"]
    for sequence in dataset.sequences:
        joints, pixels = motion(sequence.subject)
        width, height = (1920, 1080) if sequence.subject == "TS5" else (2048, 2048)
        np.testing.assert_allclose(sequence.joints_m, joints, atol=1e-5)
        np.testing.assert_allclose(sequence.keypoints, pixels / width * 2 - [1, height / width], atol=1e-5)
        assert not sequence.relative_m[:, 0].any()


def test_frames_marked_invalid_are_not_scored(tmp_path: Path) -> None:
    dataset = load_3dhp(by_sequence(tmp_path)).of(["TS1", "TS5"])
    for spec in (SEQ2FRAME, SEQ2SEQ):
        found = predict(Echo(spec), dataset)
        assert [p.frames.tolist() for p in found] == [[1, 3, 5, 7, 9, 11], [1, 3, 5, 7]]


def test_pck_auc_and_mpjpe_are_those_of_the_frames_that_count(tmp_path: Path) -> None:
    def scored(dataset: PoseDataset) -> Score:
        return score(predict(Echo(SEQ2FRAME), dataset))

    dataset = load_3dhp(by_sequence(tmp_path)).of(["TS1", "TS5"])
    pred, target = [], []
    for sequence in dataset.sequences:
        pose = np.concatenate([sequence.keypoints, np.ones((len(sequence), 17, 1))], axis=-1)
        pose[:, 0] = 0
        pred.append(pose[1::2])
        target.append(sequence.relative_m[1::2])
    found, poses, truth = scored(dataset), np.concatenate(pred), np.concatenate(target)
    assert found.frames == 10
    distance = np.linalg.norm(poses - truth, axis=-1)
    assert found.pck_percent == pytest.approx(100 * (distance < 0.15).mean())
    assert found.auc_percent == pytest.approx(np.mean([100 * (distance < mm / 1000).mean() for mm in range(150)]))
    assert found.mpjpe_mm == pytest.approx(1000 * metrics.mpjpe(poses, truth))
    assert list(found.by_action) == ["Seq1"]


def test_another_data_set_is_opened_as_before() -> None:
    assert open_dataset(MINI, "detected").name == "mocap17-mini"


@pytest.mark.slow
@pytest.mark.parametrize("write", [by_camera, by_sequence])
def test_two_data_sets_in_one_folder_are_refused(write: Callable[[Path], Path], tmp_path: Path) -> None:
    excerpt().write(write(tmp_path))
    with pytest.raises(DataError, match=r"holds data_\w+_3dhp\.npz and data_3d_excerpt\.npz, two data sets"):
        open_dataset(tmp_path)


def test_missing_files_are_told_with_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file of MPI-INF-3DHP") as caught:
        load_3dhp(tmp_path)
    assert "https://vcai.mpi-inf.mpg.de/3dhp-dataset/" in caught.value.hint
    by_camera(tmp_path)
    (tmp_path / "data_2d_3dhp.npz").unlink()
    with pytest.raises(DataError, match=r"data_2d_3dhp\.npz: no such file, but its other half is there") as caught:
        open_dataset(tmp_path)
    assert "3dhp-dataset" in caught.value.hint


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another joint count": (lambda t: t["TS1"].update(data_3d=np.zeros((12, 21, 3))), r"TS1 camera 0: expected .*\(12, 21, 3\)"),
    "2D too short": (lambda t: t["TS1"].update(data_2d=np.zeros((11, 17, 2))), "11 frames of 2D for 12 of motion"),
    "no 2D": (lambda t: t["TS5"].pop("data_2d"), "TS5 camera 0: missing data_2d"),
    "marks of other frames": (lambda t: t["TS5"].update(valid=np.ones(3)), "'valid' marks 3 frames of 9"),
    "NaN": (lambda t: t["TS5"]["data_3d"].__setitem__((4, 3, 1), np.nan), "NaN or infinity in frame 4"),
    "a list": (lambda t: t.update(TS5=[]), "TS5 camera 0: expected a dictionary, found list"),
}


@pytest.mark.slow
@pytest.mark.parametrize("promise", WRONG)
def test_a_wrong_file_is_explained(promise: str, tmp_path: Path) -> None:
    bend, message = WRONG[promise]
    by_sequence(tmp_path, bend)
    with pytest.raises(DataError, match=message) as caught:
        load_3dhp(tmp_path)
    assert caught.value.message.startswith(f"{tmp_path / 'data_test_3dhp.npz'}: ")
    assert caught.value.hint


@pytest.mark.slow
def test_tracks_of_another_number_of_cameras_are_refused(tmp_path: Path) -> None:
    by_camera(tmp_path)
    np.savez(tmp_path / "data_2d_3dhp.npz", positions_2d=as_object({s: {"Seq1": [motion(s)[1]]} for s in FRAMES}))
    with pytest.raises(DataError, match="S1 'Seq1': 1 tracks for 2 of motion"):
        load_3dhp(tmp_path)


@pytest.mark.slow
def test_all_28_joints_of_the_annotation_will_do(tmp_path: Path) -> None:
    def all_joints(test: dict[str, Any]) -> None:
        for content in test.values():
            for key in ("data_3d", "data_2d"):
                full = np.full((len(content[key]), 28, content[key].shape[2]), 7.0, np.float32)
                full[:, list(RELEVANT)] = content[key]
                content[key] = full

    (tmp_path / "17").mkdir()
    (tmp_path / "28").mkdir()
    plain, full = load_3dhp(by_sequence(tmp_path / "17")), load_3dhp(by_sequence(tmp_path / "28", all_joints))
    for ours, theirs in zip(full.sequences, plain.sequences, strict=True):
        np.testing.assert_array_equal(ours.joints_m, theirs.joints_m)
        np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)


def test_sequence_of_which_nothing_counts_is_refused(tmp_path: Path) -> None:
    def none_valid(test: dict[str, Any]) -> None:
        test["TS1"]["valid"] = np.zeros(len(test["TS1"]["valid"]))

    with pytest.raises(DataError, match="'valid' marks no frame"):
        load_3dhp(by_sequence(tmp_path, none_valid))
