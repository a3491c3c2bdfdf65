"""Every network of the registry is scored on every frame once; the repositories' own ways are told apart from that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseedge import metrics
from poseedge.backends.torch import TorchLifter
from poseedge.data.cameras import project
from poseedge.data.h36m import load_dataset
from poseedge.errors import DataError, PoseedgeError
from poseedge.evaluation.predict import predict
from poseedge.evaluation.protocols import ONCE, PROTOCOLS, batch_credited, plan, protocol, settled, without_displaced
from poseedge.evaluation.score import score
from poseedge.lifter import LifterSpec
from poseedge.models.network import LiftingNetwork
from tests.support import golden
from tests.support.echo import CAMERA, SEQ2FRAME, SEQ2SEQ, Echo, dataset, numbers
from tests.support.folders import MINI
from tests.support.networks import LIFTING, small


@pytest.mark.slow
@pytest.mark.parametrize("name", LIFTING)
def test_every_network_is_scored_on_every_frame_once(name: str) -> None:
    lifter = TorchLifter(small(name), Path(name))
    data, frames = dataset(31), lifter.spec.frames
    (found,) = predict(lifter, data)
    assert found.frames.tolist() == list(range(31))
    keypoints = data.sequences[0].keypoints
    if lifter.spec.channels == 3:
        keypoints = np.concatenate([keypoints, np.ones_like(keypoints[..., :1])], axis=-1)
    for frame in (0, 13, 27, 30):
        if len(lifter.spec.output_frames) == frames > 1:  # the last frames come from a window that ends at 30
            start = 0 if frame < frames else 31 - frames
            pose = lifter(keypoints[start : start + frames][None])[0, frame - start]
        else:
            pad = (frames - 1) // 2
            window = np.pad(keypoints, ((pad, pad), (0, 0), (0, 0)), mode="edge")[frame : frame + frames]
            pose = lifter(window[None])[0, lifter.spec.output_frames.index(pad)]
        np.testing.assert_allclose(found.poses_m[frame, 1:], pose[1:], atol=1e-5)


@pytest.mark.parametrize(("length", "windows"), [(31, 4), (9, 1), (5, 1)])
@pytest.mark.parametrize("name", ["mixste", "hot"])
def test_windows_of_a_repository_are_scored_whole_with_their_duplicates(name: str, length: int, windows: int) -> None:
    (found,) = predict(Echo(SEQ2SEQ), dataset(length), protocol=protocol(name))
    assert len(found.frames) == 9 * windows
    assert numbers(found) == found.frames.tolist()
    assert set(found.frames) == set(range(length))


def test_the_last_window_of_mixste_ends_with_the_sequence_and_hot_pads_both_ends() -> None:
    sequence = dataset(13).sequences[0]
    twice = plan(sequence, SEQ2SEQ, protocol("mixste")).frames
    assert twice.tolist() == [*range(9), *range(4, 13)]
    padded = plan(sequence, SEQ2SEQ, protocol("hot")).frames
    assert padded.tolist() == [0, 0, *range(13), 12, 12, 12]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_network_for_one_frame_is_scored_once_whatever_the_protocol(name: str) -> None:
    (found,) = predict(Echo(SEQ2FRAME), dataset(13), protocol=protocol(name))
    assert found.frames.tolist() == list(range(13))


def test_whole_windows_cannot_be_thinned_out() -> None:
    with pytest.raises(PoseedgeError, match="scores whole windows"):
        predict(Echo(SEQ2SEQ), dataset(13), every=2, protocol=protocol("mixste"))


def test_the_root_is_zero_or_as_predicted_or_subtracted() -> None:
    sequence, frames = dataset(4).sequences[0], np.arange(4)
    poses = np.random.default_rng(0).normal(size=(4, 17, 3))
    zero = settled(poses.copy(), sequence, frames, ONCE)
    assert not zero[:, 0].any()
    np.testing.assert_array_equal(zero[:, 1:], poses[:, 1:])
    np.testing.assert_array_equal(settled(poses.copy(), sequence, frames, protocol("videopose3d")), poses)
    np.testing.assert_array_equal(settled(poses.copy(), sequence, frames, protocol("modulated-gcn")), poses - poses[:, :1])


def test_image_space_poses_become_metres_by_the_depth_of_the_root() -> None:
    (sequence, *_) = load_dataset(MINI).of(["S9"]).sequences
    flat = sequence.joints_m.copy()
    flat[..., 2] = flat[:, :1, 2]  # all joints as far away as the root: there the weak perspective is exact
    on_screen = project(flat, sequence.camera.intrinsics)
    poses = np.concatenate([on_screen, np.zeros_like(on_screen[..., :1])], axis=-1)
    poses -= poses[:, :1]
    found = settled(poses, sequence, np.arange(len(poses)), protocol("motionbert"))
    focal = sequence.camera.intrinsics[0] / sequence.camera.intrinsics[1]  # one scale for both axes
    np.testing.assert_allclose(found[..., 0], (flat - flat[:, :1])[..., 0], atol=1e-5)
    np.testing.assert_allclose(found[..., 1], (flat - flat[:, :1])[..., 1] / focal, atol=1e-3)


def test_an_unknown_protocol_suggests_the_nearest() -> None:
    with pytest.raises(PoseedgeError) as caught:
        protocol("mixst")
    assert "did you mean 'mixste'?" in caught.value.hint


FACTS, STORED = golden.case("metrics"), golden.arrays("metrics")


@pytest.mark.parametrize(("batch", "table"), [(1, "one_pose_per_batch"), (18, "single_mixed_batch")])
def test_mixed_batches_credit_their_mean_as_published(batch: int, table: str) -> None:
    actions = np.array([name.split(" ")[0] for name in FACTS["actions"]])
    per_pose = STORED["p_mpjpe_per_pose_close"].astype(np.float64)
    found = metrics.action_means(batch_credited(per_pose, actions, batch), actions.tolist())
    wanted = {name: row[1] for name, row in FACTS[f"action_table_{table}"].items()}
    assert {name: 1000 * value for name, value in found.items()} == pytest.approx(wanted, rel=1e-5)


def test_batches_of_one_action_are_exact() -> None:
    predictions = predict(Echo(SEQ2FRAME), dataset(30, 10, 20))
    exact, by_batch = score(predictions), score(predictions, p2_batch=25)
    assert by_batch.p_mpjpe_mm == exact.p_mpjpe_mm
    assert by_batch.by_action != exact.by_action
    assert score(predictions, p2_batch=10).by_action == exact.by_action


def test_velocities_weigh_by_steps_and_where_the_repository_does_so_by_frames() -> None:
    predictions = predict(Echo(SEQ2FRAME), dataset(3, 4, 30, 40))
    each = [metrics.mpjve(p.poses_m, p.target_m) * 1000 for p in predictions]
    exact, mixste = score(predictions), score(predictions, protocol=protocol("mixste"))
    steps = {"Act0": (2 * each[0] + 29 * each[2]) / 31, "Act1": (3 * each[1] + 39 * each[3]) / 42}
    frames = {"Act0": (3 * each[0] + 30 * each[2]) / 33, "Act1": (4 * each[1] + 40 * each[3]) / 44}
    for found, wanted in ((exact, steps), (mixste, frames)):
        assert {name: row.mpjve_mm for name, row in found.by_action.items()} == pytest.approx(wanted, rel=1e-9)
        assert found.action_mean_mpjve_mm == pytest.approx(sum(wanted.values()) / 2, rel=1e-9)
    assert exact.mpjve_mm == pytest.approx((steps["Act0"] * 31 + steps["Act1"] * 42) / 73, rel=1e-9)
    assert mixste.mpjve_mm == pytest.approx((frames["Act0"] * 33 + frames["Act1"] * 44) / 77, rel=1e-9)


def test_scaled_errors_are_given_by_action_and_in_the_mean() -> None:
    predictions = predict(Echo(SEQ2FRAME), dataset(10, 30))
    found = score(predictions)
    each = [metrics.n_mpjpe(p.poses_m, p.target_m) * 1000 for p in predictions]
    assert [row.n_mpjpe_mm for row in found.by_action.values()] == pytest.approx(each)
    assert found.n_mpjpe_mm == pytest.approx((each[0] + 3 * each[1]) / 4)
    assert found.action_mean_n_mpjpe_mm == pytest.approx(sum(each) / 2)


@pytest.mark.parametrize(("length", "scored"), [(9, 9), (17, 9), (18, 18), (26, 18), (4, 4), (1, 1)])
def test_motionbert_scores_whole_windows_and_stretches_what_is_shorter(length: int, scored: int) -> None:
    (found,) = predict(Echo(SEQ2SEQ), dataset(length), protocol=replace(protocol("motionbert"), image_space=False))
    assert numbers(found) == found.frames.tolist() == list(range(scored))


def test_a_stretched_sequence_repeats_its_frames_evenly_and_scores_where_each_stands_last() -> None:
    stretched = plan(dataset(4).sequences[0], SEQ2SEQ, protocol("motionbert"))
    assert stretched.windows.tolist() == [[0, 0, 0, 1, 1, 2, 2, 3, 3]]
    assert stretched.slots.tolist() == [2, 4, 6, 8]


def test_motionbert_leaves_three_takes_of_human36m_out() -> None:
    made = dataset(9, 9, 9)
    actions = ("Greeting", "Greeting 1", "Waiting 1")
    named = replace(made, sequences=tuple(replace(s, action=a) for s, a in zip(made.sequences, actions, strict=True)))
    human36m = replace(named, name="h36m")
    assert [s.action for s in without_displaced(human36m, protocol("motionbert")).sequences] == ["Greeting 1"]
    assert without_displaced(human36m) == human36m
    assert without_displaced(named, protocol("motionbert")) == named


def test_image_space_poses_need_a_camera() -> None:
    data = dataset(9)
    unknown = replace(CAMERA, intrinsics=np.zeros(9, np.float32))
    blind = replace(data, sequences=(replace(data.sequences[0], camera=unknown),))
    with pytest.raises(DataError, match="no focal length is known, and making image-space poses metric needs it"):
        predict(Echo(SEQ2SEQ), blind, protocol=protocol("motionbert"))


def test_frames_that_do_not_count_are_context_only() -> None:
    data = dataset(20)
    valid = np.arange(20) % 3 == 0
    data = replace(data, sequences=(replace(data.sequences[0], valid=valid),))
    for spec in (SEQ2FRAME, SEQ2SEQ, LifterSpec("echo", 1, (0,), "fp32", None)):
        (found,) = predict(Echo(spec), data)
        assert found.frames.tolist() == numbers(found) == np.flatnonzero(valid).tolist()
        assert score([found]).mpjve_mm is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpc_mhformer-27", "tpc_mixste-f27", "mhformer-27", "strided_transformer-27"])
def test_flip_test_equals_the_published_one(name: str) -> None:
    stored, network = golden.arrays(name), golden.network(name)
    assert isinstance(network, LiftingNetwork)
    lifter = TorchLifter(network, Path(name), flip=True)
    assert lifter.spec.flip == ("inside" if name.startswith("tpc") else "passes")
    for window, wanted in zip(stored["input"], stored["protocol"], strict=True):
        data = dataset(len(window))
        sequence = replace(data.sequences[0], keypoints=window, camera=CAMERA)
        (found,) = predict(lifter, replace(data, sequences=(sequence,)), flip=True)
        np.testing.assert_allclose(found.poses_m[(len(window) - 1) // 2], wanted[0], atol=2e-5)
