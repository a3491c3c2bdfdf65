"""Thin bones around the rig in its rest pose, every corner bound to one node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poseedge.arrays import AnyArray, Float64Array
from poseedge.live.rig.limbs import REST_DIRECTIONS, RIG, children_of, rest_offset

_THICKNESS = 0.07  # of a bone's length
_WAIST = 0.15  # where along the bone it is thickest
_LEAST_M = 1e-4  # of a bone, for normals need an area


@dataclass(frozen=True)
class Mesh:
    """Triangles, three corners each, flat shaded: M corners."""

    corners_m: Float64Array  # (M, 3)
    normals: Float64Array  # (M, 3)
    nodes: AnyArray  # (M,) node of the rig that each corner follows


def rest_places(lengths_m: Float64Array) -> Float64Array:
    """Return where the nodes stand in the rest pose, the pelvis at the origin, ``(N, 3)``."""
    places: list[Float64Array] = []
    for node in RIG:
        places.append(rest_offset(node, lengths_m) + (places[node.parent] if node.parent >= 0 else 0))
    return np.array(places)


def bone_mesh(lengths_m: Float64Array) -> Mesh:
    """Return an octahedron per limb: its near end follows the node that turns the limb, its tip the node at the far end."""
    places, corners, nodes = rest_places(lengths_m), [], []
    for near, node in enumerate(RIG):
        if node.aims_at is None:
            continue
        far = children_of(node)[0]
        corners.append(places[near] + max(lengths_m[node.aims_at], _LEAST_M) * _octahedron(REST_DIRECTIONS[node.aims_at]))
        nodes += [near, near, near] * 4 + [near, near, far] * 4
    triangles = np.concatenate(corners).reshape(-1, 3, 3)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(triangles.reshape(-1, 3), np.repeat(normals, 3, axis=0), np.array(nodes))


def _octahedron(way: Float64Array) -> Float64Array:
    """Return the eight triangles of a bone of length 1 from the origin, ``(24, 3)``: four to the near end, four to the tip."""
    across = np.roll(np.abs(way), 1)
    beside = np.cross(way, across)
    ring = [_WAIST * way + _THICKNESS * side for side in (across, beside, -across, -beside)]
    sides = [(ring[index], ring[(index + 1) % 4]) for index in range(4)]
    near = [(second, first, np.zeros(3)) for first, second in sides]
    far = [(first, second, way) for first, second in sides]
    return np.array(near + far).reshape(-1, 3)
