"""Detections and exact projections come to stand beside the motion they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseedge.arrays import Float32Array
from poseedge.data.cameras import denormalize_screen
from poseedge.data.convert import Reading, convert, read_motion_clip
from poseedge.data.detections import convert_keypoints, project_motion
from poseedge.data.h36m import load_dataset
from poseedge.data.keypoints import coco_to_h36m
from poseedge.data.npz import read_npz
from poseedge.errors import DataError
from tests.support import golden
from tests.support.folders import Folder, as_object, excerpt
from tests.support.walk import WALK, array

FROM_H36M = [10, 10, 10, 10, 10, 11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]  # COCO's order, the face for all of its points


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Return a data set of one clip."""
    convert([read_motion_clip(array(tmp_path, "anna/Walking_1.npy", WALK), Reading())], tmp_path / "lab", "lab")
    return tmp_path / "lab"


def detections(frames: int = 12) -> list[Float32Array]:
    """Return COCO keypoints with scores for four cameras."""
    return list(np.random.default_rng(0).uniform(100, 900, (4, frames, 17, 3)).astype(np.float32))


def test_coco_detections_become_human36m_joints(lab: Path, tmp_path: Path) -> None:
    views = detections(14)
    coco = as_object({"layout_name": "coco", "num_joints": 17})
    np.savez(tmp_path / "coco.npz", positions_2d=as_object({"anna": {"Walking 1": views}}), metadata=coco)
    assert convert_keypoints(tmp_path / "coco.npz", lab, "hrnet", None)["from"] == "coco"
    for sequence, view in zip(load_dataset(lab, "hrnet").sequences, views, strict=True):
        pixels = denormalize_screen(sequence.keypoints, 1000, 1000)
        np.testing.assert_allclose(pixels, coco_to_h36m(view[:12, :, :2]), atol=1e-3)


def test_a_folder_of_arrays_gives_the_same(lab: Path, tmp_path: Path) -> None:
    for number, view in enumerate(detections()):
        array(tmp_path, f"det/anna/Walking 1/made-up-{number}.npy", view)
    convert_keypoints(tmp_path / "det", lab, "hrnet", "coco")
    convert_keypoints(tmp_path / "det", lab, "plain", "h36m")
    hrnet, plain = load_dataset(lab, "hrnet").sequences[0], load_dataset(lab, "plain").sequences[0]
    np.testing.assert_allclose(denormalize_screen(plain.keypoints, 1000, 1000), detections()[0][..., :2], atol=1e-3)
    assert np.abs(hrnet.keypoints - plain.keypoints).max() > 0.01


def test_detections_that_do_not_fit_are_refused(lab: Path, tmp_path: Path) -> None:
    before = sorted(lab.iterdir())
    for views, layout, message in (
        (detections()[:3], "coco", "3 tracks for 4 cameras"),
        (detections(11), "coco", "11 frames of 2D for 12 of motion"),
        (detections(), "openpose", "joints in the order 'openpose'"),
    ):
        np.savez(
            tmp_path / "d.npz",
            positions_2d=as_object({"anna": {"Walking 1": views}}),
            metadata=as_object({"layout_name": layout}),
        )
        with pytest.raises(DataError, match=message):
            convert_keypoints(tmp_path / "d.npz", lab, "bad", None)
    with pytest.raises(DataError, match="exists already"):
        convert_keypoints(tmp_path / "d.npz", lab, "gt", None)
    assert sorted(lab.iterdir()) == before


# Projections


def test_projections_of_human36m_equal_the_published_ones(tmp_path: Path) -> None:
    stored, facts = golden.arrays("camera"), golden.case("camera")
    world = np.full((4, 32, 3), np.nan, np.float32)
    world[:, facts["kept_joints"]] = stored["world"]
    motion = {subject: {"Photo 1": world} for subject in facts["subjects"]}
    Folder("h36m", motion, {}, None).write(tmp_path)
    (tmp_path / "data_2d_h36m_gt.npz").unlink()
    assert project_motion(tmp_path)["clips"] == len(facts["subjects"])
    made = read_npz(tmp_path / "data_2d_h36m_gt.npz")["positions_2d"]
    for row, subject in enumerate(facts["subjects"]):
        np.testing.assert_allclose(made[subject]["Photo 1"], stored["pixels"][row], rtol=0, atol=facts["pixel_atol"])


def test_projections_are_the_keypoints_of_the_set(tmp_path: Path) -> None:
    folder = excerpt()
    before = load_dataset(folder.write(tmp_path))
    project_motion(tmp_path, "exact")
    for made, bundled in zip(load_dataset(tmp_path, "exact").sequences, before.sequences, strict=True):
        np.testing.assert_allclose(made.keypoints, bundled.keypoints, atol=0.032 * 2 / 1000)
    with pytest.raises(DataError, match="exists already"):
        project_motion(tmp_path)


def test_a_subject_without_cameras_cannot_be_projected(tmp_path: Path) -> None:
    folder = excerpt()
    del folder.cameras["S1"]
    folder.write(tmp_path)
    with pytest.raises(DataError, match="no cameras for subject 'S1'"):
        project_motion(tmp_path, "exact")
    assert not (tmp_path / "data_2d_excerpt_exact.npz").exists()


def test_order_of_joints_that_nothing_states_is_told_by_the_motion(tmp_path: Path) -> None:
    folder = excerpt()
    folder.write(tmp_path)
    tracks = {
        s: {a: [np.asarray(v, np.float32) for v in views] for a, views in acts.items()} for s, acts in folder.tracks.items()
    }
    np.savez(tmp_path / "unsaid.npz", positions_2d=as_object(tracks))
    assert convert_keypoints(tmp_path / "unsaid.npz", tmp_path, "theirs", None)["from"] == "h36m"
    coco = {s: {a: [v[:, FROM_H36M] for v in views] for a, views in acts.items()} for s, acts in tracks.items()}
    np.savez(tmp_path / "coco.npz", positions_2d=as_object(coco))
    assert convert_keypoints(tmp_path / "coco.npz", tmp_path, "coco", None)["from"] == "coco"
