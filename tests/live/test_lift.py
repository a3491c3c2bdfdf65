"""Lifting a clip: against the ten plain lines, through gaps, at any frame rate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import poseedge
from poseedge.data.cameras import normalize_screen
from poseedge.data.keypoints import coco_to_h36m
from poseedge.data.windows import centered
from poseedge.errors import DataError, PoseedgeError
from poseedge.evaluation.protocols import plan
from poseedge.lifter import Lifter
from poseedge.live.lift import lift_clip, trunk_and_leg
from poseedge.live.options import LiftOptions
from poseedge.live.summary import remarks, summary
from poseedge.live.trained import TrainedOn
from poseedge.live.types import Clip, Track
from poseedge.live.view import TRUNK_AND_LEG
from poseedge.metrics import jitter
from poseedge.skeleton import JOINT_NAMES, ROOT
from tests.support import motion, recorded
from tests.support.linear_lifter import Array, LinearLifter, clip_of

PLAIN = LiftOptions(view="plain", trunk="papers", overlap=False)
RIGHT_ARM, LEGS = [15, 16], [2, 3, 5, 6]


def ten_plain_lines(lifter: Lifter, joints_px: Array) -> Array:
    """What people write: a window around each frame, edges repeated, the centre slot, the root at zero."""
    screen = normalize_screen(joints_px, *recorded.SIZE)
    poses = lifter(screen[centered(len(screen), lifter.spec.frames)])[:, lifter.spec.center_slot]
    poses[:, ROOT] = 0
    return poses


def test_plain_lifting_is_the_ten_plain_lines(small_bundle: Path) -> None:
    lifter, joints = poseedge.load(small_bundle), recorded.pixels(16)
    lifted = lift_clip(lifter, clip_of(joints), PLAIN)
    assert lifted.seen.all()
    np.testing.assert_allclose(lifted.poses_m[0], ten_plain_lines(lifter, joints), rtol=0, atol=1e-6)


def test_plain_lifting_of_coco_is_the_ten_plain_lines() -> None:
    lifter, coco = LinearLifter(), motion.coco()
    lifted = lift_clip(lifter, clip_of(coco, layout="coco17"), PLAIN)
    np.testing.assert_allclose(lifted.poses_m[0], ten_plain_lines(lifter, coco_to_h36m(coco)), rtol=0, atol=1e-6)
    assert not lifted.filled.any()


def test_network_that_gives_its_whole_window_is_run_over_windows_that_follow_each_other() -> None:
    lifter, sequence = LinearLifter(27, tuple(range(27))), recorded.sequences()[16]
    lifted = lift_clip(lifter, clip_of(recorded.pixels(16)), PLAIN)
    work = plan(sequence, lifter.spec)
    expected = lifter(sequence.keypoints[work.windows])[work.where, work.slots]
    np.testing.assert_allclose(lifted.poses_m[0, :, 1:], expected[:, 1:], rtol=0, atol=1e-5)
    short = clip_of(recorded.pixels(16)[:20])
    assert lift_clip(lifter, short, PLAIN).seen.all()


def test_overlap_is_the_mean_of_what_all_windows_say_of_a_frame() -> None:
    lifter, joints = LinearLifter(), recorded.pixels(16)
    lifted = lift_clip(lifter, clip_of(joints), replace(PLAIN, overlap=True))
    screen, length = normalize_screen(joints, *recorded.SIZE), len(joints)
    total, weights = np.zeros((length, 17, 3)), np.zeros((length, 1, 1))
    for centre in range(-4, length + 4):
        window = screen[np.clip(centre + np.arange(-121, 122), 0, length - 1)]
        for slot, pose in enumerate(lifter(window[None])[0]):
            if 0 <= (frame := centre + slot - 4) < length:
                weight = 5 - abs(slot - 4)
                total[frame], weights[frame] = total[frame] + weight * pose, weights[frame] + weight
    np.testing.assert_allclose(lifted.poses_m[0, :, 1:], (total / weights)[:, 1:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("every", [2, 5, 9])
def test_every_frame_has_a_pose_however_seldom_windows_are_run(every: int) -> None:
    lifter, joints = LinearLifter(context=0), recorded.pixels(16)
    lifted = lift_clip(lifter, clip_of(joints), LiftOptions(view="plain", every=every))
    assert len(lifter.windows) == pytest.approx(len(joints) / every, abs=9)
    every_frame = lift_clip(lifter, clip_of(joints), LiftOptions(view="plain"))
    np.testing.assert_allclose(lifted.poses_m, every_frame.poses_m, rtol=0, atol=1e-5)  # of a network that knows no context


def test_windows_too_far_apart_are_refused() -> None:
    with pytest.raises(PoseedgeError, match="a window every 10 frames leaves frames of linear without a pose"):
        lift_clip(LinearLifter(), clip_of(recorded.pixels(16)), LiftOptions(every=10))


@pytest.mark.slow
@pytest.mark.parametrize("look_ahead", [0, 3, 20, 100])
def test_pose_does_not_depend_on_what_comes_after_its_look_ahead(look_ahead: int) -> None:
    joints, options = recorded.pixels(20), LiftOptions(look_ahead=look_ahead)
    other = joints.copy()
    other[150:] += np.float32(40)
    one, two = (lift_clip(LinearLifter(), clip_of(px), options).poses_m[0] for px in (joints, other))
    np.testing.assert_array_equal(one[: 150 - look_ahead], two[: 150 - look_ahead])
    assert (one[150 - look_ahead] != two[150 - look_ahead]).any()


def test_look_ahead_beyond_the_window_is_refused() -> None:
    with pytest.raises(PoseedgeError, match="look-ahead of 126 frames: linear can use 0 to 125"):
        lift_clip(LinearLifter(), clip_of(recorded.pixels(16)), LiftOptions(look_ahead=126))


def swinging(fps: float, seconds: float = 3.0) -> Array:
    """Return a person whose joints swing slowly, at any frame rate."""
    times = np.arange(round(seconds * fps) + 1) / fps
    swing = np.stack([np.sin(2 * times), np.cos(1.5 * times)], axis=-1)[:, None]
    return np.asarray(recorded.pixels(16)[0] + 30 * swing * np.linspace(0.5, 1.5, 17)[:, None], np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("fps", [10, 25, 29.97, 60, 100])
def test_poses_are_given_at_the_source_s_own_times(fps: float) -> None:
    lifter, joints = LinearLifter(), swinging(fps)
    lifted = lift_clip(lifter, clip_of(joints, fps=fps), LiftOptions(view="plain"))
    at_50_hz = lift_clip(lifter, clip_of(swinging(50)), LiftOptions(view="plain"))
    assert lifted.seen.all()
    assert lifted.times_s[-1] == pytest.approx((len(joints) - 1) / fps)
    inside = lifted.times_s <= 2.9  # then the last frame is repeated, from times that differ
    expected = [np.interp(lifted.times_s, at_50_hz.times_s, values) for values in at_50_hz.poses_m[0].reshape(151, -1).T]
    found = lifted.poses_m[0].reshape(len(joints), -1)[inside]
    np.testing.assert_allclose(found, np.stack(expected, axis=-1)[inside], rtol=0, atol=2e-3)
    np.testing.assert_array_equal(lifted.keypoints_px[0], joints)  # what was seen stays as it was


@pytest.mark.slow
def test_an_arm_that_was_missed_for_ten_frames_is_bridged_and_marked() -> None:
    joints = recorded.pixels(20)
    hidden = joints.copy()
    hidden[100:110, RIGHT_ARM] = np.nan
    true, lifted = (lift_clip(LinearLifter(), clip_of(px), LiftOptions()) for px in (joints, hidden))
    assert lifted.seen.all()
    assert set(np.argwhere(lifted.filled[0])[:, 0]) == set(range(100, 110))
    assert set(np.argwhere(lifted.filled[0])[:, 1]) == set(RIGHT_ARM)
    beside = joints[:, 16] - joints[:, 14]  # the shoulder
    straight = beside[99] + (beside[110] - beside[99]) * np.float32(6 / 11)
    np.testing.assert_allclose(lifted.keypoints_px[0, 105, 16], joints[105, 14] + straight, rtol=0, atol=1e-2)
    np.testing.assert_array_equal(lifted.keypoints_px[0, :, :15], true.keypoints_px[0, :, :15])


@pytest.mark.parametrize(("frames", "given"), [(40, 300), (51, 249)])
def test_a_gap_of_a_second_is_held_and_a_longer_one_ends_the_track(frames: int, given: int) -> None:
    joints = recorded.pixels(20).copy()
    joints[100 : 100 + frames] = np.nan
    lifted = lift_clip(LinearLifter(), clip_of(joints), LiftOptions())
    assert lifted.seen.sum() == given
    assert lifted.meta["faults"]["1"]["ended"] == (frames > 50)
    if frames == 40:
        np.testing.assert_array_equal(lifted.keypoints_px[0, 100:116], joints[[99] * 16])
        np.testing.assert_allclose(lifted.keypoints_px[0, 139], joints[140] + (joints[99] - joints[140]) / 25, atol=1e-2)
        assert lifted.filled[0, 100:140].all()


def test_a_track_that_ended_begins_anew_as_if_it_were_another_person() -> None:
    joints = recorded.pixels(20).copy()
    joints[100:170] = np.nan
    lifted = lift_clip(LinearLifter(), clip_of(joints), LiftOptions())
    alone = lift_clip(LinearLifter(), clip_of(joints[170:]), LiftOptions())
    np.testing.assert_array_equal(lifted.poses_m[0, 170:], alone.poses_m[0])


def test_legs_out_of_the_picture_are_said_and_not_guessed() -> None:
    joints = recorded.pixels(20).copy()
    joints[:, LEGS] = 0
    lifted = lift_clip(LinearLifter(), clip_of(joints), LiftOptions())
    assert not lifted.seen.any()
    assert np.isnan(lifted.poses_m).all()
    assert lifted.meta["faults"]["1"]["lacking"] == dict.fromkeys(("right_knee", "right_ankle", "left_knee", "left_ankle"), 300)


@pytest.mark.slow
@pytest.mark.parametrize("joints", [[16], RIGHT_ARM, [12, 13, 15, 16], [5, 6]], ids=["wrist", "arm", "both arms", "a leg"])
@pytest.mark.parametrize("frames", [slice(100, 300), slice(0, 200), slice(0, 300)], ids=["from then on", "at first", "never"])
def test_limb_that_stays_unseen_is_held_and_said_and_the_person_lifted(joints: list[int], frames: slice) -> None:
    px = recorded.pixels(20).copy()
    px[frames, joints] = np.nan
    lifted = lift_clip(LinearLifter(), clip_of(px), LiftOptions())
    assert lifted.seen.all()
    assert np.isfinite(lifted.poses_m).all()
    assert lifted.filled[0, frames][:, joints].all()
    assert lifted.filled.sum() == len(joints) * len(px[frames])
    faults = lifted.meta["faults"]["1"]
    assert (faults["ended"], faults["lacking"]) == (0, {})
    held = len(px[frames]) - (51 if frames.start else 0)  # of the first second, its end included, nothing is said
    assert faults["held"] == {JOINT_NAMES[joint]: held for joint in joints}
    assert any("held in place while not seen for over a second, or not yet" in note for note in remarks(summary(lifted)))


@pytest.mark.parametrize(("step", "said"), [(1, False), (5, False), (33, True)])
def test_frames_too_far_apart_to_be_one_motion_are_said(step: int, said: bool) -> None:
    """As where milliseconds stand for numbers of frames."""
    given = clip_of(recorded.pixels(20)[:20], fps=30)
    frames = np.arange(20) * step
    clip = replace(given, tracks=(replace(given.tracks[0], frames=frames),), frames=np.arange(frames[-1] + 1))
    notes = remarks(summary(lift_clip(LinearLifter(), clip, LiftOptions())))
    assert any("20 tracks for 20 poses" in note and "30 frames per second?" in note for note in notes) == said


def test_both_legs_unseen_for_over_a_second_end_the_track() -> None:
    px = recorded.pixels(20).copy()
    px[100:, 3] = np.nan
    px[120:, 6] = np.nan
    lifted = lift_clip(LinearLifter(), clip_of(px), LiftOptions())
    assert lifted.seen[0].tolist() == [True] * 120 + [False] * 180
    assert lifted.meta["faults"]["1"]["lacking"] == {"right_ankle": 129, "left_ankle": 129}


@pytest.mark.slow
def test_people_are_lifted_alike_in_any_order_and_alone() -> None:
    one, other = recorded.pixels(20), recorded.pixels(28)
    both = lift_clip(LinearLifter(), clip_of(one, other), LiftOptions())
    turned = lift_clip(LinearLifter(), clip_of(other, one), LiftOptions())
    np.testing.assert_array_equal(both.poses_m[::-1], turned.poses_m)
    np.testing.assert_array_equal(both.poses_m[:1], lift_clip(LinearLifter(), clip_of(one), LiftOptions()).poses_m)


def test_somebody_else_in_a_track_is_lifted_anew() -> None:
    one, other = recorded.pixels(20)[:150], recorded.pixels(28)[:150] + np.float32(400)
    lifted = lift_clip(LinearLifter(), clip_of(np.concatenate([one, other])), LiftOptions())
    alone = lift_clip(LinearLifter(), clip_of(other[2:]), LiftOptions())  # two frames go by until it is sure
    assert lifted.meta["faults"]["1"]["ended"] == 1
    np.testing.assert_array_equal(lifted.poses_m[0, 152:], alone.poses_m[0])
    assert not lifted.seen[0, 150:152].any()


def test_confidence_reaches_a_network_that_takes_one() -> None:
    lifter, joints = LinearLifter(27, tuple(range(27)), channels=3), recorded.pixels(20)
    scores = np.full((300, 17), 0.75, np.float32)
    scores[200:205, 16] = 0.1
    track = Track(1, np.arange(300), joints, scores)
    lift_clip(lifter, Clip("clip", "h36m17", (track,), np.arange(300), recorded.SIZE, 50.0), LiftOptions())
    seen = np.concatenate([window[..., 2].ravel() for window in lifter.windows])
    assert set(np.unique(seen)) == {np.float32(0), np.float32(0.75)}  # what was filled in is not certain


def test_network_of_one_frame_needs_no_frame_rate() -> None:
    lifter, joints = LinearLifter(1, (0,)), recorded.pixels(16)
    lifted = lift_clip(lifter, clip_of(joints, fps=None), replace(PLAIN, overlap=True))
    np.testing.assert_allclose(lifted.poses_m[0], ten_plain_lines(lifter, joints), rtol=0, atol=1e-6)


def test_height_makes_people_as_tall_as_said() -> None:
    sequence = recorded.sequences()[20]
    lifted = lift_clip(LinearLifter(), clip_of(recorded.pixels(20)), LiftOptions(height_m=1.8))
    assert np.median(trunk_and_leg(lifted.poses_m[0])) == pytest.approx(1.8 * TRUNK_AND_LEG, rel=1e-4)
    stature = np.median(trunk_and_leg(sequence.relative_m)) / TRUNK_AND_LEG
    assert 1.6 < stature < 2.0  # of a real person, so the proportions hold


@pytest.mark.slow
def test_smoothing_takes_jitter_away() -> None:
    joints = recorded.pixels(20) + np.random.default_rng(0).normal(0, 2, (300, 17, 2)).astype(np.float32)
    rough, smooth = (lift_clip(LinearLifter(), clip_of(joints), LiftOptions(smooth=smooth)) for smooth in (False, True))
    assert jitter(smooth.poses_m[0]) < 0.5 * jitter(rough.poses_m[0])


def test_unknown_size_and_frame_rate_are_asked_for() -> None:
    clip = clip_of(recorded.pixels(16))
    with pytest.raises(DataError, match="does not say how large the picture is") as size:
        lift_clip(LinearLifter(), replace(clip, size=None), LiftOptions())
    assert "--size" in size.value.hint
    with pytest.raises(DataError, match="does not say its frame rate, and linear knows motion at 50 Hz") as fps:
        lift_clip(LinearLifter(), replace(clip, fps=None), LiftOptions())
    assert "--fps" in fps.value.hint
    with pytest.raises(DataError, match="how large the picture is, nor its frame rate") as both:
        lift_clip(LinearLifter(), replace(clip, size=None, fps=None), LiftOptions())
    assert both.value.hint == "say it: --size 1920x1080 --fps 30"


def test_trunk_is_fitted_where_the_network_was_trained_so() -> None:
    clip = clip_of(motion.coco(), layout="coco17")
    papers = lift_clip(LinearLifter(), clip, LiftOptions(), TrainedOn())
    fitted = lift_clip(LinearLifter(), clip, LiftOptions(), TrainedOn(trunk="fitted"))
    chosen = lift_clip(LinearLifter(), clip, LiftOptions(trunk="fitted"), TrainedOn())
    np.testing.assert_array_equal(fitted.poses_m, chosen.poses_m)
    assert (papers.keypoints_px != fitted.keypoints_px).any()
    assert (papers.meta["trunk"], fitted.meta["trunk"]) == ("papers", "fitted")


@pytest.mark.parametrize("values", [{"height_m": 20}, {"camera_pitch_deg": 120}, {"focal_px": 0}])
def test_options_beyond_reason_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(PoseedgeError, match="expected"):
        LiftOptions(**values)  # type: ignore[arg-type]


def test_camera_options_mean_nothing_to_the_plain_view() -> None:
    with pytest.raises(PoseedgeError, match="no meaning in the plain view"):
        LiftOptions(view="plain", camera_pitch_deg=10)


def test_poses_that_no_memory_holds_are_refused() -> None:
    track = clip_of(recorded.pixels(16)).tracks[0]
    crowd = Clip(
        "crowd.json", "h36m17", tuple(replace(track, id=number) for number in range(500)), np.arange(540_000), (100, 100), 50.0
    )
    with pytest.raises(DataError, match=r"crowd\.json: poses of 500 people over 540000 frames would take 107 GiB") as refusal:
        lift_clip(LinearLifter(), crowd, LiftOptions())
    assert "--person largest" in refusal.value.hint


def test_people_who_come_late_or_leave_early_are_lifted_as_alone() -> None:
    one, late = recorded.pixels(20), recorded.pixels(28)
    shown = late.copy()
    shown[:60] = shown[150:] = np.nan
    both = lift_clip(LinearLifter(), clip_of(one, shown), LiftOptions())
    assert both.seen.sum(axis=1).tolist() == [300, 90]
    np.testing.assert_array_equal(
        both.poses_m[1, 60:150], lift_clip(LinearLifter(), clip_of(late[60:150]), LiftOptions()).poses_m[0]
    )
