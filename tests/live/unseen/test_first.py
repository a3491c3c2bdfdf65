"""A detector's errors in the first frames of a track leave no trace in those that follow, nor in the padding before them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.summary import remarks, summary
from poseedge.live.types import Lifted
from poseedge.live.unseen.gaps import Continuity, Faults
from poseedge.skeleton import JOINT_NAMES, MIRROR
from tests.support import recorded, streaming
from tests.support.linear_lifter import Array, LinearLifter, clip_of
from tests.support.streams import assert_same

WRIST, SHOULDER, HEAD, KNEE = (JOINT_NAMES.index(name) for name in ("right_wrist", "left_shoulder", "head", "left_knee"))
PLACE = 20


def lifted(px: Array, look_ahead: int | None = None) -> Lifted:
    return lift_clip(LinearLifter(), clip_of(px), LiftOptions(look_ahead=look_ahead))


def off(px: Array, clean: Array, frames: slice = slice(None), look_ahead: int | None = None) -> float:
    """Return the largest distance between the poses of both in ``frames``."""
    one, other = (lifted(each, look_ahead).poses_m[0, frames] for each in (px, clean))
    return float(np.linalg.norm(one - other, axis=-1).max())


@pytest.mark.parametrize("joint", [WRIST, SHOULDER, HEAD, KNEE])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_joint_that_was_wrong_in_the_first_frames_is_where_the_next_show_it(joint: int, frames: int) -> None:
    clean = recorded.pixels(PLACE)[:60]
    px = clean.copy()
    px[:frames, joint] += 250
    found = lifted(px)
    assert found.filled[0, :frames, joint].all()
    others = np.arange(17) != joint
    assert not found.filled[0][:, others].any()
    assert not found.filled[0, 2 * frames + 1 :].any()
    apart = np.linalg.norm(found.keypoints_px[0] - clean, axis=-1)
    assert apart.max() < 30  # of 354: as far as the joint moves in so few frames
    assert (apart[2 * frames + 1 :] == 0).all()
    assert off(px, clean) < 0.07  # of 0.36 to 0.83
    assert found.meta["faults"]["1"]["jumped"] > 0


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_left_and_right_that_were_exchanged_in_the_first_frames_are_exchanged_back(frames: int) -> None:
    clean = recorded.pixels(PLACE)[:60]
    px = clean.copy()
    px[:frames] = px[:frames, MIRROR]
    found, wanted = lifted(px), lifted(clean)
    np.testing.assert_array_equal(found.poses_m, wanted.poses_m)
    np.testing.assert_array_equal(found.keypoints_px, wanted.keypoints_px)
    assert not found.filled.any()


@pytest.mark.parametrize("spoilt", [slice(0, 1), slice(1, 3), slice(4, 9)])
def test_without_look_ahead_what_was_wrong_is_mended_once_most_frames_say_so(spoilt: slice) -> None:
    clean = recorded.pixels(PLACE)[:60]
    mixed, wrong = clean.copy(), clean.copy()
    mixed[spoilt] = mixed[spoilt, MIRROR]
    wrong[spoilt, WRIST] += 250
    later = slice(2 * spoilt.stop, None)
    assert off(mixed, clean, later, look_ahead=0) == 0
    assert off(wrong, clean, later, look_ahead=0) < 0.05


@pytest.mark.parametrize(
    ("joints", "far_px", "far_m"),  # without it 129 and 0.29 of an arm, 21 and 0.04 of a leg
    [([WRIST], 40, 0.1), ([WRIST - 1, WRIST], 40, 0.1), ([KNEE, KNEE + 1], 2, 0.005)],
    ids=["wrist", "arm", "leg"],
)
def test_limb_that_comes_a_little_late_was_there_all_the_time(joints: list[int], far_px: float, far_m: float) -> None:
    clean = recorded.pixels(PLACE)[:60]
    px = clean.copy()
    px[:8, joints] = np.nan
    found = lifted(px)
    assert found.filled[0, :8][:, joints].all()
    assert np.linalg.norm(found.keypoints_px[0] - clean, axis=-1).max() < far_px
    assert off(px, clean) < far_m
    assert found.meta["faults"]["1"]["held"] == {}
    assert not any("held" in remark for remark in remarks(summary(found)))


def test_limb_that_comes_late_or_never_is_said_to_be_held() -> None:
    px = recorded.pixels(PLACE)[:60].copy()
    px[:, WRIST] = np.nan
    assert lifted(px[:20]).meta["faults"]["1"]["held"] == {"right_wrist": 20}
    px[40:, WRIST] = recorded.pixels(PLACE)[40:60, WRIST]
    assert lifted(px).meta["faults"]["1"]["held"] == {"right_wrist": 40}


@pytest.mark.parametrize("step", [1, 2, 5])
def test_recorded_motion_is_never_corrected(step: int) -> None:
    for place in range(len(recorded.sequences())):
        continuity = Continuity(Faults())
        for number, px in enumerate(recorded.pixels(place)[: 30 * step : step]):
            continuity.check(px, number * step / 50)
            assert continuity.correction is None, (place, number)


@pytest.mark.parametrize("look_ahead", [None, 0, 5])
@pytest.mark.parametrize("fps", [50, 30])
def test_stream_corrects_what_lift_corrects(fps: float, look_ahead: int | None) -> None:
    assert_same(LinearLifter(channels=3), clip_of(*spoilt_people(), layout="h36m17"), fps, {"look_ahead": look_ahead})


def test_what_is_remembered_of_a_person_is_corrected_too(tmp_path: Path) -> None:
    _, stream = streaming.lifters(tmp_path)
    one, _ = spoilt_people()
    found, wanted = (
        lift_clip(stream, clip_of(px), LiftOptions(view="plain")).poses_m[0] for px in (one, recorded.pixels(PLACE)[:60])
    )
    assert np.abs(found[0] - wanted[0]).max() > 1e-2
    assert np.abs(found[10:] - wanted[10:]).max() < 1e-4
    assert_same(stream, clip_of(*spoilt_people()), 50, {"look_ahead": 0})


def spoilt_people() -> tuple[Array, Array]:
    """Return somebody with sides exchanged at first, and another with a wild wrist, a wild head and an arm that comes late."""
    one, other = recorded.pixels(PLACE)[:60].copy(), recorded.pixels(28)[:60].copy()
    one[:2] = one[:2, MIRROR]
    other[:2, WRIST] += 250
    other[3:5, HEAD] -= 200
    other[:6, 12:14] = np.nan
    return one, other
