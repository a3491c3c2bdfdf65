"""Own captures become a data set that loads, with exact keypoints from cameras that see everything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poseedge.data.cameras import denormalize_screen, project
from poseedge.data.convert import Reading, convert, read_motion_clip, resampled
from poseedge.data.h36m import load_dataset
from poseedge.errors import DataError
from tests.support.bvh_files import CMU, write_bvh
from tests.support.folders import MINI
from tests.support.walk import WALK, array


@pytest.mark.parametrize(("unit", "factor"), [("m", 1), ("cm", 100), ("mm", 1000), ("cmu", 0.45 / 0.0254)])
def test_units_are_told_from_the_size_of_the_person(unit: str, factor: float, tmp_path: Path) -> None:
    path = array(tmp_path, "anna/Walking_1.npy", WALK * factor)
    for units in ("auto", unit):
        clip = read_motion_clip(path, Reading(units=units))
        assert (clip.subject, clip.action) == ("anna", "Walking 1")
        np.testing.assert_allclose(clip.world, WALK, atol=1e-4)


def test_y_up_becomes_z_up_and_left_stays_left(tmp_path: Path) -> None:
    y_up = np.stack([WALK[..., 0], WALK[..., 2], -WALK[..., 1]], axis=-1)
    np.testing.assert_allclose(read_motion_clip(array(tmp_path, "w.npy", y_up), Reading(up="y")).world, WALK, atol=1e-6)


def test_another_frame_rate_is_interpolated() -> None:
    line = np.arange(13.0)[:, None, None] * np.ones((1, 17, 3))  # one unit per frame
    np.testing.assert_allclose(resampled(line, 120, 50)[:, 0, 0], np.arange(6) * 2.4)
    np.testing.assert_allclose(resampled(line, 25, 50)[:, 0, 0], np.arange(25) * 0.5)
    assert resampled(line, 50, 50) is line


def test_bvh_is_read_at_its_own_rate_and_with_y_up(tmp_path: Path) -> None:
    write_bvh(tmp_path / "Walking 2.bvh", CMU, "ZYX", frames=25)
    clip = read_motion_clip(tmp_path / "Walking 2.bvh", Reading(subject="ben", units="cmu"))
    assert (clip.subject, clip.action, len(clip.world)) == ("ben", "Walking 2", 11)
    assert 0.5 < np.median(clip.world[:, 0, 2]) < 1.2  # the pelvis is above the ground


def test_a_converted_set_loads_with_exact_keypoints_in_every_picture(tmp_path: Path) -> None:
    clips = [
        read_motion_clip(array(tmp_path, f"{s}/Walking_1.npy", WALK + shift), Reading()) for s, shift in (("anna", 0), ("ben", 3))
    ]
    facts = convert(clips, tmp_path / "lab", "lab", test=("ben",))
    assert (facts["clips"], facts["frames"], facts["in_picture"]) == (2, 24, 1.0)
    dataset = load_dataset(tmp_path / "lab")
    assert (dataset.name, dataset.fps, dataset.train, dataset.test) == ("lab", 50, ("anna",), ("ben",))
    assert len({s.name for s in dataset.sequences}) == 8
    for sequence in dataset.sequences:
        np.testing.assert_allclose(project(sequence.joints_m, sequence.camera.intrinsics), sequence.keypoints, atol=1e-5)
        pixels = denormalize_screen(sequence.keypoints, 1000, 1000)
        assert pixels.min() > 0
        assert pixels.max() < 1000
        upright = sequence.keypoints[:, 10, 1] < sequence.keypoints[:, [3, 6], 1].min(axis=1)  # the head above the feet
        assert upright.all()
        lengths = np.linalg.norm(sequence.relative_m[:, 1:], axis=-1)
        np.testing.assert_allclose(lengths, np.linalg.norm((WALK - WALK[:, :1])[:, 1:], axis=-1), atol=1e-5)


def test_far_motion_gets_cameras_far_away(tmp_path: Path) -> None:
    run = WALK + np.linspace(0, 12, len(WALK))[:, None, None] * [1, 0, 0]
    facts = convert([read_motion_clip(array(tmp_path, "a/Running.npy", run), Reading())], tmp_path / "lab", "lab")
    assert facts["in_picture"] == 1.0


def test_own_cameras_are_used_and_the_motion_stays_where_it_is(tmp_path: Path) -> None:
    rig = json.loads((MINI / "cameras_mocap17-mini.json").read_text())
    (tmp_path / "rig.json").write_text(json.dumps(rig))
    clip = read_motion_clip(array(tmp_path, "S1/Walking_1.npy", WALK), Reading())
    convert([clip], tmp_path / "lab", "lab", tmp_path / "rig.json")
    made, bundled = load_dataset(tmp_path / "lab"), load_dataset(MINI).of(["S1"])
    for ours, theirs in zip(made.sequences, bundled.sequences, strict=True):
        assert ours.camera.id == theirs.camera.id
        np.testing.assert_allclose(ours.joints_m, theirs.joints_m[:12], atol=1e-6)
        np.testing.assert_allclose(ours.keypoints, theirs.keypoints[:12], atol=1e-4)
    clip = read_motion_clip(array(tmp_path, "anna/Walking_1.npy", WALK), Reading())
    with pytest.raises(DataError, match="no cameras for subject 'anna'"):
        convert([clip], tmp_path / "lab2", "lab", tmp_path / "rig.json")
    assert not (tmp_path / "lab2").exists()


def test_what_cannot_be_a_motion_is_refused(tmp_path: Path) -> None:
    wrong = {
        "16.npy": (np.zeros((4, 16, 3)), r"expected numbers \(T, 17, 3\), found float64 \(4, 16, 3\)"),
        "nan.npy": (np.where(np.arange(12)[:, None, None] == 3, np.nan, WALK), "NaN or infinity in frame 3"),
        "giant.npy": (WALK * 1e6, "of no known unit"),
        "point.npy": (WALK * 0, "of no known unit"),
    }
    for name, (value, message) in wrong.items():
        with pytest.raises(DataError, match=message) as caught:
            read_motion_clip(array(tmp_path, name, value), Reading())
        assert name in caught.value.message
    (tmp_path / "junk.npy").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"junk\.npy: not a readable npy file"):
        read_motion_clip(tmp_path / "junk.npy", Reading())
    np.savez(tmp_path / "two.npz", a=WALK, b=WALK)
    with pytest.raises(DataError, match="found members a, b"):
        read_motion_clip(tmp_path / "two.npz", Reading())


def test_two_recordings_of_one_name_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    clip = read_motion_clip(array(tmp_path, "anna/Walking_1.npy", WALK), Reading())
    with pytest.raises(DataError, match="two recordings are anna 'Walking 1'"):
        convert([clip, clip], tmp_path / "lab", "lab")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("dear")
    with pytest.raises(DataError, match="exists already"):
        convert([clip], tmp_path / "used", "lab")
    assert [p.name for p in (tmp_path / "used").iterdir()] == ["thesis.txt"]
