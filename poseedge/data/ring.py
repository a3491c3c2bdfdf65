"""Four made-up cameras around a motion, for captures that come without any."""

from __future__ import annotations

from typing import Any

import numpy as np

from poseedge.arrays import AnyArray

SIZE, FOCAL = 1000, 1145.0  # pixels, like the cameras of Human3.6M
NEAREST_M, MARGIN, HEIGHT_M = 5.0, 1.1, 0.6  # distance at least; room left in the picture; above the middle of the motion


def ring(world: AnyArray, count: int = 4) -> list[dict[str, Any]]:
    """Return ``count`` cameras, as a cameras file lists them, that have all of ``world (T, 17, 3)`` in the picture."""
    low, high = world.min(axis=(0, 1)), world.max(axis=(0, 1))
    middle = (low + high) / 2
    reach = float(np.linalg.norm(world - middle, axis=-1).max())
    # A ball of this radius is in the picture where its silhouette is: sin(half angle) = reach / distance.
    half_angle = np.arctan(SIZE / 2 / FOCAL)
    distance = max(NEAREST_M, MARGIN * reach / np.sin(half_angle))
    cameras = []
    for number in range(count):
        azimuth = 2 * np.pi * (number + 0.5) / count
        place = middle + np.array([distance * np.cos(azimuth), distance * np.sin(azimuth), HEIGHT_M])
        cameras.append(
            {
                "id": f"made-up-{number}",
                "res_w": SIZE,
                "res_h": SIZE,
                "focal_length": [FOCAL, FOCAL],
                "center": [SIZE / 2, SIZE / 2],
                "radial_distortion": [0.0, 0.0, 0.0],
                "tangential_distortion": [0.0, 0.0],
                "orientation": looking(middle - place),
                "translation": [float(x) for x in place],
            }
        )
    return cameras


def looking(forward: AnyArray) -> list[float]:
    """Return the unit quaternion (w, x, y, z), camera to world, of an upright camera that looks along ``forward``."""
    z = forward / np.linalg.norm(forward)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    matrix = np.stack([x, np.cross(z, x), z], axis=1)
    # The eigenvector to the largest eigenvalue of this matrix is the quaternion (Bar-Itzhack 2000).
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = matrix
    form = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    i, j, k, w = np.linalg.eigh(form)[1][:, -1]
    return [float(value) for value in np.array([w, i, j, k]) * np.sign(w or 1)]
