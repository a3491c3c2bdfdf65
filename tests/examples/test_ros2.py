"""The ROS 2 example lifts a topic of keypoints to a topic of poses, with messages that ROS takes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from poseedge.arrays import Float32Array
from tests.doubles.install import uninstall
from tests.doubles.rclpy import (
    SENSOR_DATA,
    Header,
    Message,
    Point32,
    Polygon,
    PolygonStamped,
    Pose,
    PoseArray,
    QoSProfile,
    Ros,
    Time,
    make_rclpy,
)
from tests.support.lifting_bundle import load_runner, write_bundle

EXAMPLE = Path(__file__).parents[2] / "examples" / "ros2" / "lifter_node.py"
RATE = 50


@pytest.fixture
def ros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ros:
    """ROS 2 on a machine with a bundle, without TensorRT."""
    write_bundle(tmp_path / "bundle")
    ros = Ros({"bundle": str(tmp_path / "bundle"), "width": 1000, "height": 1000})
    for name, module in make_rclpy(ros).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "run", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    uninstall(monkeypatch, "tensorrt")
    return ros


@pytest.fixture
def example(ros: Ros) -> ModuleType:
    """The example, imported."""
    spec = importlib.util.spec_from_file_location("lifter_node", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def frame(number: int, joints_px: Float32Array) -> Message:
    """Return the message of one frame."""
    stamp = Time(sec=number // RATE, nanosec=number % RATE * 1_000_000_000 // RATE)
    points = [Point32(x=float(x), y=float(y), z=1.0) for x, y in joints_px]
    return PolygonStamped(header=Header(stamp=stamp, frame_id="camera"), polygon=Polygon(points=points))


def walk(count: int) -> Float32Array:
    """Return ``(count, 17, 2)`` pixels."""
    return np.random.default_rng(2).uniform(100, 900, (count, 17, 2)).astype(np.float32)


def poses_of(example: ModuleType, ros: Ros, send: Callable[[Any], Any], quality: Any = SENSOR_DATA) -> list[Any]:
    """Run the example while ``send`` sends frames; return what it published."""
    poses: list[Any] = []

    def on_spin() -> None:
        ros.subscribe(PoseArray, "poses", poses.append, 10)
        send(lambda message: ros.publish(message, "keypoints", PolygonStamped, quality))

    ros.on_spin = on_spin
    example.main()
    assert (ros.running, ros.nodes) == (False, [])
    return poses


def numbers(poses: list[Any]) -> Float32Array:
    return np.array([[(p.position.x, p.position.y, p.position.z) for p in message.poses] for message in poses], np.float32)


def stamps(poses: list[Any]) -> list[int]:
    return [round((p.header.stamp.sec + p.header.stamp.nanosec / 1e9) * RATE) for p in poses]


@pytest.mark.parametrize("quality", [SENSOR_DATA, QoSProfile(10)], ids=["best effort", "reliable"])
def test_poses_carry_the_header_of_the_frame_that_they_show(example: ModuleType, ros: Ros, quality: QoSProfile) -> None:
    joints = walk(20)
    poses = poses_of(example, ros, lambda send: [send(frame(n, row)) for n, row in enumerate(joints)], quality)
    run = load_runner(Path(ros.parameters["bundle"]) / "run.py")
    with run.Lifter(backend="onnxruntime") as lifter:
        stream = run.Stream(lifter)
        wanted = [posed for row in joints for posed in stream.push(run.on_screen(row, 1000, 1000))]
    assert stamps(poses) == [number for number, _ in wanted] == list(range(20 - stream.look_ahead))
    np.testing.assert_array_equal(numbers(poses), np.stack([pose for _, pose in wanted]))
    assert {p.header.frame_id for p in poses} == {"camera"}
    assert {joint.orientation.w for p in poses for joint in p.poses} == {1.0}


def test_after_a_gap_the_rest_is_given_and_it_begins_anew(example: ModuleType, ros: Ros) -> None:
    numbers_sent = [*range(12), *range(100, 112)]
    poses = poses_of(example, ros, lambda send: [send(frame(n, row)) for n, row in zip(numbers_sent, walk(24), strict=True)])
    assert stamps(poses)[:12] == list(range(12))
    assert stamps(poses)[12:] == list(range(100, 100 + len(poses) - 12))
    assert len(poses) > 12


def test_a_frame_that_lacks_a_joint_is_left_out_and_told(example: ModuleType, ros: Ros) -> None:
    joints = walk(12)
    joints[3, 5] = np.nan
    poses = poses_of(example, ros, lambda send: [send(frame(n, row)) for n, row in enumerate(joints)])
    assert 3 not in stamps(poses)
    assert "a frame without 17 whole joints is left out" in ros.told


# What the stand-in holds against a program that gets it wrong


def test_numbers_of_numpy_are_no_floats_and_other_messages_are_not_taken() -> None:
    with pytest.raises(AssertionError, match="must be of type 'float'"):
        Point32(x=np.float32(1))
    with pytest.raises(AssertionError, match="wrong items"):
        PoseArray(poses=[Point32()])
    with pytest.raises(AttributeError, match="no attribute 'joints'"):
        PoseArray().joints = []
    with pytest.raises(TypeError, match="Expected"):
        Ros().publish(Pose(), "poses", PoseArray, 10)


def test_a_best_effort_publisher_does_not_reach_a_reliable_subscription() -> None:
    ros = Ros()
    ros.subscribe(PoseArray, "poses", lambda _: None, 10)
    assert ros.publish(PoseArray(), "poses", PoseArray, SENSOR_DATA) == 0
    assert ros.publish(PoseArray(), "poses", PoseArray, 10) == 1
