"""A glTF 2.0 document under construction: JSON that points into one block of bytes (specification: Khronos, glTF 2.0.1)."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

import numpy as np

from poseedge.arrays import AnyArray, Float64Array
from poseedge.live.rig.bones import Mesh

_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_COMPONENTS = {"float32": 5126, "uint8": 5121}
_VERTICES = 34962  # the target of a buffer view that holds vertex attributes
_MAGIC, _VERSION, _JSON, _BINARY = 0x46546C67, 2, 0x4E4F534A, 0x004E4942


class Gltf:
    """Nodes, meshes, skins and one animation; numbers are indices, as in the format."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.scene: list[int] = []
        self.extras: dict[str, Any] = {}
        self._lists: dict[str, list[Any]] = {name: [] for name in ("accessors", "bufferViews", "meshes", "materials", "skins")}
        self._channels: list[dict[str, Any]] = []
        self._samplers: list[dict[str, Any]] = []
        self._parts: list[memoryview | bytes] = []  # of the block of bytes, and its length
        self._length = 0

    def node(self, **content: Any) -> int:
        """Add a node and return its index."""
        return _added(self.nodes, content)

    def times(self, times_s: Float64Array) -> int:
        """Add the times of keys, seconds from 0."""
        return self._accessor(times_s.astype(np.float32), limits=True)

    def channel(self, node: int, path: str, times: int, values: AnyArray, steps: bool = False) -> None:
        """Animate the translation, rotation or scale of a node, between keys linearly or in ``steps``."""
        output = self._accessor(values.astype(np.float32, copy=False))
        sampler = {"input": times, "output": output, "interpolation": "STEP" if steps else "LINEAR"}
        number = _added(self._samplers, sampler)
        self._channels.append({"sampler": number, "target": {"node": node, "path": path}})

    def skin(self, joints: list[int], offsets_m: Float64Array, skeleton: int) -> int:
        """Add a skin whose rest pose is undone by a translation ``(N, 3)`` per joint."""
        matrices = np.tile(np.eye(4), (len(joints), 1, 1))
        matrices[:, 3, :3] = offsets_m  # column by column
        inverse = self._accessor(matrices.reshape(-1, 16).astype(np.float32))
        return _added(self._lists["skins"], {"joints": joints, "inverseBindMatrices": inverse, "skeleton": skeleton})

    def mesh(self, name: str, mesh: Mesh, colour: tuple[float, float, float]) -> int:
        """Add a skinned mesh of one colour."""
        joints = np.zeros((len(mesh.nodes), 4), np.uint8)
        joints[:, 0] = mesh.nodes
        weights = np.zeros((len(mesh.nodes), 4), np.float32)
        weights[:, 0] = 1
        attributes = {
            "POSITION": self._accessor(mesh.corners_m.astype(np.float32), target=_VERTICES, limits=True),
            "NORMAL": self._accessor(mesh.normals.astype(np.float32), target=_VERTICES),
            "JOINTS_0": self._accessor(joints, target=_VERTICES),
            "WEIGHTS_0": self._accessor(weights, target=_VERTICES),
        }
        surface = {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}
        material = _added(self._lists["materials"], {"name": name, "pbrMetallicRoughness": surface})
        return _added(self._lists["meshes"], {"name": name, "primitives": [{"attributes": attributes, "material": material}]})

    def write(self, stream: BinaryIO) -> None:
        """Write the document as a ``.glb`` file."""
        content = {
            "asset": {"version": "2.0", "generator": "poseedge", "extras": self.extras},
            "scene": 0,
            "scenes": [{"nodes": self.scene}],
            "nodes": self.nodes,
            **self._lists,
            "animations": [{"name": "motion", "channels": self._channels, "samplers": self._samplers}],
            "buffers": [{"byteLength": self._length}],
        }
        text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        stream.write(struct.pack("<III", _MAGIC, _VERSION, 12 + 8 + len(text) + 8 + self._length))
        stream.write(struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", self._length, _BINARY))
        for part in self._parts:
            stream.write(part)

    def _accessor(self, values: AnyArray, target: int | None = None, limits: bool = False) -> int:
        rows = values.reshape(len(values), -1)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self._length, "byteLength": values.nbytes}
        padding = b"\0" * (-values.nbytes % 4)
        self._parts += [np.ascontiguousarray(values).data, padding]
        self._length += values.nbytes + len(padding)
        if target is not None:
            view["target"] = target
        accessor: dict[str, Any] = {
            "bufferView": _added(self._lists["bufferViews"], view),
            "componentType": _COMPONENTS[str(values.dtype)],
            "count": len(rows),
            "type": _TYPES[rows.shape[1]],
        }
        if limits:
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        return _added(self._lists["accessors"], accessor)


def _added(to: list[Any], content: Any) -> int:
    to.append(content)
    return len(to) - 1
