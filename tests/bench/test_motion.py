"""Artefacts are timed and tested on real motion, all on the same."""

from __future__ import annotations

import numpy as np

from poseedge.bench.motion import LEAST_FRAMES, affordable_frames, first_frames, keypoint_windows, open_motion, windows
from poseedge.lifter import LifterSpec

NANOHTNET = LifterSpec("nanohtnet", 243, tuple(range(117, 126)), "fp32", 1)
MIXSTE = LifterSpec("mixste", 243, tuple(range(243)), "fp32", None)


def test_sample_is_seen_once_by_one_camera() -> None:
    motion = open_motion()
    assert [s.name for s in motion.sequences] == [
        *("S9/Walking 1/mocap17-cam0", "S9/Punching 1/mocap17-cam0", "S11/Sitting 1/mocap17-cam0"),
        "S11/Reaching 1/mocap17-cam0",
    ]


def test_windows_are_keypoints_of_the_motion_and_as_many_as_asked_for() -> None:
    motion = open_motion()
    taken = keypoint_windows(motion, NANOHTNET, 5)
    assert taken.shape == (5, 243, 17, 2)
    assert taken.dtype == np.float32
    known = {frame.tobytes() for sequence in motion.sequences for frame in sequence.keypoints.astype(np.float32)}
    assert all(frame.tobytes() in known for window in taken for frame in window[::40])
    assert len({window.tobytes() for window in taken}) == 5


def test_network_that_takes_a_confidence_is_given_one() -> None:
    spec = LifterSpec("three", 9, tuple(range(9)), "fp32", None, channels=3)
    assert (keypoint_windows(open_motion(), spec, 1)[..., 2] == 1).all()


def test_costly_networks_are_tested_on_fewer_frames_and_all_on_the_same() -> None:
    motion = open_motion()
    cheap, costly = (NANOHTNET, 58_000_000), (LifterSpec("mhformer", 351, (175,), "fp32", None), 16_000_000_000)
    assert affordable_frames(motion, [cheap]) == 350
    assert affordable_frames(motion, [cheap, costly]) == affordable_frames(motion, [costly]) < 100
    assert affordable_frames(motion, [(NANOHTNET, 10**15)]) == LEAST_FRAMES
    assert affordable_frames(motion, [(NANOHTNET, None)]) == 350


def test_windows_of_a_network_that_gives_them_whole_are_few() -> None:
    assert windows(NANOHTNET, 300) == 300
    assert windows(MIXSTE, 243) == 2
    assert windows(MIXSTE, 270) == 3


def test_cut_motion_has_its_first_frames() -> None:
    motion = open_motion()
    short = first_frames(motion, 40)
    assert short.frames == 160
    np.testing.assert_array_equal(short.sequences[1].keypoints, motion.sequences[1].keypoints[:40])
