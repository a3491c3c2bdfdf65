"""People whom a detector missed, swapped and lost, and a stream of them compared with lifting the clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from poseedge.lifter import Lifter
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.stream import Stream, StreamFrame
from poseedge.live.types import Clip, Track
from tests.support import recorded


def faulty_people() -> Clip:
    """Return two people with an arm missed, a leg missed for longer, a swap, a jump, and one out of sight for a while."""
    tracks = []
    for number, place in ((7, 20), (3, 28)):
        px, scores, there = recorded.pixels(place).copy(), np.ones((300, 17), np.float32), np.ones(300, np.bool_)
        scores[100:120, [15, 16]] = 0.1
        scores[150:190, 5] = 0.1
        px[60, [2, 3, 5, 6]] = px[60, [5, 6, 2, 3]]
        px[80, 13] += 300
        there[20:30] = False
        there[200:260] = number == 7
        tracks.append(Track(number, np.flatnonzero(there), px[there], scores[there]))
    return Clip("faulty", "h36m17", tuple(tracks), np.arange(300), recorded.SIZE, 50.0)


def faceless_people() -> Clip:
    """Return three people in COCO's joints: flickering faces, an arm never seen, nobody for a while, no legs at first."""
    tracks, random = [], np.random.default_rng(0)
    for number, place in ((1, 20), (2, 28), (5, 4)):
        h36m = recorded.pixels(place)[:240]
        face = h36m[:, [10]] + np.array([(9, 8), (12, 2), (4, 2), (10, 4), (-8, 4)], np.float32)
        px = np.concatenate([face, h36m[:, [11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]]], axis=1)
        scores, there = np.ones((240, 17), np.float32), np.ones(240, np.bool_)
        scores[:, :5] -= 0.9 * (random.uniform(size=(240, 5)) < 0.1)
        scores[100:150, :5] = 0.1
        if number == 2:
            scores[:, 9] = 0.1
            there[60:150] = False
        if number == 5:
            scores[:30, 13:] = 0.1
            there[5:20:2] = False
        tracks.append(Track(number, np.flatnonzero(there), px[there], scores[there]))
    return Clip("faceless", "coco17", tuple(tracks), np.arange(240), recorded.SIZE, 50.0)


def streamed(lifter: Lifter, clip: Clip, fps: float, options: dict[str, Any]) -> list[StreamFrame]:
    assert clip.size
    stream, given = Stream(lifter, clip.size, fps, clip.layout, **options), []
    for frame in clip.frames.tolist():
        people = {}
        for track in clip.tracks:
            for row in np.flatnonzero(track.frames == frame):
                people[track.id] = np.concatenate([track.keypoints[row], track.scores[row, :, None]], axis=-1)
        given += stream.push(people, frame=frame)
    return given + stream.finish()


def assert_same(lifter: Lifter, clip: Clip, fps: float, options: dict[str, Any]) -> None:
    given = streamed(lifter, clip, fps, options)
    lifted = lift_clip(lifter, Clip(clip.name, clip.layout, clip.tracks, clip.frames, clip.size, fps), LiftOptions(**options))
    assert [frame.frame for frame in given] == clip.frames.tolist()
    for place, number in enumerate(lifted.ids.tolist()):
        there = [number in frame.people for frame in given]
        np.testing.assert_array_equal(there, lifted.seen[place])
        posed = [frame.people[number] for frame in given if number in frame.people]
        np.testing.assert_array_equal([p.pose_m for p in posed], lifted.poses_m[place, there])
        np.testing.assert_array_equal([p.filled for p in posed], lifted.filled[place, there])
        np.testing.assert_array_equal([p.keypoints_px for p in posed], lifted.keypoints_px[place, there])
        np.testing.assert_array_equal([p.scores for p in posed], lifted.scores[place, there])
    assert lifted.seen.any(axis=1).all()
