"""The bundled detector, on real frames."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from poseedge.live.detectors import Person, open_detector
from poseedge.live.detectors.movenet import region_of
from poseedge.live.detectors.person import Picture, person_of
from poseedge.resources import resource

av = pytest.importorskip("av")
CLIP = Path(__file__).parents[1] / "clip"
WITHIN_PX = 2.0


@pytest.fixture(scope="module")
def frames() -> list[Picture]:
    with av.open(str(CLIP / "single_cam02_480.mp4")) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def google() -> np.ndarray:
    """What Google's code makes of the frames, (30, 17, 3); see the file."""
    return np.array(json.loads((CLIP / "movenet_by_google.json").read_text())["frames"])


@pytest.mark.slow
def test_keypoints_are_those_of_googles_code(frames: list[Picture], google: np.ndarray) -> None:
    """From the second frame on: in the first, ours looks again from close by, Google's does not."""
    detector = open_detector()
    found = [detector.detect(rgb)[0] for rgb in frames]
    away = np.linalg.norm(np.stack([person.keypoints for person in found]) - google[..., :2], axis=-1)[1:]
    assert len(away) == 29
    assert away.mean() < 1.1
    assert (away.mean(axis=1) < WITHIN_PX).all()  # every frame
    assert (away.mean(axis=0) < WITHIN_PX).all()  # every joint


def test_first_frame_is_as_good_as_a_followed_one(frames: list[Picture], google: np.ndarray) -> None:
    """The second frame of Google's run is followed; starting there on its own gives the same person."""
    (person,) = open_detector().detect(frames[1])
    assert np.linalg.norm(person.keypoints - google[1, :, :2], axis=-1).mean() < 2 * WITHIN_PX


@pytest.mark.slow
def test_small_person_in_a_4k_picture_is_found(frames: list[Picture], google: np.ndarray) -> None:
    large = np.full((2160, 3840, 3), 90, np.uint8)
    large[900:1380, 2500:2770] = frames[10]
    (person,) = open_detector(thorough=True).detect(large)
    away = np.linalg.norm(person.keypoints - google[10, :, :2] - [2500, 900], axis=-1)
    assert away.mean() < 8  # of a person 170 pixels high in a picture of 2160


@pytest.mark.slow
def test_nobody_is_found_in_pictures_of_nobody(frames: list[Picture]) -> None:
    random = np.random.default_rng(0)
    empty_room = frames[0][310:]
    for rgb in (np.full((480, 640, 3), 120, np.uint8), random.integers(0, 256, (480, 640, 3), np.uint8), empty_room):
        assert open_detector(thorough=True).detect(np.ascontiguousarray(rgb)) == ()


def test_person_who_leaves_is_let_go_and_found_again(frames: list[Picture]) -> None:
    detector = open_detector()
    nobody = np.full_like(frames[0], 90)
    assert len(detector.detect(frames[0])) == 1
    assert detector.detect(nobody) == ()
    assert detector.detect(nobody) == ()
    (person,) = detector.detect(frames[1][:, ::-1])
    assert person.score > 0.5


def test_bundled_file_is_the_one_that_its_notice_describes() -> None:
    folder = resource("weights", "detectors")
    digest = hashlib.sha256((folder / "movenet_lightning.onnx").read_bytes()).hexdigest()
    assert digest in (folder / "NOTICE").read_text()


def standing(scores: float = 0.9) -> Person:
    """A person of 170 pixels whose hips are at (200, 300)."""
    joints = np.tile([200.0, 300.0], (17, 1))
    joints[:5, 1], joints[5:7, 1], joints[15:, 1] = 200, 240, 400
    return person_of(joints, np.full(17, scores))


def test_region_reaches_twice_the_torso_or_a_fifth_beyond_the_body() -> None:
    rgb = np.zeros((1000, 1000, 3), np.uint8)
    assert region_of(standing(), rgb) == pytest.approx((80, 180, 240, 240))  # 1.2 times the 100 pixels down to the feet
    unsure = standing()
    unsure.scores[[0, 1, 2, 3, 4, 15, 16]] = 0.1
    assert region_of(unsure, rgb) == pytest.approx((86, 186, 228, 228))  # 1.9 times the 60 pixels up to the shoulders


def test_region_is_the_whole_picture_for_a_large_person_and_none_without_a_torso() -> None:
    assert region_of(standing(), np.zeros((420, 230, 3), np.uint8)) == pytest.approx((80, 180, 240, 240))
    assert region_of(standing(), np.zeros((235, 230, 3), np.uint8)) == (0, 0, 230, 235)
    assert region_of(standing(scores=0.1), np.zeros((420, 230, 3), np.uint8)) is None
