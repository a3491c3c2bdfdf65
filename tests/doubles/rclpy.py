"""A stand-in for ROS 2's Python client: typed messages, topics that match by type and quality of service, and one node.

After rclpy's and rosidl's own: fields of messages assert their types, a NumPy number is no float, unknown fields do not exist;
a best-effort publisher does not reach a reliable subscription.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType
from typing import Any, ClassVar

FLOAT32_MAX = 3.402823466e38


class Message:
    """A message; ``FIELDS`` gives each field's type: float, int, str, another message, or a list of one."""

    FIELDS: ClassVar[dict[str, Any]] = {}

    def __init__(self, **values: Any) -> None:
        assert values.keys() <= self.FIELDS.keys(), f"no such fields: {values.keys() - self.FIELDS.keys()}"
        for name, kind in self.FIELDS.items():
            default = [] if isinstance(kind, list) else kind()
            setattr(self, name, values.get(name, default))

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.FIELDS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        kind = self.FIELDS[name]
        if isinstance(kind, list):
            assert {type(item) for item in value} <= set(kind), f"{name}: wrong items"
        else:
            assert type(value) is kind, f"The '{name}' field must be of type '{kind.__name__}', not {type(value).__name__}"
        object.__setattr__(self, name, value)


def message(name: str, **fields: Any) -> type[Message]:
    """Return a type of messages."""
    return type(name, (Message,), {"FIELDS": fields})


Time = message("Time", sec=int, nanosec=int)
Header = message("Header", stamp=Time, frame_id=str)
Point = message("Point", x=float, y=float, z=float)
Point32 = message("Point32", x=float, y=float, z=float)
Quaternion = message("Quaternion", x=float, y=float, z=float, w=float)
Pose = message("Pose", position=Point, orientation=Quaternion)
Polygon = message("Polygon", points=[Point32])
PolygonStamped = message("PolygonStamped", header=Header, polygon=Polygon)
PoseArray = message("PoseArray", header=Header, poses=[Pose])


class Reliability(Enum):
    """As ``QoSReliabilityPolicy``."""

    RELIABLE = 1
    BEST_EFFORT = 2


@dataclass(frozen=True)
class QoSProfile:
    """What counts of one."""

    depth: int
    reliability: Reliability = Reliability.RELIABLE


SENSOR_DATA = QoSProfile(5, Reliability.BEST_EFFORT)


@dataclass
class Topic:
    """Who speaks on a topic and who listens."""

    kind: type[Message]
    quality: QoSProfile
    callback: Callable[[Any], None]


@dataclass
class Ros:
    """One machine's ROS 2."""

    parameters: dict[str, Any] = field(default_factory=dict)
    running: bool = False
    nodes: list[Node] = field(default_factory=list)
    subscriptions: dict[str, list[Topic]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    on_spin: Callable[[], None] = lambda: None

    def subscribe(self, kind: type[Message], name: str, callback: Callable[[Any], None], quality: Any) -> None:
        """Listen to a topic; a number is the depth of a reliable subscription."""
        profile = quality if isinstance(quality, QoSProfile) else QoSProfile(quality)
        self.subscriptions.setdefault(name, []).append(Topic(kind, profile, callback))

    def publish(self, message: Message, name: str, kind: type[Message], quality: Any) -> int:
        """Return how many heard it."""
        if type(message) is not kind:
            raise TypeError(f"Expected {kind}, got {type(message)}")
        profile = quality if isinstance(quality, QoSProfile) else QoSProfile(quality)
        heard = [
            topic
            for topic in self.subscriptions.get(name, [])
            if topic.kind is kind
            and (topic.quality.reliability is Reliability.BEST_EFFORT or profile.reliability is Reliability.RELIABLE)
        ]
        for topic in heard:
            topic.callback(message)
        return len(heard)


class ExternalShutdownException(Exception):
    """What ``spin`` raises on SIGTERM."""


class Node:
    """Base of nodes; ``ros`` is set by ``make_rclpy``."""

    ros: Ros

    def __init__(self, name: str) -> None:
        assert self.ros.running, "rclpy.init() has not been called"
        self.ros.nodes.append(self)

    def declare_parameter(self, name: str, value: Any) -> Any:
        given = self.ros.parameters.get(name, value)
        if type(given) is not type(value):
            raise TypeError(f"parameter {name} is {type(given)}, declared as {type(value)}")
        return type("Parameter", (), {"value": given})()

    def create_publisher(self, kind: type[Message], name: str, quality: Any) -> Any:
        return type("Publisher", (), {"publish": lambda _, message: self.ros.publish(message, name, kind, quality)})()

    def create_subscription(self, kind: type[Message], name: str, callback: Callable[[Any], None], quality: Any) -> None:
        self.ros.subscribe(kind, name, callback, quality)

    def get_logger(self) -> Any:
        say = lambda _, text: self.ros.told.append(text)  # noqa: E731
        return type("Logger", (), {"info": say, "warn": say})()

    def destroy_node(self) -> None:
        self.ros.nodes.remove(self)


def make_rclpy(ros: Ros) -> dict[str, ModuleType]:
    """Return the modules by name, as they go into ``sys.modules``."""

    def spin(node: Node) -> None:
        ros.on_spin()
        raise ExternalShutdownException

    members: dict[str, dict[str, Any]] = {
        "rclpy": {
            "init": lambda: setattr(ros, "running", True),
            "spin": spin,
            "try_shutdown": lambda: setattr(ros, "running", False),
        },
        "rclpy.node": {"Node": type("Node", (Node,), {"ros": ros})},
        "rclpy.executors": {"ExternalShutdownException": ExternalShutdownException},
        "rclpy.qos": {"QoSProfile": QoSProfile, "qos_profile_sensor_data": SENSOR_DATA},
        "geometry_msgs": {},
        "geometry_msgs.msg": {"Pose": Pose, "PoseArray": PoseArray, "PolygonStamped": PolygonStamped, "Point32": Point32},
    }
    modules = {name: ModuleType(name) for name in members}
    for name, module in modules.items():
        vars(module).update(members[name])
    return modules
