"""Acclaim files become the places that a hand calculation gives, and the joints of Human3.6M by the CMU skeleton's names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseedge.data.asf_amc import read_amc, read_asf, skeleton_of, world_positions
from poseedge.data.convert import Reading, read_motion_clip
from poseedge.errors import DataError
from poseedge.skeleton import JOINT_NAMES, PARENTS
from tests.support.acclaim_files import HEAD, LOWER, STIFF, TREE, UPPER, write


def places(motion: Path) -> dict[str, list[list[float]]]:
    skeleton = read_asf(skeleton_of(motion))
    ends = world_positions(skeleton, read_amc(motion, skeleton))
    return {name: np.round(end, 9).tolist() for name, end in ends.items()}


def test_places_are_those_of_a_calculation_by_hand(tmp_path: Path) -> None:
    ends = places(write(tmp_path))
    assert {name: end[0] for name, end in ends.items()} == {
        "root": [1, 2, 3],
        "upper": [3, 2, 3],
        "lower": [6, 2, 3],
        "stiff": [6, 6, 3],
    }
    # The x axis of "upper" lies along y of the base pose: a quarter turn about it brings x to -z.
    assert ends["upper"][1] == [0, 0, -2]
    # "lower", in the axes of "upper": about x, which changes nothing, then about z, so that x comes to y. "upper" leaves y.
    assert ends["lower"][1] == [0, 3, -2]
    # "stiff" goes with "lower": y comes to z about x and stays there; "upper" brings z to x.
    assert ends["stiff"][1] == [4, 3, -2]


def test_root_turns_about_the_world_s_axes_in_the_order_of_the_file(tmp_path: Path) -> None:
    turned = "1\nroot 0 0 0 90 90 0\nupper 0\nlower 0 0 0\n"
    ends = places(write(tmp_path, motion=turned))
    assert ends["upper"][0] == [0, 0, -2]  # x: stays, then to -z
    assert ends["stiff"][0] == [4, 0, -5]  # y: to z, then to x
    ends = places(write(tmp_path, (HEAD + UPPER + LOWER + STIFF + TREE).replace("RX RY RZ", "RY RX RZ"), turned))
    assert ends["upper"][0] == [0, 2, 0]  # x: to -z, then to y


def test_angles_may_be_radians(tmp_path: Path) -> None:
    degrees = HEAD + UPPER + LOWER + STIFF + TREE
    radians = degrees.replace("angle deg", "angle rad").replace("axis 0 0 90", f"axis 0 0 {np.pi / 2}")
    quarter = f"1\nroot 0 0 0 0 0 0\nupper {np.pi / 2}\nlower 0 0 0\n"
    assert places(write(tmp_path, radians, quarter))["upper"][0] == [0, 0, -2]


def bone(name: str, direction: tuple[float, float, float], length: float) -> str:
    return f"begin\n name {name}\n direction {' '.join(map(str, direction))}\n length {length}\n axis 0 0 0 XYZ\nend\n"


def person() -> str:
    """Return a standing person in CMU's units, arms to the sides, as the CMU database names bones."""
    down, up, left, right = (0, -1, 0), (0, 1, 0), (1, 0, 0), (-1, 0, 0)
    bones, tree = "", ""
    spine = [("lowerback", 2), ("upperback", 2), ("thorax", 2), ("lowerneck", 1), ("upperneck", 1), ("head", 2)]
    for (name, length), parent in zip(spine, ["root", *(name for name, _ in spine)], strict=False):
        bones, tree = bones + bone(name, up, length), tree + f"{parent} {name}\n"
    for side, way in (("l", left), ("r", right)):
        chains: dict[str, list[tuple[str, tuple[float, float, float], float]]] = {
            "root": [("hipjoint", way, 2), ("femur", down, 7), ("tibia", down, 7)],
            "thorax": [("clavicle", way, 3), ("humerus", way, 5), ("radius", way, 4)],
        }
        for parent, chain in chains.items():
            above = parent
            for name, direction, reach in chain:
                bones, tree = bones + bone(side + name, direction, reach), tree + f"{above} {side}{name}\n"
                above = side + name
    return HEAD + bones + f":hierarchy\nbegin\n{tree}end\n"


