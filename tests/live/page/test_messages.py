"""Messages are as docs/demo.md lists them, and joint angles are those of the pose."""

from __future__ import annotations

import json

import numpy as np
import pytest

from poseedge.live.drawing import Figure
from poseedge.live.page.angles import ANGLE_NAMES, joint_angles
from poseedge.live.page.messages import frame_message, hello
from poseedge.live.types import Floats
from poseedge.skeleton import BONES, JOINT_NAMES, LEFT, RIGHT


def standing() -> Floats:
    """Someone who stands straight with hanging arms, y up."""
    pose = np.zeros((17, 3), np.float32)
    heights = {"hip": 0.0, "knee": -0.45, "ankle": -0.9, "shoulder": 0.5, "elbow": 0.2, "wrist": -0.05}
    for joint, name in enumerate(JOINT_NAMES):
        side, _, part = name.partition("_")
        if side in ("left", "right"):
            pose[joint] = [0.15 if side == "left" else -0.15, heights[part], 0]
    for name, height in {"spine": 0.25, "thorax": 0.5, "neck_nose": 0.6, "head": 0.7}.items():
        pose[JOINT_NAMES.index(name), 1] = height
    return pose


def angles_of(pose: Floats) -> dict[str, float]:
    return dict(zip(ANGLE_NAMES, joint_angles(pose).tolist(), strict=True))


def test_who_stands_straight_has_no_angle() -> None:
    assert list(angles_of(standing()).values()) == pytest.approx([0.0] * 8, abs=0.1)


@pytest.mark.parametrize(
    ("moved", "to", "angle", "degrees"),
    [
        ("left_ankle", (0.15, -0.45, -0.45), "left_knee", 90),
        ("right_wrist", (-0.15, 0.45, 0.0), "right_elbow", 180),
        ("left_knee", (0.15, 0.0, 0.45), "left_hip", 90),
        ("right_elbow", (-0.45, 0.5, 0.0), "right_shoulder", 90),
        ("right_elbow", (-0.15, 0.8, 0.0), "right_shoulder", 180),
        ("left_ankle", (0.15 + 0.45, -0.9, 0.0), "left_knee", 45),
    ],
)
def test_angle_of_a_bent_joint(moved: str, to: tuple[float, float, float], angle: str, degrees: float) -> None:
    pose = standing()
    pose[JOINT_NAMES.index(moved)] = to
    assert angles_of(pose)[angle] == pytest.approx(degrees, abs=0.1)


def test_limb_without_length_has_no_angle() -> None:
    pose = standing()
    pose[JOINT_NAMES.index("left_ankle")] = pose[JOINT_NAMES.index("left_knee")]
    assert np.isnan(angles_of(pose)["left_knee"])
    figure = Figure(1, pose, np.zeros((17, 2), np.float32), np.zeros(17, np.bool_))
    (person,) = json.loads(frame_message(0, 0.0, [figure]))["people"]
    assert person["angles_deg"][ANGLE_NAMES.index("left_knee")] is None


def test_hello_says_what_all_numbers_mean() -> None:
    assert json.loads(hello("nanohtnet int8", "camera 0", True)) == {
        "type": "hello",
        "title": "nanohtnet int8",
        "source": "camera 0",
        "live": True,
        "joints": list(JOINT_NAMES),
        "bones": [list(bone) for bone in BONES],
        "left": list(LEFT),
        "right": list(RIGHT),
        "angles": list(ANGLE_NAMES),
        "against": None,
    }
    assert json.loads(hello("nanohtnet fp32", "camera 0", True, "nanohtnet int8"))["against"] == "nanohtnet int8"


def test_frame_holds_what_another_network_says_of_a_person() -> None:
    other = standing()
    other[3] += [0.03, 0.0, 0.04]
    faint, px = np.zeros(17, np.bool_), np.zeros((17, 2), np.float32)
    alone, both = Figure(1, standing(), px, faint), Figure(2, standing(), px, faint, other)
    first, second = json.loads(frame_message(0, 0.0, [alone, both]))["people"]
    assert "against" not in first
    np.testing.assert_allclose(second["joints_m"], standing(), atol=1e-4)
    np.testing.assert_allclose(second["against"]["joints_m"], other, atol=1e-4)
    assert second["against"]["distance_mm"] == pytest.approx(50 / 17, abs=0.01)


def test_frame_holds_everybody_who_has_a_pose() -> None:
    faint = np.zeros(17, np.bool_)
    faint[3] = True
    figures = [
        Figure(4, standing(), np.zeros((17, 2), np.float32), faint),
        Figure(5, None, np.zeros((17, 2), np.float32), faint),
    ]
    message = json.loads(frame_message(7, 0.28, figures, delay_ms=210))
    (person,) = message.pop("people")
    assert message == {"type": "frame", "frame": 7, "time": 0.28, "delay_ms": 210}
    assert person["id"] == 4
    assert person["faint"] == faint.tolist()
    np.testing.assert_allclose(person["joints_m"], standing(), atol=1e-4)
    np.testing.assert_allclose(person["angles_deg"], joint_angles(standing()), atol=0.06)
