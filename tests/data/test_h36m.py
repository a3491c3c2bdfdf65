"""A data set folder becomes camera-space sequences, or an error that says which file is wrong and how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poseedge.data.cameras import camera_to_world, denormalize_screen, project
from poseedge.data.h36m import available_keypoints, load_dataset
from poseedge.data.npz import read_npz
from poseedge.errors import DataError
from poseedge.skeleton import KEPT_OF_32
from tests.support import golden
from tests.support.folders import MINI, Folder, as_object, excerpt


def test_the_bundled_set_has_the_stated_content() -> None:
    dataset = load_dataset(MINI)
    assert (dataset.name, dataset.keypoints, dataset.fps) == ("mocap17-mini", "gt", 50)
    assert (dataset.train, dataset.test) == (("S1", "S5", "S6", "S7"), ("S9", "S11"))
    assert (len(dataset.sequences), dataset.frames) == (32, 8000)
    assert dataset.of(dataset.train).frames == 3700
    assert dataset.of(dataset.test).frames == 4300
    assert {s.category for s in dataset.of(["S11"]).sequences} == {"Sitting", "Reaching"}
    assert len({s.name for s in dataset.sequences}) == 32
    for sequence in dataset.sequences:
        assert sequence.keypoints.shape == (len(sequence), 17, 2)
        assert sequence.joints_m.shape == sequence.relative_m.shape == (len(sequence), 17, 3)
        assert sequence.keypoints.dtype == sequence.joints_m.dtype == np.float32
        assert sequence.keypoints.flags.c_contiguous
        assert not sequence.relative_m[:, 0].any()
        assert sequence.joints_m[..., 2].min() > 2  # in front of the camera


def test_both_kinds_of_keypoints_are_found_and_see_the_same_motion() -> None:
    assert available_keypoints(MINI) == ["detected", "gt"]
    clean, detected = load_dataset(MINI, "gt"), load_dataset(MINI, "detected")
    pixels = []
    for exact, noisy in zip(clean.sequences, detected.sequences, strict=True):
        assert exact.name == noisy.name
        np.testing.assert_array_equal(exact.joints_m, noisy.joints_m)
        pixels.append(np.linalg.norm(noisy.keypoints - exact.keypoints, axis=-1) * exact.camera.width / 2)
    assert np.concatenate(pixels).mean() == pytest.approx(4.41, abs=0.01)


def test_the_motion_projects_onto_the_keypoints() -> None:
    for sequence in load_dataset(MINI).sequences:
        camera = sequence.camera
        seen, reprojected = (
            denormalize_screen(screen, camera.width, camera.height)
            for screen in (sequence.keypoints, project(sequence.joints_m, camera.intrinsics))
        )
        assert np.abs(reprojected - seen).max() < 0.032


def test_pixels_and_world_joints_are_those_of_the_files() -> None:
    motion = read_npz(MINI / "data_3d_mocap17-mini.npz")["positions_3d"]
    tracks = read_npz(MINI / "data_2d_mocap17-mini_detected.npz")["positions_2d"]
    dataset = load_dataset(MINI, "detected")
    for number, sequence in enumerate(dataset.sequences):
        camera = sequence.camera
        pixels = denormalize_screen(sequence.keypoints, camera.width, camera.height)
        np.testing.assert_allclose(pixels, tracks[sequence.subject][sequence.action][number % 4], atol=1e-3)
        world = camera_to_world(sequence.joints_m, camera)
        np.testing.assert_allclose(world, motion[sequence.subject][sequence.action], atol=1e-5)


def test_a_human36m_folder_needs_no_cameras_file(tmp_path: Path) -> None:
    stored, facts = golden.arrays("camera"), golden.case("camera")
    row = facts["subjects"].index("S9")
    world = np.full((4, 32, 3), np.nan, np.float32)  # the 15 joints left out may hold anything
    world[:, facts["kept_joints"]] = stored["world"]
    tracks = {"S9": {"Photo 1": list(stored["pixels"][row])}}
    Folder("h36m", {"S9": {"Photo 1": world}}, tracks, None, keypoints="cpn_ft_h36m_dbb").write(tmp_path)
    dataset = load_dataset(tmp_path, "cpn_ft_h36m_dbb")
    assert (dataset.name, dataset.fps, dataset.train, dataset.test) == ("h36m", 50, (), ("S9",))
    assert [s.camera.id for s in dataset.sequences] == facts["camera_order"]
    for number, sequence in enumerate(dataset.sequences):
        assert sequence.category == "Photo"
        np.testing.assert_allclose(sequence.joints_m, stored["camera_points"][row, number], rtol=1e-4, atol=2e-6)
        np.testing.assert_allclose(sequence.keypoints, stored["projected"][row, number], rtol=1e-4, atol=2e-6)


def test_detections_longer_than_the_motion_are_cut_and_scores_dropped(tmp_path: Path) -> None:
    folder = excerpt()
    plain = load_dataset(folder.write(tmp_path))
    for actions in folder.tracks.values():
        for action, views in actions.items():
            scored = [np.concatenate([view, np.full_like(view[..., :1], np.nan)], axis=-1) for view in views]
            actions[action] = np.stack([np.concatenate([view, view * np.nan]) for view in scored])
    longer = load_dataset(folder.write(tmp_path))
    for ours, theirs in zip(longer.sequences, plain.sequences, strict=True):
        np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)


def test_sequences_come_in_the_order_of_the_keypoints_file_and_subjects_in_the_order_asked_for(tmp_path: Path) -> None:
    folder = excerpt()
    for part in (folder.motion, folder.tracks):
        part["S9"] = {**part["S9"], "Boxing": part["S9"]["Walking 1"], "Eating 2": part["S9"]["Walking 1"]}
    folder.tracks = {subject: dict(reversed(actions.items())) for subject, actions in reversed(folder.tracks.items())}
    dataset = load_dataset(folder.write(tmp_path))
    assert [s.action for s in dataset.of(["S9"]).sequences[::4]] == ["Eating 2", "Boxing", "Walking 1"]
    assert [s.subject for s in dataset.sequences[::4]] == ["S9", "S9", "S9", "S1"]
    assert [s.subject for s in dataset.of(["S1", "S9"]).sequences[::4]] == ["S1", "S9", "S9", "S9"]


@pytest.mark.parametrize("key", [int, str, "cam{}".format], ids=["numbers", "text", "names"])
def test_views_may_be_a_dictionary(key: Callable[[int], object], tmp_path: Path) -> None:
    folder = excerpt()
    plain = load_dataset(folder.write(tmp_path))
    for actions in folder.tracks.values():
        for action, views in actions.items():
            actions[action] = {key(number): view for number, view in reversed(list(enumerate(views)))}
    for ours, theirs in zip(load_dataset(folder.write(tmp_path)).sequences, plain.sequences, strict=True):
        np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)


def test_actions_and_subjects_may_be_numbers(tmp_path: Path) -> None:
    folder = excerpt()
    assert folder.rig is not None
    for content in (folder.motion, folder.tracks):
        content[9] = {2: content.pop("S9")["Walking 1"]}
    folder.rig["cameras"]["9"] = folder.rig["cameras"].pop("S9")
    assert {(s.subject, s.action, s.category) for s in load_dataset(folder.write(tmp_path)).sequences} == {
        ("S1", "Walking 1", "Walking"),
        ("9", "2", "2"),
    }


def test_keypoints_may_be_named_by_their_file(tmp_path: Path) -> None:
    folder = excerpt().write(tmp_path)
    assert load_dataset(folder, "data_2d_excerpt_gt.npz").keypoints == "gt"


def test_tracks_without_motion_are_left_out(tmp_path: Path) -> None:
    folder = excerpt()
    del folder.motion["S1"]
    assert {s.subject for s in load_dataset(folder.write(tmp_path)).sequences} == {"S9"}


def test_the_17_of_32_joints_are_the_published_ones() -> None:
    stored = golden.arrays("camera")
    np.testing.assert_array_equal(stored["positions_32"][:, list(KEPT_OF_32)], stored["positions_17"])


S1, WALK = "S1", "Walking 1"
WRONG: dict[str, tuple[str, Callable[[Folder], object], str]] = {
    # promise: (file at fault, what a test does to the folder, what the message says)
    "motion as one array": ("3d", lambda f: setattr(f, "motion", np.zeros((8, 17, 3))), "expected a dictionary 'positions_3d'"),
    "motion without actions": ("3d", lambda f: f.motion.update(S1=np.zeros((8, 17, 3))), "should be a dictionary of actions"),
    "no motion": ("3d", lambda f: f.motion.clear(), "holds no motion"),
    "16 joints of motion": (
        "3d",
        lambda f: f.motion[S1].update({WALK: np.zeros((8, 16, 3))}),
        r"S1 'Walking 1': expected numbers \(T, 17 or 32, 3\), found float64 \(8, 16, 3\)",
    ),
    "motion in 2D": ("3d", lambda f: f.motion[S1].update({WALK: np.zeros((8, 17, 2))}), r"found float64 \(8, 17, 2\)"),
    "no frames": ("3d", lambda f: f.motion[S1].update({WALK: np.zeros((0, 17, 3))}), r"found float64 \(0, 17, 3\)"),
    "motion per camera": ("3d", lambda f: f.motion[S1].update({WALK: [np.zeros((8, 17, 3))]}), "found list"),
    "words for numbers": ("3d", lambda f: f.motion[S1].update({WALK: np.full((8, 17, 3), "x")}), "found <U1"),
    "NaN in the motion": (
        "3d",
        lambda f: f.motion[S1][WALK].__setitem__((5, 2, 1), np.nan),
        "'Walking 1': NaN or infinity in frame 5",
    ),
    "subject without 2D": ("2d", lambda f: f.tracks.pop(S1), "subject 'S1' of data_3d_excerpt.npz is missing"),
    "action without 2D": ("2d", lambda f: f.tracks[S1].pop(WALK), "expected 4 tracks, one per camera, found 0"),
    "three of four tracks": ("2d", lambda f: f.tracks[S1][WALK].pop(), "expected 4 tracks, one per camera, found 3"),
    "16 keypoints": (
        "2d",
        lambda f: f.tracks[S1][WALK].__setitem__(2, np.zeros((8, 16, 2))),
        r"'Walking 1' camera mocap17-cam2: expected numbers \(T, 17, 2 or more\), found float64 \(8, 16, 2\)",
    ),
    "NaN keypoints": ("2d", lambda f: f.tracks[S1][WALK][3].__setitem__((6, 0, 0), np.nan), "cam3: NaN or infinity in frame 6"),
    "2D shorter than the motion": (
        "2d",
        lambda f: f.tracks[S1][WALK].__setitem__(1, f.tracks[S1][WALK][1][:7]),
        "cam1: 7 frames of 2D for 8 of motion",
    ),
    "no cameras file": ("rig", lambda f: setattr(f, "rig", None), "no such file"),
    "subject without cameras": ("rig", lambda f: f.cameras.pop(S1), "no cameras for subject 'S1'"),
    "one camera missing": ("2d", lambda f: f.cameras[S1].pop(), "expected 3 tracks, one per camera, found 4"),
}


@pytest.mark.slow
@pytest.mark.parametrize("promise", WRONG)
def test_a_wrong_folder_is_explained(promise: str, tmp_path: Path) -> None:
    file, bend, message = WRONG[promise]
    folder = excerpt()
    bend(folder)
    folder.write(tmp_path)
    path = {"3d": folder.path_3d, "2d": folder.path_2d, "rig": folder.path_rig}[file](tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(tmp_path)
    assert caught.value.message.startswith(f"{path}: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such data folder") as caught:
        load_dataset(tmp_path / "nowhere")
    assert "--data" in caught.value.hint


def test_a_folder_holds_one_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"exactly one data_3d_<name>\.npz, found none"):
        load_dataset(tmp_path)
    for name in ("one", "two"):
        Folder(name, {}, {}, None).write(tmp_path)
    with pytest.raises(DataError, match=r"found data_3d_one\.npz, data_3d_two\.npz"):
        load_dataset(tmp_path)


def test_missing_keypoints_are_named_with_those_there_are(tmp_path: Path) -> None:
    excerpt().write(tmp_path)
    with pytest.raises(DataError, match=r"data_2d_excerpt_cpn\.npz: no such file") as caught:
        load_dataset(tmp_path, "cpn")
    assert caught.value.hint == "2D keypoints in this folder: gt"


def test_another_npz_layout_is_named_with_its_members(tmp_path: Path) -> None:
    folder = excerpt()
    folder.write(tmp_path)
    np.savez(folder.path_3d(tmp_path), joints=np.zeros((8, 17, 3)), names=as_object({}))
    with pytest.raises(DataError, match=r"expected a dictionary 'positions_3d'.*found: joints, names"):
        load_dataset(tmp_path)


def test_an_unknown_subject_is_named() -> None:
    with pytest.raises(DataError, match="mocap17-mini: no subject S2"):
        load_dataset(MINI).of(["S1", "S2"])