def test_a_person_of_the_database_stands_upright_in_metres(tmp_path: Path) -> None:
    frames = "".join(f"{k}\nroot {k / 10} 16 0 0 0 0\n" for k in range(1, 25))
    clip = read_motion_clip(write(tmp_path, person(), frames), Reading(subject="ben", units="cmu"))
    assert (clip.subject, clip.action) == ("ben", "07 01")
    assert len(clip.world) == 10  # 24 frames at 120 per second are 10 at 50
    metres = 0.0254 / 0.45
    first = dict(zip(JOINT_NAMES, clip.world[0] / metres, strict=True))
    wanted = {
        "pelvis": (0.1, 0, 16),
        "right_ankle": (-1.9, 0, 2),
        "left_knee": (2.1, 0, 9),
        "spine": (0.1, 0, 18),
        "thorax": (0.1, 0, 22),
        "neck_nose": (0.1, 0, 23.5),
        "head": (0.1, 0, 26),
        "left_wrist": (12.1, 0, 22),
        "right_elbow": (-7.9, 0, 22),
    }
    for name, place in wanted.items():
        np.testing.assert_allclose(first[name], place, atol=1e-9, err_msg=name)
    lengths = [
        np.linalg.norm(clip.world[0, joint] - clip.world[0, parent]) for joint, parent in enumerate(PARENTS) if parent >= 0
    ]
    assert min(lengths) > 0


def test_the_skeleton_beside_the_movement_is_found(tmp_path: Path) -> None:
    motion = write(tmp_path)
    (tmp_path / "08.asf").write_text("")
    assert skeleton_of(motion).name == "07.asf"
    (tmp_path / "07.asf").unlink()
    assert skeleton_of(motion).name == "08.asf"  # the only one
    (tmp_path / "08.asf").unlink()
    with pytest.raises(DataError, match=r"07_01\.amc: an AMC file needs its skeleton beside it, found none"):
        skeleton_of(motion)


@pytest.mark.parametrize(
    ("skeleton", "found"),
    [
        (HEAD + UPPER + TREE, ":hierarchy names lower, stiff, which :bonedata does not hold"),
        (HEAD + UPPER + LOWER + STIFF + TREE.replace("root upper", "stiff upper"), "no way from root to lower, stiff, upper"),
        (HEAD + UPPER.replace("length 2", "length two") + TREE, "hierarchy names"),
        (HEAD.replace("position 0 0 0", "position 0 5 0") + UPPER + LOWER + STIFF + TREE, "its root has a position of its own"),
        (HEAD + UPPER + LOWER.replace("length 3", "length three") + STIFF + TREE, "could not convert string to float: 'three'"),
        (HEAD + UPPER + LOWER.replace("dof rx ry rz", "dof rx sy l") + STIFF + TREE, "dof of lower names 'sy', none of tx, ty"),
        (HEAD.replace("   order TX TY TZ RX RY RZ\n", "") + UPPER + LOWER + STIFF + TREE, "its root has no order of movements"),
        (HEAD + UPPER + LOWER + STIFF + TREE.replace("root upper", "root upper\n stiff root"), "has root follow stiff"),
    ],
)
def test_broken_skeletons_are_refused(tmp_path: Path, skeleton: str, found: str) -> None:
    with pytest.raises(DataError, match=found):
        places(write(tmp_path, skeleton))


@pytest.mark.parametrize(
    ("motion", "found"),
    [
        ("1\nroot 1 2 3 0 0 0\nupper 0 0\n", "line 3: 2 values for the 1 degrees of freedom of upper"),
        ("1\nroot 1 2 3 0 0 0\nwing 0\n", "line 3: the skeleton has no bone 'wing'"),
        ("1\nroot 1 2 3 0 0 0\nupper 0\nlower 0 0 0\n2\nroot 1 2 3 0 0 0\n", "line 7: 2 frames, not all with upper, lower"),
        ("1\nroot 1 2 3 0 0 0\nroot 1 2 3 0 0 0\n", "line 3: root is not once in every frame"),
        ("", "line 1: 0 frames, not all with root, upper, lower"),
    ],
)
def test_broken_movements_are_refused(tmp_path: Path, motion: str, found: str) -> None:
    with pytest.raises(DataError, match=found):
        places(write(tmp_path, motion=motion))
