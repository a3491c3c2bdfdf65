"""BVH files become the joints that their matrices say, found by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.data.bvh import JOINTS, human36m_joints, plain_name, read_bvh, world_positions
from poseedge.errors import DataError
from poseedge.skeleton import JOINT_NAMES
from tests.support.bvh_files import CMU, MIXAMO, Skeleton, by_matrices, write_bvh


@pytest.mark.parametrize("skeleton", [CMU, MIXAMO], ids=["cmu", "mixamo"])
@pytest.mark.parametrize("order", ["ZYX", "XYZ", "YXZ"])
def test_positions_are_those_of_the_product_of_matrices(skeleton: Skeleton, order: str, tmp_path: Path) -> None:
    values = write_bvh(tmp_path / "a.bvh", skeleton, order, frames=4)
    recording = read_bvh(tmp_path / "a.bvh")
    assert recording.fps == 120
    found, wanted = world_positions(recording), by_matrices(skeleton, order, values)
    assert found.keys() == wanted.keys()
    for name, places in wanted.items():
        np.testing.assert_allclose(found[name], places, atol=1e-4)


@pytest.mark.parametrize("skeleton", [CMU, MIXAMO], ids=["cmu", "mixamo"])
def test_joints_are_found_by_their_usual_names(skeleton: Skeleton, tmp_path: Path) -> None:
    values = write_bvh(tmp_path / "a.bvh", skeleton, "ZYX", frames=2)
    places = by_matrices(skeleton, "ZYX", values)
    joints = human36m_joints(world_positions(read_bvh(tmp_path / "a.bvh")), JOINTS, tmp_path)
    assert joints.shape == (2, 17, 3)

    def at(joint: str) -> Any:
        return joints[:, JOINT_NAMES.index(joint)]

    prefix = skeleton.prefix
    sides = {"Leg": "knee", "Foot": "ankle", "Arm": "shoulder", "ForeArm": "elbow", "Hand": "wrist"}
    for side in ("Left", "Right"):
        for suffix, joint in sides.items():
            np.testing.assert_allclose(at(f"{side.lower()}_{joint}"), places[f"{prefix}{side}{suffix}"], atol=1e-4)
    hips = (places[f"{prefix}LeftUpLeg"] + places[f"{prefix}RightUpLeg"]) / 2
    np.testing.assert_allclose(at("pelvis"), hips, atol=1e-4)
    np.testing.assert_allclose(at("head"), places[f"{prefix}Head.end"], atol=1e-4)


def test_own_names_can_be_given(tmp_path: Path) -> None:
    names = "\n".join(f'{joint} = [["Hips"], ["Head"]]' for joint in JOINT_NAMES)
    (tmp_path / "mine.toml").write_text(names)
    write_bvh(tmp_path / "a.bvh", CMU, "ZYX", frames=1)
    positions = world_positions(read_bvh(tmp_path / "a.bvh"))
    joints = human36m_joints(positions, tmp_path / "mine.toml", tmp_path)
    np.testing.assert_array_equal(joints, np.repeat(positions["Hips"][:, None], 17, axis=1))


def test_names_are_compared_without_prefix_case_and_punctuation() -> None:
    assert plain_name("mixamorig:LeftUpLeg") == plain_name("left_up_leg") == "leftupleg"
    assert plain_name("Head.end") == "head.end" != plain_name("HeadEnd")


def test_a_joint_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    neckless = {name: np.zeros((1, 3)) for name, *_ in CMU.joints if name != "Neck"}
    with pytest.raises(DataError, match=r"is the thorax \(tried Neck\)") as caught:
        human36m_joints(neckless | {"Head.end": np.zeros((1, 3))}, JOINTS, tmp_path)
    assert "its joints are Hips, LowerBack" in caught.value.hint


def test_a_table_of_names_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('pelvis = ["Hips"]')
    with pytest.raises(DataError, match=r"bad\.toml: not a table of joint names"):
        human36m_joints({"Hips": np.zeros((1, 3))}, tmp_path / "bad.toml", tmp_path)


WRONG: dict[str, Callable[[str], str]] = {
    "not BVH at all": lambda text: "hello\n",
    "cut off in a frame": lambda text: text[:-40],
    "a frame missing": lambda text: "\n".join(text.splitlines()[:-1]),
    "no motion": lambda text: text.partition("MOTION")[0],
    "words for numbers": lambda text: text.replace("OFFSET 0", "OFFSET zero", 1),
    "no frame time": lambda text: text.replace("Frame Time: 0.0083333", "Frame Time: 0"),
}


@pytest.mark.parametrize("promise", WRONG)
def test_a_damaged_file_is_refused_with_its_line(promise: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    write_bvh(path, CMU, "ZYX", frames=3)
    path.write_text(WRONG[promise](path.read_text()))
    with pytest.raises(DataError, match=r"a\.bvh: not a BVH file, line \d+") as caught:
        read_bvh(path)
    assert caught.value.hint
