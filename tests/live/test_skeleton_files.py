"""BVH and GLB: readers that know the formats find the joints where the rig has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.arrays import Float64Array
from poseedge.data.bvh import END, read_bvh, world_positions
from poseedge.live import writers
from poseedge.live.rig.limbs import RIG, Limbs, fit_limbs
from poseedge.live.trajectory import with_trajectory
from poseedge.live.types import Lifted
from poseedge.skeleton import NUM_JOINTS, PARENTS
from tests.live.gltf_files import GltfFile
from tests.live.lifted_clips import clip, unseen

MILLIMETRE_IN_BVH = 0.1


def uneven(frames: int = 60, people: int = 1) -> Lifted:
    """Return a clip whose limbs change their length from frame to frame, as a lifter's do."""
    given = clip(frames, people)
    noise = np.random.default_rng(0).normal(0, 0.008, given.poses_m.shape).astype(np.float32)
    noise[:, :, 0] = 0
    return replace(given, poses_m=given.poses_m + noise)


def rig_of(lifted: Lifted, person: int = 0, fixed: bool = True) -> Limbs:
    return fit_limbs(lifted.poses_m[person] * [1.0, -1, -1], lifted.seen[person], 50, fixed=fixed)


def joint_names() -> list[str]:
    """Return the name of the first node that stands at each joint."""
    return [next(node.name for node in RIG if node.joint == joint) for joint in range(NUM_JOINTS)]


def joints_of_bvh(path: Path) -> Float64Array:
    """Return joints ``(T, 17, 3)`` in metres."""
    positions = world_positions(read_bvh(path))
    return np.stack([positions[name] for name in joint_names()], axis=1) / 100


def joints_of_glb(path: Path, times_s: Float64Array, person: int = 0) -> Float64Array:
    file = GltfFile(path)
    skin = file.json["skins"][person]["joints"]
    names = {file.json["nodes"][number]["name"]: number for number in skin}
    places = [[file_matrices[names[name]][:3, 3] for name in joint_names()] for file_matrices in map(file.at, times_s)]
    return np.array(places)


def test_bvh_holds_the_rig_to_a_thousandth_of_a_millimetre(tmp_path: Path) -> None:
    given = uneven()
    written = writers.write(given, tmp_path / "poses.bvh")
    np.testing.assert_allclose(joints_of_bvh(tmp_path / "poses.bvh"), rig_of(given).joints_m, atol=1e-6)
    assert written.distance_mm == {1: pytest.approx(rig_of(given).distance_mm)}
    assert written.distance_mm[1][0] > 3
    assert "limbs of fixed length, from the lifted joints mean" in written.notes[0]


def test_bvhio_finds_the_same_joints(tmp_path: Path) -> None:
    """Not among the development dependencies: its vector library takes 53 MB."""
    bvhio = pytest.importorskip("bvhio")
    given = uneven()
    writers.write(given, tmp_path / "poses.bvh")
    top = bvhio.readAsHierarchy(str(tmp_path / "poses.bvh"))
    joints = {joint.Name: joint for joint, _, _ in top.layout()}
    for frame in range(0, 60, 6):
        top.loadPose(frame)
        found = np.array([list(joints[name].PositionWorld) for name in joint_names()])
        np.testing.assert_allclose(found, rig_of(given).joints_m[frame] * 100, atol=1e-3 * MILLIMETRE_IN_BVH)


def test_bvhsdk_finds_the_same_joints(tmp_path: Path) -> None:
    bvhsdk = pytest.importorskip("bvhsdk")
    given = uneven()
    writers.write(given, tmp_path / "poses.bvh")
    file = bvhsdk.ReadFile(str(tmp_path / "poses.bvh"))
    joints = [file.getJoint(name) for name in joint_names()]
    for frame in range(0, 60, 6):
        found = np.array([joint.getPosition(frame)[:3] for joint in joints])
        np.testing.assert_allclose(found, rig_of(given).joints_m[frame] * 100, atol=1e-3 * MILLIMETRE_IN_BVH)


def test_bvh_says_the_frame_rate_and_keeps_gaps_in_step(tmp_path: Path) -> None:
    given = unseen(unseen(clip(people=2), 0, slice(20, 30)), 1, slice(0, 10))
    written = writers.write(given, tmp_path / "poses.bvh")
    assert [path.name for path in written.paths] == ["poses_1.bvh", "poses_2.bvh"]
    first, second = (joints_of_bvh(path) for path in written.paths)
    assert (len(first), len(second)) == (60, 60)
    assert read_bvh(written.paths[0]).fps == 50
    assert np.ptp(first[19:30], axis=0).max() < 1e-7 < np.ptp(first[18:30], axis=0).max()
    assert np.ptp(second[:11], axis=0).max() < 1e-7 < np.ptp(second[:12], axis=0).max()
    assert any("10 frames without the person" in note for note in written.notes)


def test_bvh_of_time_stamps_that_vary_is_resampled_and_says_so(tmp_path: Path) -> None:
    given = clip()
    written = writers.write(replace(given, times_s=given.times_s + 0.009 * (np.arange(60) % 2)), tmp_path / "poses.bvh")
    assert any("time stamps vary, resampled to" in note for note in written.notes)


def test_bvh_ends_every_chain(tmp_path: Path) -> None:
    writers.write(clip(frames=2), tmp_path / "poses.bvh")
    recording = read_bvh(tmp_path / "poses.bvh")
    assert sum(joint.name.endswith(END) for joint in recording.joints) == 5
    assert [joint.name for joint in recording.joints if not joint.name.endswith(END)] == [node.name for node in RIG]


