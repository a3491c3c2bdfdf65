"""A look at a data folder tells what it holds, what is missing, and how to get that."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poseedge.data.check import H36M_ACTIONS, check_folder
from poseedge.errors import DataError
from tests.support.folders import MINI, Folder, excerpt
from tests.support.mpi_files import by_camera, by_sequence


def test_the_bundled_set_is_told_in_full() -> None:
    report = check_folder(MINI)
    assert (report.layout, report.name, report.fps, report.usable, report.missing) == (
        "videopose3d",
        "mocap17-mini",
        50,
        True,
        [],
    )
    rows = {row["subject"]: row for row in report.subjects}
    assert list(rows) == ["S1", "S5", "S6", "S7", "S9", "S11"]
    assert rows["S11"] == {
        "subject": "S11",
        "split": "test",
        "actions": ["Reaching", "Sitting"],
        "clips": 2,
        "cameras": [f"mocap17-cam{k}" for k in range(4)],
        "frames": 650,
        "shortest": 300,
        "longest": 350,
        "seconds": 13.0,
    }
    assert report.actions["Walking"] == {"clips": 2, "frames": 250}
    assert sum(row["frames"] for row in report.actions.values()) == 2000
    detected, exact = report.keypoints
    assert (detected["kind"], detected["ok"], exact["kind"], exact["ok"]) == ("detected", True, "gt", True)
    assert detected["error_px"] == pytest.approx(4.41, abs=0.01)
    assert exact["error_px"] < 0.032
    assert exact["in_picture"] == pytest.approx(0.999, abs=0.0006)
    json.dumps(report.to_json())


def test_keypoints_at_fault_are_told_and_the_others_still_count(tmp_path: Path) -> None:
    folder = excerpt()
    folder.write(tmp_path)
    (tmp_path / "data_2d_excerpt_cpn.npz").write_bytes(b"cut off")
    report = check_folder(tmp_path)
    assert report.usable
    assert [(row["kind"], row["ok"]) for row in report.keypoints] == [("cpn", False), ("gt", True)]
    (finding,) = report.missing
    assert "data_2d_excerpt_cpn.npz: not a readable npz file" in finding.what
    assert finding.fix


def test_motion_alone_cannot_be_used(tmp_path: Path) -> None:
    folder = excerpt()
    folder.rig = None
    folder.write(tmp_path)
    folder.path_2d(tmp_path).unlink()
    report = check_folder(tmp_path)
    assert not report.usable
    assert [finding.what.rsplit("/", 1)[-1] for finding in report.missing] == [
        "no 2D keypoints",
        "cameras_excerpt.json: no such file",
    ]


def test_a_set_without_test_subjects_says_so(tmp_path: Path) -> None:
    folder = excerpt()
    assert folder.rig is not None
    folder.rig["test"] = []
    assert [finding.what for finding in check_folder(folder.write(tmp_path)).missing] == ["no test subjects"]


def test_missing_parts_of_human36m_are_listed(tmp_path: Path) -> None:
    def clip(action: str) -> dict[str, object]:
        return {f"{action} 1": np.random.default_rng(0).normal(size=(3, 32, 3))}

    motion = {
        "S9": {key: value for action in H36M_ACTIONS for key, value in clip(action).items()},
        "S11": {key: value for action in H36M_ACTIONS[2:] for key, value in clip(action).items()},
    }
    tracks = {s: {a: [np.zeros((3, 17, 2))] * 4 for a in actions} for s, actions in motion.items()}
    report = check_folder(Folder("h36m", motion, tracks, None).write(tmp_path))
    said = [finding.what for finding in report.missing]
    assert "S11: Discussion" in said  # its Directions are left out by everybody
    assert [f"subject S{k}" for k in (1, 5, 6, 7, 8)] == [what for what in said if what.startswith("subject")]
    assert any(what.startswith("data_2d_h36m_cpn_ft_h36m_dbb.npz: CPN") for what in said)
    assert not any(what.startswith("S9") for what in said)
    assert "vision.imar.ro" in report.missing[-1].fix


def test_mpi_inf_3dhp_is_told_with_the_test_sequences_it_lacks(tmp_path: Path) -> None:
    report = check_folder(by_sequence(tmp_path))
    assert (report.layout, report.usable) == ("3dhp", True)
    assert [row["subject"] for row in report.subjects] == ["S1", "TS1", "TS5"]
    assert report.keypoints[0]["error_px"] is None  # no camera is known
    assert [finding.what for finding in report.missing] == ["test sequences TS2, TS3, TS4, TS6 of MPI-INF-3DHP"]


@pytest.mark.slow
def test_half_of_mpi_inf_3dhp_cannot_be_used(tmp_path: Path) -> None:
    by_camera(tmp_path)
    (tmp_path / "data_3d_3dhp.npz").unlink()
    report = check_folder(tmp_path)
    assert not report.usable
    assert "data_3d_3dhp.npz: no such file" in report.missing[0].what


def test_a_folder_without_a_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="exactly one data_3d_<name>"):
        check_folder(tmp_path)


def test_motion_that_cannot_be_right_is_not_usable(tmp_path: Path) -> None:
    folder = excerpt()
    folder.motion["S9"]["Walking 1"] *= 1000
    folder.motion["S1"]["Walking 1"] *= 1000
    report = check_folder(folder.write(tmp_path))
    assert not report.usable
    assert [mistake.fix for mistake in report.wrong] == ["the motion is in millimetres: times 0.001"]
    assert report.to_json()["wrong"] == [{"what": report.wrong[0].what, "fix": report.wrong[0].fix}]
