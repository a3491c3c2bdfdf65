"""A live window is what live use makes of a detector's keypoints, and its target is what the camera then sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from poseedge.arrays import Float32Array
from poseedge.data.h36m import load_dataset
from poseedge.data.keypoints import coco_to_h36m
from poseedge.skeleton import BONES
from poseedge.training.batch import ProcessShare
from poseedge.training.live_windows import BEHIND_FACE, LOST, Draw, LiveSampler, LiveUse, bridged, coco_matrix, extent, faces
from tests.support.folders import MINI

CLEAN, DETECTED = load_dataset(MINI, "gt"), load_dataset(MINI, "detected")
FRAMES, SIZE = 27, 64
KNOWN = tuple(range(FRAMES))
EXACT = LiveUse(share=1, zoom_std=0, place_std=0, from_coco=0, noisy=0, lost=0, mixed=0, tilt_std=0)


def sampler(live: LiveUse = EXACT) -> LiveSampler:
    return LiveSampler(CLEAN, DETECTED, FRAMES, KNOWN, live)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_keypoints_are_the_target_seen_by_a_camera_and_zoomed() -> None:
    drawn = sampler().batch(SIZE, generator())
    points = drawn.joints_m + drawn.root_m[:, :, None]
    screen = points[..., :2] / points[..., 2:]
    zoom = extent(drawn.keypoints) / extent(screen)
    torch.testing.assert_close(drawn.keypoints, screen * zoom[:, None, None, None], rtol=0, atol=1e-5)
    torch.testing.assert_close(extent(drawn.keypoints), torch.full((SIZE,), EXACT.person_size))


def test_camera_is_turned_to_the_person() -> None:
    middle = sampler().batch(SIZE, generator()).keypoints.mean(dim=2).median(dim=1).values
    assert middle.abs().max() < 0.02


def test_person_stands_upright_before_every_level_camera() -> None:
    level = replace(EXACT, roll_std=0, usual=1, usual_elevation=(0, 0))
    bodies = sampler(level).batch(SIZE, generator()).joints_m
    assert (bodies[:, :, 10, 1] < bodies[:, :, 3, 1]).float().mean() > 0.95  # y down: the head is above the right ankle


def test_bones_of_mixed_motion_are_as_long_as_recorded_ones() -> None:
    drawn = sampler(replace(EXACT, mixed=1, tilt_std=12)).batch(SIZE, generator()).joints_m
    child, parent = (list(joints) for joints in zip(*BONES, strict=True))
    lengths = (drawn[:, :, child] - drawn[:, :, parent]).norm(dim=-1)
    assert (lengths.std(dim=1) < 1e-4).float().mean() > 0.95
    assert 0.3 < lengths[..., [1, 4]].mean() < 0.6  # thighs


def test_joints_from_coco_are_those_of_the_formula() -> None:
    coco: Float32Array = np.random.default_rng(0).normal(size=(5, 17, 2)).astype(np.float32)
    ours = torch.stack([torch.from_numpy(coco[..., axis]) @ coco_matrix(axis).T for axis in (0, 1)], dim=-1)
    np.testing.assert_allclose(ours.numpy(), coco_to_h36m(coco), atol=1e-5)


def test_trunk_and_head_alone_are_estimated() -> None:
    exact, made = (sampler(replace(EXACT, from_coco=share)) for share in (0, 1))
    screen = torch.rand(SIZE, FRAMES, 22, 2)
    ours, theirs = (s.detected(screen, Draw(SIZE, generator(), s.device)) for s in (exact, made))
    limbs = [joint for joint in range(17) if joint not in (0, 7, 8, 9, 10)]
    torch.testing.assert_close(ours[:, :, limbs], theirs[:, :, limbs])
    assert (ours[:, :, [7, 8, 9, 10]] - theirs[:, :, [7, 8, 9, 10]]).abs().mean() > 0.1
    assert sorted(BEHIND_FACE) == sorted(limbs)


def test_face_stands_before_the_head_between_ears_of_a_headsbreadth() -> None:
    points = torch.from_numpy(np.stack([s.joints_m[:FRAMES] for s in CLEAN.sequences[:8]]))
    nose, left_eye, _, left_ear, right_ear = faces(points, Draw(8, generator(), points.device)).unbind(dim=2)
    assert 0.10 < (left_ear - right_ear).norm(dim=-1).mean() < 0.19
    assert ((nose - points[:, :, 9]).norm(dim=-1) < 0.3).all()
    assert ((left_eye - nose).norm(dim=-1) < 0.12).all()


def test_lost_joints_are_bridged_by_a_straight_line_and_others_stay() -> None:
    joints = torch.randn(SIZE, 100, 17, 2)
    found = bridged(joints, Draw(SIZE, generator(), joints.device), share=1.0)
    changed = (found != joints).any(dim=-1)  # (B, F, 17)
    lost = changed.any(dim=1)
    assert lost.any(dim=1).float().mean() > 0.8
    assert {tuple(row.nonzero()[:, 0].tolist()) for row in lost if row.any()} <= set(LOST)
    for window, joint in lost.nonzero()[:20]:
        frames = changed[window, :, joint].nonzero()[:, 0]
        assert frames.diff().eq(1).all()  # one gap
        line = found[window, frames, joint]
        assert line.diff(dim=0).diff(dim=0).abs().max() < 1e-4 if len(frames) > 2 else True


def test_batch_is_a_function_of_the_step_and_holds_both_kinds_of_windows() -> None:
    usual = sampler(LiveUse())
    one, two, other = (usual.draw(step, SIZE, ProcessShare(0)) for step in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one.keypoints, other.keypoints)
    assert one.keypoints.shape == (SIZE, FRAMES, 17, 2)
    assert (one.intrinsics.abs().sum(dim=1) == 0).sum() == round(SIZE * LiveUse().share)


@pytest.mark.parametrize("field", ["noisy", "lost", "mixed", "from_coco"])
def test_each_disturbance_disturbs(field: str) -> None:
    always: dict[str, Any] = {field: 1.0}
    changed = sampler(replace(EXACT, **always)).batch(SIZE, generator()).keypoints
    assert not torch.equal(changed, sampler().batch(SIZE, generator()).keypoints)
