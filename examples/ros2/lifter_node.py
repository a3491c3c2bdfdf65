#!/usr/bin/env python3
"""A ROS 2 node: one person's 2D keypoints in, 3D poses out, by a bundle's own run.py.

    python3 lifter_node.py --ros-args -p bundle:=/opt/nanohtnet -p precision:=fp16 -p width:=1920 -p height:=1080

Needs ROS 2 Humble or later and what run.py needs; nothing of poseedge.

in:  keypoints (geometry_msgs/PolygonStamped): 17 Human3.6M joints in pixels, z the score; every frame, at the network's rate
out: poses (geometry_msgs/PoseArray): 17 joints in metres from the first, the pelvis, in the camera's axes; without rotations

A pose carries the header of the frame that it shows, and comes ``look_ahead`` frames after it.
"""

import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PolygonStamped, Pose, PoseArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data

JOINTS = 17
GAP_S = 0.5  # without frames: what comes then begins anew


class LifterNode(Node):
    """Lifts as the keypoints come."""

    def __init__(self) -> None:
        super().__init__("lifter")
        bundle = self.declare_parameter("bundle", ".").value
        precision = self.declare_parameter("precision", "fp32").value
        self._size = self.declare_parameter("width", 1920).value, self.declare_parameter("height", 1080).value
        sys.path.insert(0, bundle)
        import run  # the bundle's

        self._on_screen = run.on_screen
        self._lifter = run.Lifter(bundle, precision=precision)
        self._stream = run.Stream(self._lifter)
        self._headers: dict[int, Any] = {}  # of the frames whose poses are waited for
        self._frames = 0
        self._newest_s: float | None = None
        # As sensors' data, best effort: that takes what reliable publishers send, too. Poses are reliable.
        self._poses = self.create_publisher(PoseArray, "poses", 10)
        self.create_subscription(PolygonStamped, "keypoints", self._take, qos_profile_sensor_data)
        lifter, later = self._lifter, self._stream.look_ahead
        self.get_logger().info(f"{lifter.model} {lifter.precision} on {lifter.provider}, poses come {later} frames later")

    def _take(self, message: Any) -> None:
        """Lift one frame."""
        row = [(point.x, point.y, point.z) for point in message.polygon.points]
        if len(row) != JOINTS or not all(math.isfinite(number) for joint in row for number in joint):
            self.get_logger().warn(f"a frame without {JOINTS} whole joints is left out")
            return
        now_s = message.header.stamp.sec + message.header.stamp.nanosec / 1e9
        if self._newest_s is not None and not 0 < now_s - self._newest_s < GAP_S:
            self.finish()
        self._newest_s = now_s
        self._headers[self._frames] = message.header
        self._frames += 1
        keypoints = self._on_screen(np.array(row, np.float32), *self._size)[:, : self._lifter.channels]
        self._publish(self._stream.push(keypoints))

    def finish(self) -> None:
        """Publish the poses that are still waited for, and begin anew."""
        self._publish(self._stream.finish())
        self._headers.clear()
        self._frames = 0
        self._newest_s = None

    def _publish(self, given: Iterable[tuple[int, Any]]) -> None:
        for frame, pose_m in given:
            message = PoseArray(header=self._headers.pop(frame))
            message.poses = [self._joint(joint) for joint in pose_m.tolist()]
            self._poses.publish(message)

    @staticmethod
    def _joint(position_m: list[float]) -> Any:
        joint = Pose()
        joint.position.x, joint.position.y, joint.position.z = position_m
        joint.orientation.w = 1.0
        return joint

    def destroy_node(self) -> None:
        """Let go of the GPU, too."""
        self._lifter.close()
        super().destroy_node()


def main() -> None:
    """Run until the node is told to end."""
    rclpy.init()
    node = LifterNode()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
