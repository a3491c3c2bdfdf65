"""The picture shows the video, the keypoints over it and the people in 3D, each where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.live.detectors.person import Picture
from poseedge.live.drawing import Figure, PictureMaker, View, ink
from poseedge.live.drawing.scene import Scene
from tests.live.drawing.people import STANDING, keypoints

pytest.importorskip("cv2")
SIDE = (800, 720)
ON_FLOOR = (STANDING + np.array([0, 0.98, 0])).astype(np.float32)
SURE = np.zeros(17, bool)


def figure(pose: np.ndarray | None = ON_FLOOR, faint: np.ndarray = SURE) -> Figure:
    return Figure(1, None if pose is None else np.asarray(pose, np.float32), keypoints((400, 300)), faint)


def pixels_of(picture: Picture, colour: ink.Colour, tolerance: int = 70) -> np.ndarray:
    """Return where (x, y) a picture has about this colour."""
    near = np.abs(picture.astype(int) - colour).sum(axis=-1) < tolerance
    return np.argwhere(near)[:, ::-1]


def test_from_the_front_left_and_right_are_where_the_sources_camera_sees_them() -> None:
    picture = Scene(SIDE, View(azimuth_deg=0)).draw([figure()], 0.0)
    assert pixels_of(picture, ink.LEFT_COLOUR)[:, 0].min() > SIDE[0] / 2 - 15
    assert pixels_of(picture, ink.RIGHT_COLOUR)[:, 0].max() < SIDE[0] / 2 + 15
    assert pixels_of(picture, ink.LEFT_COLOUR).size > 1000


def test_from_behind_they_change_sides() -> None:
    picture = Scene(SIDE, View(azimuth_deg=180)).draw([figure()], 0.0)
    assert pixels_of(picture, ink.LEFT_COLOUR)[:, 0].max() < SIDE[0] / 2 + 15


def test_person_is_as_large_as_the_picture_allows_and_stands_upright() -> None:
    rows = np.concatenate([pixels_of(Scene(SIDE, View()).draw([figure()], 0.0), ink.colour_of(j))[:, 1] for j in (3, 6, 10)])
    assert rows.max() - rows.min() > 0.55 * SIDE[1]
    assert rows.min() > 30
    assert rows.max() < SIDE[1] - 30


def test_camera_that_turns_comes_round_and_one_that_stands_does_not_move() -> None:
    turning, fixed = View(turning=True), View()
    scenes = [Scene(SIDE, turning).draw([figure()], time) for time in (0.0, 3.0, 12.0)]
    assert (scenes[0] != scenes[1]).any()
    np.testing.assert_array_equal(scenes[0], scenes[2])
    still = [Scene(SIDE, fixed).draw([figure()], time) for time in (0.0, 3.0)]
    np.testing.assert_array_equal(still[0], still[1])


def test_faint_joints_are_paler() -> None:
    faint = np.zeros(17, bool)
    faint[[12, 13]] = True
    sure, pale = (Scene(SIDE, View()).draw([figure(faint=f)], 0.0) for f in (SURE, faint))
    assert len(pixels_of(pale, ink.LEFT_COLOUR)) < 0.8 * len(pixels_of(sure, ink.LEFT_COLOUR))
    assert len(pixels_of(pale, ink.RIGHT_COLOUR)) == pytest.approx(len(pixels_of(sure, ink.RIGHT_COLOUR)), rel=0.02)


def test_people_far_apart_are_both_in_the_picture() -> None:
    shift = np.array([2.2, 0, 0], np.float32)
    picture = Scene((480, 720), View(azimuth_deg=0)).draw([figure(ON_FLOOR - shift), figure(ON_FLOOR + shift)], 0.0)
    columns = pixels_of(picture, ink.LEFT_COLOUR)[:, 0]
    assert columns.min() > 5
    assert columns.max() < 475
    assert columns.max() - columns.min() > 240


@pytest.mark.slow
@pytest.mark.parametrize("source", [(1080, 1920), (1920, 1080), (3840, 2160), (160, 120), (500, 20)])
def test_picture_is_720p_for_every_source_and_shows_it_whole(source: tuple[int, int]) -> None:
    rgb = np.full((source[1], source[0], 3), (10, 200, 30), np.uint8)
    picture = PictureMaker(source, View(), "title").draw(rgb, [], 0.0)
    assert picture.shape == (720, 1280, 3)
    green = pixels_of(picture, (10, 200, 30), tolerance=10)
    width, height = green.max(axis=0) - green.min(axis=0) + 1
    assert width / height == pytest.approx(source[0] / source[1], rel=0.05)
    assert width == 794 or height == 720  # as large as there is room


def test_keypoints_are_drawn_where_they_are_in_the_source() -> None:
    black = np.zeros((600, 800, 3), np.uint8)
    picture = PictureMaker((800, 600), View(), "title").draw(black, [figure(pose=None)], 0.0)
    scale, top = 794 / 800, (720 - 596) / 2
    for joint in (3, 6, 10, 13):
        x, y = keypoints((400, 300))[joint] * scale + [0, top]
        assert np.abs(picture[round(y), round(x)].astype(int) - ink.colour_of(joint)).sum() < 30


def test_joints_that_are_not_known_are_left_out() -> None:
    black = np.zeros((600, 800, 3), np.uint8)
    unknown = Figure(1, None, np.full((17, 2), np.nan, np.float32), SURE)
    maker = PictureMaker((800, 600), View(), "title")
    np.testing.assert_array_equal(maker.draw(black, [unknown], 0.0)[:, :790], maker.draw(black, [], 0.0)[:, :790])


def test_picture_says_when_nobody_is_there_and_what_time_and_status_are() -> None:
    rgb = np.zeros((600, 800, 3), np.uint8)
    maker = PictureMaker((800, 600), View(), "title")
    empty, someone = maker.draw(rgb, [], 61.5), maker.draw(rgb, [figure()], 61.5)
    assert (empty[35:60, 800:960] != someone[35:60, 800:960]).any()
    for left, right, top, bottom, other in (
        (1150, 1280, 10, 34, maker.draw(rgb, [], 1.5)),
        (1000, 1280, 690, 720, maker.draw(rgb, [], 61.5, "31 fps, delay 80 ms")),
    ):
        assert (empty[top:bottom, left:right] != other[top:bottom, left:right]).any()


def test_frame_that_was_shrunk_before_gives_the_same_picture() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    maker = PictureMaker((1920, 1080), View(), "title")
    np.testing.assert_array_equal(maker.draw(rgb, [figure()], 0.0), maker.draw(maker.shrunk(rgb), [figure()], 0.0))
