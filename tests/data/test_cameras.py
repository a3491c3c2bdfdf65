"""Cameras do what VideoPose3D's do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import poseedge.data
from poseedge.data.cameras import (
    Camera,
    camera_to_world,
    conjugate,
    denormalize_screen,
    normalize_screen,
    project,
    rotate,
    world_to_camera,
)
from tests.support import golden

FACTS, STORED = golden.case("camera"), golden.arrays("camera")
TOLERANCE = {"rtol": FACTS["rtol"], "atol": FACTS["atol"]}
RIG = json.loads((Path(poseedge.data.__path__[0]) / "cameras_h36m.json").read_text())["cameras"]
CAMERAS = [[Camera.from_pixels(entry) for entry in RIG[subject]] for subject in FACTS["subjects"]]
EVERY_CAMERA = [(s, c) for s in range(len(FACTS["subjects"])) for c in range(len(FACTS["camera_order"]))]


@pytest.mark.parametrize(("s", "c"), EVERY_CAMERA)
def test_world_to_screen_equals_the_published_path(s: int, c: int) -> None:
    camera = CAMERAS[s][c]
    assert camera.id == FACTS["camera_order"][c]
    points = world_to_camera(STORED["world"], camera)
    screen = project(points, camera.intrinsics)
    np.testing.assert_allclose(camera.intrinsics, STORED["intrinsics"][c], **TOLERANCE)
    np.testing.assert_allclose(points, STORED["camera_points"][s, c], **TOLERANCE)
    np.testing.assert_allclose(screen, STORED["projected"][s, c], **TOLERANCE)
    np.testing.assert_allclose(project(points, camera.intrinsics, distort=False), STORED["projected_linear"][s, c], **TOLERANCE)
    pixels = denormalize_screen(screen, camera.width, camera.height)
    np.testing.assert_allclose(pixels, STORED["pixels"][s, c], rtol=0, atol=FACTS["pixel_atol"])


@pytest.mark.parametrize(("s", "c"), EVERY_CAMERA)
def test_camera_to_world_undoes_world_to_camera(s: int, c: int) -> None:
    there = world_to_camera(STORED["world"], CAMERAS[s][c])
    np.testing.assert_allclose(camera_to_world(there, CAMERAS[s][c]), STORED["world"], atol=1e-5)


def test_points_beside_or_behind_the_camera_are_clamped_before_distortion() -> None:
    np.testing.assert_allclose(project(STORED["clamp_in"], CAMERAS[0][0].intrinsics), STORED["clamp_out"], **TOLERANCE)


def test_quaternions_rotate_as_published() -> None:
    np.testing.assert_allclose(rotate(STORED["quaternion"], STORED["vector"]), STORED["rotated"], **TOLERANCE)
    np.testing.assert_array_equal(conjugate(STORED["quaternion"]), STORED["conjugate"])


def test_screen_coordinates_span_the_width_and_keep_the_aspect_ratio() -> None:
    corners = np.array([[0, 0], [1000, 1002], [500, 501]], np.float32)
    np.testing.assert_allclose(normalize_screen(corners, 1000, 1002), [[-1.0, -1.002], [1.0, 1.002], [0.0, 0.0]], atol=1e-6)


def test_whole_pixels_are_normalized_like_any_others() -> None:
    whole = np.array([[3, 700], [999, 0]])
    np.testing.assert_allclose(normalize_screen(whole, 1000, 1002), normalize_screen(whole.astype(np.float64), 1000, 1002))


@settings(deadline=None)
@given(st.floats(-3000, 3000), st.floats(-3000, 3000), st.integers(100, 4000), st.integers(100, 4000))
def test_denormalize_undoes_normalize(x: float, y: float, width: int, height: int) -> None:
    pixels = np.array([x, y])
    np.testing.assert_allclose(denormalize_screen(normalize_screen(pixels, width, height), width, height), pixels, atol=1e-8)