@pytest.mark.parametrize("exact", [False, True])
def test_glb_holds_the_rig_or_the_joints_themselves(exact: bool, tmp_path: Path) -> None:
    given = uneven(people=2)
    written = writers.write(given, tmp_path / "poses.glb", exact=exact)
    for person in range(2):
        found = joints_of_glb(tmp_path / "poses.glb", given.times_s, person)
        raw = given.poses_m[person] * [1, -1, -1]
        np.testing.assert_allclose(found, raw if exact else rig_of(given, person).joints_m, atol=2e-6)
        file = GltfFile(tmp_path / "poses.glb")
        said = file.json["nodes"][file.names[f"person {person + 1}"]]["extras"]
        assert said["distance_mm"]["mean"] == pytest.approx(written.distance_mm[person + 1][0], abs=1e-3)
        assert (said["distance_mm"]["mean"] == 0) == exact
        assert said["exact"] is exact


@pytest.mark.parametrize("exact", [False, True])
def test_bones_of_a_glb_lie_between_their_joints(exact: bool, tmp_path: Path) -> None:
    given = uneven(frames=20)
    writers.write(given, tmp_path / "poses.glb", exact=exact)
    file = GltfFile(tmp_path / "poses.glb")
    matrices = file.at(given.times_s[13])
    corners = file.corners(file.names["person 1 bones"], matrices).reshape(16, 24, 3)
    joints = joints_of_glb(tmp_path / "poses.glb", given.times_s[13:14])[0]
    ends = {tuple(np.round([bone[2], bone[14]], 4).ravel()) for bone in corners}  # corners of the near end and of the tip
    assert ends == {tuple(np.round([joints[PARENTS[joint]], joints[joint]], 4).ravel()) for joint in range(1, 17)}
    middle = corners.mean(axis=1)
    between = np.stack([(joints[PARENTS[joint]] + joints[joint]) / 2 for joint in range(1, 17)])
    assert np.linalg.norm(middle[:, None] - between, axis=-1).min(axis=1).max() < 0.12


def test_triangles_of_a_glb_face_outwards(tmp_path: Path) -> None:
    writers.write(clip(frames=1), tmp_path / "poses.glb")
    file = GltfFile(tmp_path / "poses.glb")
    attributes = file.json["meshes"][0]["primitives"][0]["attributes"]
    corners, normals = (file.array(attributes[name]).reshape(16, 8, 3, 3) for name in ("POSITION", "NORMAL"))
    outwards = corners.mean(axis=2) - corners.mean(axis=(1, 2))[:, None]
    assert (np.einsum("bfi,bfi->bf", outwards, normals[:, :, 0]) > 0).all()
    by_corners = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    assert (np.einsum("bfi,bfi->bf", by_corners, normals[:, :, 0]) > 0).all()


def test_a_person_not_seen_has_no_size_in_a_glb(tmp_path: Path) -> None:
    given = unseen(clip(people=2), 0, slice(20, 30))
    writers.write(given, tmp_path / "poses.glb")
    file = GltfFile(tmp_path / "poses.glb")
    sizes = [np.abs(np.linalg.det(file.at(time)[file.names["person 1"]])) for time in given.times_s]
    np.testing.assert_allclose(sizes, given.seen[0])
    assert all(channel["target"]["node"] != file.names["person 2"] for channel in file.json["animations"][0]["channels"])


def test_glb_says_where_people_without_a_trajectory_stand(tmp_path: Path) -> None:
    given = clip(frames=3, people=2)
    assert "all people stand in one place" in writers.write(given, tmp_path / "poses.glb").notes[-1]
    placed = with_trajectory(given, 1145, (500, 500))
    assert all("in one place" not in note for note in writers.write(placed, tmp_path / "poses.glb").notes)


def test_glb_keeps_time_stamps_that_vary(tmp_path: Path) -> None:
    given = clip()
    times = 5 + given.times_s + 0.009 * (np.arange(60) % 2)
    writers.write(replace(given, times_s=times), tmp_path / "poses.glb")
    file = GltfFile(tmp_path / "poses.glb")
    keys = file.array(file.json["animations"][0]["samplers"][0]["input"])[:, 0]
    np.testing.assert_allclose(keys, times - 5, atol=1e-6)


def test_glb_keeps_what_lifting_says(tmp_path: Path) -> None:
    writers.write(replace(clip(frames=2), meta={**clip().meta, "size": "guessed"}), tmp_path / "poses.glb")
    said = GltfFile(tmp_path / "poses.glb").json["asset"]["extras"]["poseedge"]
    assert (said["size"], said["axes"]) == ("guessed", "y up")


def test_every_joint_in_one_place_still_gives_files_of_numbers(tmp_path: Path) -> None:
    given = replace(clip(frames=3), poses_m=np.zeros((1, 3, 17, 3), np.float32))
    writers.write(given, tmp_path / "poses.bvh")
    writers.write(given, tmp_path / "poses.glb")
    assert np.abs(joints_of_bvh(tmp_path / "poses.bvh")).max() == 0
    assert np.isfinite(GltfFile(tmp_path / "poses.glb").array(1)).all()


def test_trimesh_opens_the_glb_with_the_rig_in_its_rest_pose(tmp_path: Path) -> None:
    trimesh: Any = pytest.importorskip("trimesh")
    given = uneven(people=2)
    writers.write(given, tmp_path / "poses.glb")
    scene = trimesh.load(tmp_path / "poses.glb")
    assert [len(mesh.faces) for mesh in scene.geometry.values()] == [16 * 8] * 2
    size = next(iter(scene.geometry.values())).extents
    lengths = rig_of(given).lengths_m
    assert size[0] == pytest.approx(sum(lengths[11:17]), abs=0.01)  # from wrist to wrist
