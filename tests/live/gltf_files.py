"""Read a ``.glb`` as the specification says (Khronos, glTF 2.0.1), and move its skin: written apart from the writer."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import AnyArray, Float64Array

_TYPES: dict[int, np.dtype[Any]] = {5121: np.dtype("u1"), 5126: np.dtype("<f4")}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class GltfFile:
    """One file: its JSON, its arrays, and the places of nodes and corners at a key of the animation."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        self.json: dict[str, Any] = json.loads(data[20 : 20 + size])
        binary, kind = struct.unpack_from("<I4s", data, 20 + size)
        assert kind == b"BIN\0"
        self._data = data[28 + size : 28 + size + binary]
        self.names = {node["name"]: number for number, node in enumerate(self.json["nodes"])}
        self._parents = {child: number for number, node in enumerate(self.json["nodes"]) for child in node.get("children", [])}

    def array(self, accessor: int) -> AnyArray:
        """Return an accessor's values, ``(count, width)``."""
        entry = self.json["accessors"][accessor]
        view = self.json["bufferViews"][entry["bufferView"]]
        shape = (entry["count"], _WIDTHS[entry["type"]])
        start = view["byteOffset"] + entry.get("byteOffset", 0)
        found = np.frombuffer(self._data, _TYPES[entry["componentType"]], shape[0] * shape[1], start)
        return found.reshape(shape)

    def at(self, time_s: float) -> list[Float64Array]:
        """Return the matrix ``(4, 4)`` of every node in the scene at the last key up to ``time_s``."""
        local = [{key: node[key] for key in ("translation", "rotation", "scale") if key in node} for node in self.json["nodes"]]
        for animation in self.json.get("animations", []):
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                key = int(np.flatnonzero(self.array(sampler["input"])[:, 0] <= time_s + 1e-6)[-1])
                local[channel["target"]["node"]][channel["target"]["path"]] = self.array(sampler["output"])[key]
        matrices = [_matrix(**entry) for entry in local]
        found: dict[int, Float64Array] = {}

        def place(node: int) -> Float64Array:
            if node not in found:
                found[node] = place(self._parents[node]) @ matrices[node] if node in self._parents else matrices[node]
            return found[node]

        return [place(node) for node in range(len(matrices))]

    def corners(self, skinned: int, matrices: list[Float64Array]) -> Float64Array:
        """Return the corners ``(M, 3)`` of a skinned node's mesh where its joints take them."""
        node = self.json["nodes"][skinned]
        skin = self.json["skins"][node["skin"]]
        inverse = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
        moves = np.stack([matrices[joint] @ inverse[number] for number, joint in enumerate(skin["joints"])])
        attributes = self.json["meshes"][node["mesh"]]["primitives"][0]["attributes"]
        points, joints, weights = (self.array(attributes[name]) for name in ("POSITION", "JOINTS_0", "WEIGHTS_0"))
        homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        moved = np.einsum("mk,mkij,mj->mi", weights, moves[joints], homogeneous)
        return np.asarray(moved[:, :3])


def _matrix(translation: Any = (0, 0, 0), rotation: Any = (0, 0, 0, 1), scale: Any = (1, 1, 1)) -> Float64Array:
    x, y, z, w = np.asarray(rotation, np.float64)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.asarray(scale, np.float64)
    matrix[:3, 3] = translation
    return matrix
