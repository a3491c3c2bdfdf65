"""The virtual camera: one input for one pose, wherever the person stands; poses come back in camera axes."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.live.trained import TrainedOn
from poseedge.live.view import TRUNK_AND_LEG, PersonView, Shot, Sights, about_x, aimed, facts_of
from tests.support import recorded
from tests.support.linear_lifter import Array

SIZE, ELEVATION = 0.6203, 7.0
FULL_HD = (1920, 1080)
TRAINED = TrainedOn(person_size=SIZE, elevation_deg=ELEVATION)
NEAR = 0.012  # the middle of a person's joints in the picture is not that of their rays


def walking(distance_m: float = 5.0, frames: int = 81) -> Array:
    """Return joints ``(F, 17, 3)`` in front of a level camera, its axes."""
    relative = recorded.sequences()[16].relative_m[:frames].astype(np.float64)
    return relative - relative.mean(axis=(0, 1)) + [0, 0, distance_m]


def photographed(joints: Array, shot: Shot) -> Array:
    """Project joints in camera axes to pixels."""
    return np.asarray(joints[..., :2] / joints[..., 2:] * (shot.focal_px or 1500) + [shot.width / 2, shot.height / 2], np.float32)


def extent(px: Array) -> float:
    """Trunk and longer leg, where they look longest but for a tenth of the frames."""
    return float(np.quantile([facts_of(row)[2] for row in px], 0.9))


def seen(joints: Array, shot: Shot, size: float = SIZE) -> tuple[Array, Array]:
    screen, turn = PersonView(shot, TrainedOn(person_size=size, elevation_deg=ELEVATION)).see(
        Sights.of(photographed(joints, shot))
    )
    assert turn is not None
    return screen, turn


@pytest.mark.parametrize("shot", [Shot(*FULL_HD, 1500), Shot(1080, 1920, 900), Shot(640, 480, 2000)])
def test_person_is_in_the_middle_and_as_large_as_in_training(shot: Shot) -> None:
    screen, _ = seen(walking(), shot)
    assert extent(screen) == pytest.approx(SIZE, rel=0.005)
    assert np.abs(np.median(screen.mean(axis=1), axis=0)).max() < 0.02


@pytest.mark.parametrize("degrees", [-25, 15, 40])
def test_person_aside_gives_the_same_input_and_the_pose_is_turned_back(degrees: float) -> None:
    shot, joints, angle = Shot(*FULL_HD, 1500), walking(), np.radians(degrees)
    aside = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    screen, turn = seen(joints, shot)
    other, other_turn = seen(joints @ aside.T, shot)
    np.testing.assert_allclose(other, screen, rtol=0, atol=NEAR)
    np.testing.assert_allclose(turn @ aside.T, other_turn, rtol=0, atol=NEAR)
    np.testing.assert_allclose(other_turn @ other_turn.T, np.eye(3), atol=1e-6)


def test_resolution_and_zoom_of_the_picture_change_nothing() -> None:
    joints = walking()
    screen, turn = seen(joints, Shot(1280, 720, 1000))
    other, other_turn = seen(joints, Shot(3840, 2160, 3000))
    np.testing.assert_allclose(other, screen, rtol=0, atol=1e-5)
    np.testing.assert_allclose(other_turn, turn, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("pitch", "roll"), [(20, 0), (0, 15), (-12, -30), (30, 90)])
def test_camera_that_is_known_to_be_tilted_sees_what_a_level_one_sees(pitch: float, roll: float) -> None:
    level, tilted = Shot(*FULL_HD, 1500, 0, 0), Shot(*FULL_HD, 1500, pitch, roll)
    joints = walking()
    in_tilted_axes = joints @ tilted.level  # rows: the inverse of level axes
    screen, turn = seen(joints, level)
    other, other_turn = seen(in_tilted_axes, tilted)
    np.testing.assert_allclose(other, screen, rtol=0, atol=NEAR)
    np.testing.assert_allclose(other_turn, turn @ tilted.level, rtol=0, atol=NEAR)


def test_pitch_is_downwards_and_roll_is_clockwise_from_behind() -> None:
    forward = Shot(*FULL_HD, None, 30, 0).level @ [0, 0, 1]
    np.testing.assert_allclose(forward, [0, 0.5, np.sqrt(0.75)], atol=1e-12)  # y is down
    right = Shot(*FULL_HD, None, 0, 90).level @ [1, 0, 0]
    np.testing.assert_allclose(right, [0, 1, 0], atol=1e-12)


def test_lean_is_turned_by_six_tenths_of_what_the_elevation_exceeds_that_of_training() -> None:
    joints, elevation = walking(), np.radians(27)
    raised = joints @ np.reshape(about_x(-elevation), (3, 3)).T  # below a level camera: seen from above
    known, unknown = (Shot(*FULL_HD, 800, pitch, 0) for pitch in (0, None))
    _, turn = seen(raised, known)
    _, plain = seen(raised, unknown)
    expected = np.reshape(about_x(np.radians(TrainedOn().lean_share * 20)), (3, 3))  # in the virtual camera's axes
    np.testing.assert_allclose(plain.T @ turn, plain.T @ expected.T @ plain, atol=0.02)
    upright = np.array([0, -np.cos(np.radians(7)), -np.sin(np.radians(7))])  # as seen in training
    leaning = expected @ upright
    assert np.degrees(np.arctan2(-leaning[2], -leaning[1])) == pytest.approx(7 + 12)


def test_unknown_camera_stands_four_metres_away_or_further() -> None:
    for distance_m, assumed in ((3.0, True), (12.0, False)):
        joints, unknown = walking(distance_m), Shot(1000, 1000)
        px = photographed(joints, Shot(1000, 1000, 1200))
        height_px = extent(px) / TRUNK_AND_LEG
        guess = height_px * 4.0 / 1.7 if assumed else 900.0
        found, expected = (PersonView(shot, TRAINED).see(Sights.of(px))[0] for shot in (unknown, Shot(1000, 1000, guess)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_camera_that_looks_straight_down_is_aimed_too() -> None:
    nine, elevation = aimed(0.0, 1.0, 0.0)
    rotation = np.reshape(nine, (3, 3))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.degrees(elevation) == pytest.approx(90)


def test_person_whose_joints_coincide_gives_numbers() -> None:
    screen, turn = PersonView(Shot(*FULL_HD), TRAINED).see(Sights.of(np.full((9, 17, 2), 500, np.float32)))
    assert turn is not None
    assert np.isfinite(screen).all()
    assert np.isfinite(turn).all()
