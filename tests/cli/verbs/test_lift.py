"""``poseedge lift`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import poseedge as product
from poseedge.live.formats import read_clip
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.writers import read_lifted
from tests.support import motion, recorded
from tests.support.user import Command, assert_refused


@pytest.fixture
def keypoints(tmp_path: Path) -> Path:
    """Return a file of COCO keypoints with scores, 30 frames of one person."""
    path = tmp_path / "keypoints.npy"
    np.save(path, np.concatenate([motion.coco(), motion.scores()[..., None]], axis=-1))
    return path


@pytest.fixture
def how(small_bundle: Path) -> list[object]:
    return ["--artefact", small_bundle, "--size", "1000x1002", "--fps", 50]


def test_poses_are_written_and_told(poseedge: Command, keypoints: Path, how: list[object], small_bundle: Path) -> None:
    outcome = poseedge("lift", keypoints, *how, "-o", "poses.npz", "-o", "poses.csv")
    assert outcome.status == 0, outcome.err
    assert "written: poses.npz\nwritten: poses.csv\n" in outcome.out
    assert "size in metres is a guess" in outcome.err
    clip = read_clip(keypoints, size=(1000, 1002), fps=50)
    expected = lift_clip(product.load(small_bundle), clip, LiftOptions())
    np.testing.assert_array_equal(read_lifted(Path("poses.npz")).poses_m, expected.poses_m)


def test_last_line_is_the_next_command(poseedge: Command, keypoints: Path, how: list[object], small_bundle: Path) -> None:
    outcome = poseedge("lift", keypoints, *how, "-o", "poses.npz")
    expected = f"next: poseedge lift {keypoints} --size 1000x1002 --fps 50.0 --artefact {small_bundle} -o poses.bvh"
    assert outcome.out.splitlines()[-1] == expected
    assert poseedge(*expected.removeprefix("next: poseedge ").split()).status == 0
    assert Path("poses.bvh").is_file()


def test_json_says_how_and_what(poseedge: Command, keypoints: Path, how: list[object]) -> None:
    options = ["--view", "plain", "--trunk", "papers", "--no-overlap", "--precision", "int8", "--height", "1.8", "--smooth"]
    found = poseedge("lift", keypoints, *how, *options, "-o", "poses.npz", "--json").json
    assert (found["frames"], found["people"][0]["frames"], found["people"][0]["filled"]) == (30, 30, 0)
    assert [found[key] for key in ("view", "trunk", "overlap", "precision", "height_m", "smooth")] == [
        *("plain", "papers", False, "int8", 1.8, True)
    ]
    assert found["written"] == ["poses.npz"]
    assert read_lifted(Path("poses.npz")).meta["view"] == "plain"


def test_people_can_be_stood_on_a_floor(poseedge: Command, keypoints: Path, how: list[object]) -> None:
    outcome = poseedge("lift", keypoints, *how, "--floor", "--camera-pitch", 7, "-o", "poses.npz")
    assert outcome.status == 0, outcome.err
    lifted = read_lifted(Path("poses.npz"))
    assert (lifted.meta["axes"], lifted.meta["floor"]["pitch_deg"]) == ("floor", 7)
    assert abs(float(lifted.poses_m[..., 1].min())) < 0.05


def test_poses_can_be_turned_as_the_demos_do(poseedge: Command, keypoints: Path, how: list[object]) -> None:
    assert poseedge("lift", keypoints, *how, "--world", "demo", "-o", "poses.npz").status == 0
    assert read_lifted(Path("poses.npz")).meta["axes"] == "demo"


def test_where_people_are_can_be_estimated(poseedge: Command, keypoints: Path, how: list[object]) -> None:
    outcome = poseedge("lift", keypoints, *how, "--trajectory", "--focal", 1150, "-o", "poses.npz")
    assert "where people are is an estimate" in outcome.err
    assert (read_lifted(Path("poses.npz")).poses_m[..., 0, 2] > 0.2).all()


def test_exact_keeps_the_joints_of_a_glb(poseedge: Command, keypoints: Path, how: list[object]) -> None:
    assert poseedge("lift", keypoints, *how, "-o", "fixed.glb").status == 0
    assert poseedge("lift", keypoints, *how, "-o", "exact.glb", "--exact").status == 0
    assert Path("fixed.glb").read_bytes() != Path("exact.glb").read_bytes()


def test_one_person_can_be_chosen(poseedge: Command, how: list[object], tmp_path: Path) -> None:
    two = tmp_path / "two.npy"
    np.save(two, motion.coco())
    assert poseedge("lift", two, *how, "--person", "largest", "-o", "poses.npz").status == 0
    assert_person_is_refused = poseedge("lift", two, *how, "--person", 9, "-o", "poses.npz")
    assert "there is no person 9" in assert_person_is_refused.err


def test_legs_out_of_the_picture_are_said(poseedge: Command, how: list[object], tmp_path: Path) -> None:
    half = motion.coco().copy()
    half[:, 13:] = 0
    np.save(tmp_path / "half.npy", half)
    outcome = poseedge("lift", tmp_path / "half.npy", *how, "-o", "poses.npz")
    assert_refused(
        outcome,
        "no pose in 30 frames, never seen together with the rest: right_knee, right_ankle, left_knee, left_ankle",
        "is the whole body in the picture?",
    )


@pytest.mark.parametrize(
    ("options", "error", "hint"),
    [
        (["--size", "wide"], "--size 'wide': expected width and height in pixels", "--size 1920x1080"),
        (["--person", "tallest"], "--person 'tallest': expected 'largest' or the number of a person", "--person 1"),
        (["--floor", "--world", "demo"], "two answers to one question", "leave one of them out"),
        (["--trajectory"], "--trajectory needs the camera's focal length", "--focal 1400"),
        (["--camera-pitch", "120"], "camera pitch of 120: expected -89 to 89", ""),
        (["--every", "10"], "a window every 10 frames leaves frames of", "--every may be 1 to"),
        (["-o", "poses.xyz"], "poses.xyz: unknown kind of output '.xyz'", "Known: "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_options_are_refused(
    poseedge: Command, keypoints: Path, how: list[object], options: list[str], error: str, hint: str
) -> None:
    assert_refused(poseedge("lift", keypoints, *how, "-o", "poses.npz", *options), error, hint)


@pytest.mark.parametrize(("missing", "error"), [("--size", "how large the picture is"), ("--fps", "its frame rate")])
def test_size_and_frame_rate_are_asked_for(
    poseedge: Command, keypoints: Path, how: list[object], missing: str, error: str
) -> None:
    place = how.index(missing)
    outcome = poseedge("lift", keypoints, *how[:place], *how[place + 2 :], "-o", "poses.npz")
    assert_refused(outcome, f"does not say {error}", f"say it: {missing}")


def test_what_is_no_keypoint_file_is_refused(poseedge: Command, how: list[object], tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('[{"image_id": "1.jpg", "keypoi')
    assert_refused(poseedge("lift", tmp_path / "cut.json", *how, "-o", "poses.npz"), "cut.json")
    assert recorded.SIZE == (1000, 1002)
