"""People of a whole video: who leaves is let go, who enters is somebody else, and what is stopped early is kept."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.demo.offline import Detection, Drawing, upright_poses
from poseedge.live.detectors.person import Person, Picture
from poseedge.live.drawing import PictureMaker, View
from poseedge.live.lift import lift_clip
from poseedge.live.types import Clip, Lifted
from tests.live.demo.scripted import FPS, SIZE, Film, Script, Shown, person_at, silent
from tests.live.drawing.people import lifted
from tests.support.linear_lifter import LinearLifter

pytest.importorskip("cv2")


def detected(script: list[list[float]]) -> Clip:
    """Return the clip of people at these places, frame by frame."""
    people = [tuple(person_at(x) for x in places) for places in script]
    return Detection(Film(len(script)), Script(people)).run(silent)


def poses(clip: Clip) -> Lifted:
    return lift_clip(LinearLifter(), clip)


def drawn(film: Film, found: Lifted) -> Shown:
    shown = Shown()
    Drawing(film, found, PictureMaker(SIZE, View(), "title")).run([shown], silent)
    return shown


def test_two_people_are_two_tracks() -> None:
    clip = detected([[200.0 + n, 450.0 - n] for n in range(20)])
    assert [len(track.frames) for track in clip.tracks] == [20, 20]
    assert (clip.fps, clip.size, clip.layout, len(clip.frames)) == (FPS, SIZE, "coco17", 20)


@pytest.mark.slow
def test_nobody_for_three_seconds_is_no_pose_and_the_picture_goes_on() -> None:
    clip = detected([[300.0]] * 30 + [[]] * 75 + [[300.0]] * 30)
    found = poses(clip)
    gone = found.seen[:, 30:105].any(axis=0)
    assert not gone.any()
    assert found.seen[:, :30].any(axis=0).all()
    assert found.seen[:, 105:].any(axis=0).all()
    shown = drawn(Film(135), found)
    assert len(shown.pictures) == 135
    assert (shown.pictures[60] != shown.pictures[10]).any()
    np.testing.assert_array_equal(shown.pictures[60][60:680, 800:1270], shown.pictures[90][60:680, 800:1270])


def test_who_enters_after_another_left_is_somebody_else() -> None:
    clip = detected([[150.0]] * 30 + [[]] * 10 + [[520.0]] * 30)
    assert [track.frames[0] for track in clip.tracks] == [0, 40]
    found = poses(clip)
    assert found.seen[:, :30].tolist() == [[True] * 30, [False] * 30]
    assert found.seen[1, 40:].all()
    assert not found.seen[0, 40:].any()


def test_stopped_detection_gives_the_frames_until_then() -> None:
    film = Film(None, pause_s=0.001)
    detection = Detection(film, Script([(person_at(300.0),)]))

    def advance(count: int) -> None:
        if len(detection.times["detect"].seconds) > 30:
            detection.stop()

    clip = detection.run(advance)
    assert 30 <= len(clip.frames) < 100
    assert len(clip.tracks[0].frames) == len(clip.frames)


def test_pictures_end_with_the_poses_when_detection_was_stopped() -> None:
    found = poses(detected([[300.0]] * 20))
    assert len(drawn(Film(500), found).pictures) == 20


def test_pictures_are_not_kept_while_a_video_is_read() -> None:
    pictures: list[weakref.ref[Picture]] = []

    class Watched(Script):
        def detect(self, rgb: Picture) -> tuple[Person, ...]:
            pictures.append(weakref.ref(rgb))
            return super().detect(rgb)

    most = 0

    def advance(count: int) -> None:
        nonlocal most
        most = max(most, sum(picture() is not None for picture in pictures))

    Detection(Film(100), Watched([(person_at(300.0),)])).run(advance)
    assert len(pictures) == 100
    assert most <= 6


def test_seconds_leave_out_what_comes_later() -> None:
    clip = Detection(Film(100), Script([(person_at(300.0),)]), seconds=1.0).run(silent)
    assert len(clip.frames) == FPS


def test_source_that_breaks_off_gives_what_came_before_and_why() -> None:
    detection = Detection(Film(10, breaks=True), Script([(person_at(300.0),)]))
    assert len(detection.run(silent).frames) == 10
    assert str(detection.broken_off).startswith("film: gives no more pictures")


def test_source_that_breaks_off_at_once_is_an_error() -> None:
    class Broken(Film):
        def __iter__(self):  # type: ignore[no-untyped-def]
            raise DataError("film: cannot be decoded")
            yield

    with pytest.raises(DataError, match="cannot be decoded"):
        Detection(Broken(10), Script([()])).run(silent)


def test_nobody_at_all_is_a_clip_without_people() -> None:
    clip = detected([[]] * 5)
    assert clip.tracks == ()
    assert not poses(clip).seen.any()


def test_leaning_poses_are_drawn_upright() -> None:
    leaning = lifted(frames=30)
    turn = np.radians(20)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    leaning.poses_m[...] = leaning.poses_m @ rotation.T
    poses_m = upright_poses(leaning)[0].poses_m[0, 5]
    body = poses_m[8] - (poses_m[3] + poses_m[6]) / 2  # ankles to thorax
    assert np.degrees(np.arccos(body[1] / np.linalg.norm(body))) < 1
