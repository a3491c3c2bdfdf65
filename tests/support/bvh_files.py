"""BVH files made up for tests, and their positions by another way than the package's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import Float64Array


@dataclass(frozen=True)
class Skeleton:
    """Joints as (name, parent, offset), parents first; those without children get an end site one unit along y."""

    prefix: str
    joints: list[tuple[str, str, tuple[float, float, float]]]

    def children(self, name: str) -> list[str]:
        return [child for child, parent, _ in self.joints if parent == name]


def _side(name: str, sign: int, spine: str, hips: str, collar: str) -> list[tuple[str, str, tuple[float, float, float]]]:
    return [
        (f"{name}UpLeg", hips, (1.6 * sign, -1.7, 0.8)),
        (f"{name}Leg", f"{name}UpLeg", (0.2 * sign, -6.8, 0.0)),
        (f"{name}Foot", f"{name}Leg", (0.1 * sign, -7.6, 0.1)),
        (collar, spine, (0.3 * sign, 1.0, 0.0)),
        (f"{name}Arm", collar, (3.2 * sign, 0.5, 0.2)),
        (f"{name}ForeArm", f"{name}Arm", (5.0 * sign, 0.0, 0.1)),
        (f"{name}Hand", f"{name}ForeArm", (3.5 * sign, 0.0, 0.0)),
    ]


CMU = Skeleton(
    "",
    [
        ("Hips", "", (0.0, 0.0, 0.0)),
        ("LowerBack", "Hips", (0.0, 0.0, 0.0)),
        ("Spine", "LowerBack", (0.0, 2.1, -0.1)),
        ("Spine1", "Spine", (0.0, 2.1, -0.1)),
        ("Neck", "Spine1", (0.0, 2.0, 0.0)),
        ("Neck1", "Neck", (0.0, 1.7, 0.0)),
        ("Head", "Neck1", (0.0, 1.5, -0.6)),
        *_side("Left", 1, "Spine1", "Hips", "LeftShoulder"),
        *_side("Right", -1, "Spine1", "Hips", "RightShoulder"),
    ],
)
MIXAMO = Skeleton(
    "mixamorig:",
    [
        (f"mixamorig:{name}", f"mixamorig:{parent}" if parent else "", offset)
        for name, parent, offset in [
            ("Hips", "", (0.0, 0.0, 0.0)),
            ("Spine", "Hips", (0.0, 1.0, 0.0)),
            ("Spine1", "Spine", (0.0, 1.5, 0.0)),
            ("Spine2", "Spine1", (0.0, 1.5, 0.0)),
            ("Neck", "Spine2", (0.0, 2.0, 0.0)),
            ("Head", "Neck", (0.0, 1.5, 0.3)),
            *_side("Left", 1, "Spine2", "Hips", "LeftShoulder"),
            *_side("Right", -1, "Spine2", "Hips", "RightShoulder"),
        ]
    ],
)


def write_bvh(path: Path, skeleton: Skeleton, order: str, frames: int) -> Float64Array:
    """Write random motion, angles turned in ``order``; return its values ``(T, 3 + 3 * joints)``."""
    rng, lines = np.random.default_rng(0), ["HIERARCHY"]
    rotations = " ".join(f"{axis}rotation" for axis in order)
    visited: list[str] = []

    def write(name: str, depth: int) -> None:
        offset = next(o for n, _, o in skeleton.joints if n == name)
        pad = "  " * depth
        visited.append(name)
        lines.extend(
            [f"{pad}{'JOINT' if depth else 'ROOT'} {name}", pad + "{", f"{pad}  OFFSET {offset[0]:g} {offset[1]} {offset[2]}"]
        )
        positions = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"{pad}  CHANNELS {3 if depth else 6} {positions}{rotations}")
        for child in skeleton.children(name):
            write(child, depth + 1)
        if not skeleton.children(name):
            lines.extend([f"{pad}  End Site", pad + "  {", f"{pad}    OFFSET 0 1 0", pad + "  }"])
        lines.append(pad + "}")

    write(skeleton.joints[0][0], 0)
    assert sorted(visited) == sorted(name for name, *_ in skeleton.joints)
    values = rng.uniform(-25, 25, (frames, 3 + 3 * len(visited))).round(4)
    values[:, :3] = rng.uniform(15, 18, (frames, 3)).round(4)
    lines += ["MOTION", f"Frames: {frames}", "Frame Time: 0.0083333"]
    lines += [" ".join(f"{value:.4f}" for value in row) for row in values]
    path.write_text("\n".join(lines) + "\n")
    in_file = {name: values[:, 3 + 3 * i : 6 + 3 * i] for i, name in enumerate(visited)}
    return np.concatenate([values[:, :3], *[in_file[name] for name, *_ in skeleton.joints]], axis=1)


def by_matrices(skeleton: Skeleton, order: str, values: Float64Array) -> dict[str, Float64Array]:
    """Return places by name from products of 4 x 4 matrices, frame by frame."""
    places: dict[str, Any] = {}
    for row in values:
        world: dict[str, Float64Array] = {"": np.eye(4)}
        for number, (name, parent, offset) in enumerate(skeleton.joints):
            local = np.eye(4)
            local[:3, 3] = row[:3] if not parent else offset
            for axis, angle in zip(order, row[3 + 3 * number : 6 + 3 * number], strict=True):
                local = local @ rotation(axis, angle)
            world[name] = world[parent] @ local
            places.setdefault(name, []).append(world[name][:3, 3])
            if not skeleton.children(name):
                places.setdefault(f"{name}.end", []).append((world[name] @ [0, 1, 0, 1])[:3])
    return {name: np.array(rows) for name, rows in places.items()}


def rotation(axis: str, degrees: float) -> Float64Array:
    """Return the 4 x 4 rotation about an axis, by Rodrigues' formula."""
    x, y, z = np.eye(3)["XYZ".index(axis)]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn, angle = np.eye(4), np.deg2rad(degrees)
    turn[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turn
