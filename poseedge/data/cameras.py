"""Pinhole cameras with distortion, as Human3.6M and VideoPose3D define them. All functions broadcast over leading axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from poseedge.arrays import BoolArray, FloatArray


@dataclass(frozen=True)
class Camera:
    """One camera: pixels, normalized intrinsics and pose in the world.

    ``intrinsics``: ``(9,)`` fx fy cx cy in normalized screen units, then k1 k2 k3 p1 p2.
    ``orientation``: unit quaternion (w, x, y, z) from camera to world axes. ``translation``: camera centre, metres.
    """

    id: str
    width: int
    height: int
    intrinsics: FloatArray
    orientation: FloatArray
    translation: FloatArray

    @classmethod
    def from_pixels(cls, entry: dict[str, Any]) -> Camera:
        """Build from pixel intrinsics under VideoPose3D's names (``res_w``, ``focal_length``, ...), metres."""
        width, height = int(entry["res_w"]), int(entry["res_h"])
        focal = np.asarray(entry["focal_length"], np.float64) * 2 / width
        center = normalize_screen(np.asarray(entry["center"], np.float64), width, height)
        distortion = [*entry["radial_distortion"], *entry["tangential_distortion"]]
        return cls(
            id=str(entry["id"]),
            width=width,
            height=height,
            intrinsics=np.concatenate([focal, center, distortion]).astype(np.float32),
            orientation=np.asarray(entry["orientation"], np.float32),
            translation=np.asarray(entry["translation"], np.float32),
        )


def normalize_screen(pixels: FloatArray, width: int, height: int) -> FloatArray:
    """Map pixels ``(..., 2)`` so that x spans [-1, 1]; y by the same factor, which keeps the aspect ratio."""
    screen = pixels / width * 2
    return screen - np.array([1, height / width], dtype=screen.dtype)


def denormalize_screen(screen: FloatArray, width: int, height: int) -> FloatArray:
    """Invert ``normalize_screen``."""
    return (screen + np.array([1, height / width], dtype=screen.dtype)) * width / 2


def rotate(quaternion: FloatArray, vectors: FloatArray) -> FloatArray:
    """Rotate ``vectors (..., 3)`` by unit quaternions ``(..., 4)`` in (w, x, y, z) order."""
    w, r = quaternion[..., :1], quaternion[..., 1:]
    turned = np.cross(r, vectors)
    return np.asarray(vectors + 2 * (w * turned + np.cross(r, turned)))


def conjugate(quaternion: FloatArray) -> FloatArray:
    """Return the inverse rotation of a unit quaternion."""
    return quaternion * np.array([1, -1, -1, -1], dtype=quaternion.dtype)


def world_to_camera(points: FloatArray, camera: Camera) -> FloatArray:
    """World metres ``(..., 3)`` to camera axes (x right, y down, z forward)."""
    return rotate(conjugate(camera.orientation), points - camera.translation)


def camera_to_world(points: FloatArray, camera: Camera) -> FloatArray:
    """Invert ``world_to_camera``."""
    return rotate(camera.orientation, points) + camera.translation


def project(points: FloatArray, intrinsics: FloatArray, distort: bool = True) -> FloatArray:
    """Project camera-space metres ``(..., 3)`` to normalized screen coordinates ``(..., 2)``.

    ``intrinsics`` ``(9,)``. X/Z and Y/Z are clamped to [-1, 1] before distortion, and the tangential terms pair
    p1 with x and p2 with y, as VideoPose3D does (not OpenCV's order).
    """
    focal, center = intrinsics[0:2], intrinsics[2:4]
    radial, tangential = intrinsics[4:7], intrinsics[7:9]
    plane = np.clip(points[..., :2] / points[..., 2:], -1, 1)
    if distort:
        r2 = (plane**2).sum(axis=-1, keepdims=True)
        scale = 1 + (radial * np.concatenate([r2, r2**2, r2**3], axis=-1)).sum(axis=-1, keepdims=True)
        shift = (tangential * plane).sum(axis=-1, keepdims=True)
        plane = plane * (scale + shift) + tangential * r2
    return np.asarray(plane * focal + center)


def in_picture(pixels: FloatArray, camera: Camera) -> BoolArray:
    """Tell which frames of ``pixels (T, J, 2)`` have all joints in the picture, ``(T,)``."""
    return np.asarray(((pixels >= 0) & (pixels < [camera.width, camera.height])).all(axis=(1, 2)))
