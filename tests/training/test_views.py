"""Training windows are real stretches of motion, changed only in the ways that the augmentation states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from poseedge import metrics
from poseedge.data.cameras import project
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.data.windows import centered, mirror_joints
from poseedge.errors import DataError
from poseedge.skeleton import BONES, LEFT, RIGHT
from poseedge.training.batch import Batch, mirror
from poseedge.training.views import Augmentation, ViewSampler, project_batch
from tests.support.folders import MINI

CLEAN, DETECTED = load_dataset(MINI, "gt"), load_dataset(MINI, "detected")
FRAMES, SIZE = 9, 256
RECORDED = Augmentation(recorded=1, detected=0)
TURNED = Augmentation(recorded=0, detected=0, size_std=0, bone_std=0)
CHILD, PARENT = (list(joints) for joints in zip(*BONES, strict=True))


def sampler(augmentation: Augmentation, known_frames: tuple[int, ...] = tuple(range(FRAMES))) -> ViewSampler:
    return ViewSampler(CLEAN, DETECTED, FRAMES, known_frames, augmentation)


def batch(augmentation: Augmentation, seed: int = 0) -> Batch:
    """Draw one batch; a seed draws the same frames, cameras and mirrors whatever the augmentation."""
    return sampler(augmentation).batch(SIZE, torch.Generator().manual_seed(seed))


def recorded_windows(dataset: PoseDataset) -> Tensor:
    """Return every window of ``dataset`` and then every mirrored one, keypoints beside targets: ``(2N, F, 17, 5)``."""
    cut = [np.concatenate([s.keypoints, s.relative_m], axis=-1)[centered(len(s), FRAMES)] for s in dataset.sequences]
    plain = torch.from_numpy(np.concatenate(cut))
    return torch.cat([plain, torch.cat([mirror(plain[..., :2]), mirror(plain[..., 2:])], dim=-1)])


@pytest.mark.slow
@pytest.mark.parametrize("dataset", [CLEAN, DETECTED], ids=lambda d: d.keypoints)
def test_recorded_windows_are_those_of_the_data_set(dataset: PoseDataset) -> None:
    found = torch.cat(batch(replace(RECORDED, detected=float(dataset is DETECTED)))[:2], dim=-1)
    windows = recorded_windows(dataset)
    nearest = torch.cdist(found.flatten(1), windows.flatten(1)).argmin(dim=1)
    difference = (found - windows[nearest]).abs()
    assert difference[..., :2].max() * 1000 / 2 < 0.032  # pixels: the stored keypoints are rounded
    assert difference[..., 2:].max() < 1e-5
    assert 0.4 < (nearest >= len(windows) // 2).float().mean() < 0.6  # half are mirrored


def test_views_of_a_causal_network_end_with_the_frame_whose_pose_is_known() -> None:
    drawn = sampler(RECORDED, (FRAMES - 1,)).batch(SIZE, torch.Generator().manual_seed(0))
    shown = torch.cat([drawn.keypoints[:, -1], drawn.joints_m[:, 0]], dim=-1)
    frames = torch.cat([torch.from_numpy(np.concatenate([s.keypoints, s.relative_m], axis=-1)) for s in CLEAN.sequences])
    mirrored = torch.cat([mirror(frames[..., :2]), mirror(frames[..., 2:])], dim=-1)
    assert torch.cdist(shown.flatten(1), torch.cat([frames, mirrored]).flatten(1)).min(dim=1).values.max() < 0.01


def test_the_same_generator_state_gives_the_same_batch() -> None:
    views, generator = sampler(Augmentation()), torch.Generator().manual_seed(7)
    state = generator.get_state()
    first, second = views.batch(8, generator), views.batch(8, generator)
    again = views.batch(8, generator.set_state(state))
    for ours, theirs, later in zip(first, again, second, strict=True):
        assert torch.equal(ours, theirs)
        assert not torch.equal(ours, later)


def test_targets_are_root_relative_poses_of_the_known_frames() -> None:
    whole = batch(Augmentation())[1]
    chosen = sampler(Augmentation(), known_frames=(4, 0)).batch(SIZE, torch.Generator().manual_seed(0))[1]
    assert torch.equal(chosen, whole[:, [4, 0]])
    assert not whole[:, :, 0].any()


def test_a_turned_scene_keeps_the_body() -> None:
    turned, recorded = (batch(augmentation)[1].flatten(0, 1).numpy() for augmentation in (TURNED, RECORDED))
    assert metrics.mpjpe(turned, recorded) > 0.1
    assert metrics.p_mpjpe_per_pose(turned, recorded).max() < 1e-5
    lengths = [np.linalg.norm(poses[:, CHILD] - poses[:, PARENT], axis=-1) for poses in (turned, recorded)]
    np.testing.assert_allclose(lengths[0], lengths[1], atol=1e-5)


def test_detector_errors_keep_their_size_in_a_new_view() -> None:
    errors = []
    for augmentation in (TURNED, RECORDED):
        exact, noisy = (batch(replace(augmentation, detected=share))[0] for share in (0, 1))
        errors.append((noisy - exact).norm(dim=-1))
    torch.testing.assert_close(*errors, atol=1e-5, rtol=0)
    assert errors[0].mean() * 1000 / 2 > 3  # pixels


def test_shares_of_detected_and_of_recorded_windows_are_kept() -> None:
    exact, mixed = batch(replace(RECORDED, detected=0))[0], batch(replace(RECORDED, detected=0.5))[0]
    assert 0.4 < (exact != mixed).any(-1).any(-1).any(-1).float().mean() < 0.6
    recorded, some = batch(RECORDED)[1], batch(replace(RECORDED, recorded=0.25))[1]
    assert 0.15 < torch.isclose(recorded, some, atol=1e-5).all(-1).all(-1).all(-1).float().mean() < 0.35


def test_reshaping_the_body_keeps_bone_directions_and_symmetry() -> None:
    views = sampler(Augmentation())
    recorded = torch.arange(SIZE) % 2 == 0
    body = views.reshape_body(recorded, torch.Generator().manual_seed(0))
    world = views.world[torch.arange(SIZE) * 7]
    before, after = ((p[:, CHILD] - p[:, PARENT]) for p in (world, torch.einsum("bjk,bkc->bjc", body, world)))
    ratio = after.norm(dim=-1) / before.norm(dim=-1)
    torch.testing.assert_close(after, before * ratio[..., None], atol=1e-5, rtol=0)
    side = {joint: bone for bone, joint in enumerate(CHILD)}
    torch.testing.assert_close(ratio[:, [side[j] for j in LEFT]], ratio[:, [side[j] for j in RIGHT]], atol=1e-4, rtol=0)
    assert torch.equal(body[recorded], torch.eye(17).expand(SIZE // 2, 17, 17))
    assert ratio[~recorded].std() > 0.03


def test_projection_in_torch_equals_that_of_the_cameras() -> None:
    sequence = CLEAN.sequences[0]
    bent = np.array([2.29, 2.2876, 0.025, 0.029, -0.207, 0.2478, -0.0031, -0.001, -0.0014], np.float32)
    intrinsics = np.stack([bent, sequence.camera.intrinsics])
    points = np.stack([sequence.joints_m, sequence.joints_m[::-1]])
    found = project_batch(torch.from_numpy(points), torch.from_numpy(intrinsics))
    for ours, theirs, numbers in zip(found, points, intrinsics, strict=True):
        np.testing.assert_allclose(ours, project(theirs, numbers), atol=1e-6)


def test_mirroring_in_torch_equals_that_of_the_windows_and_undoes_itself() -> None:
    poses = CLEAN.sequences[0].joints_m
    once = mirror(torch.from_numpy(poses))
    np.testing.assert_array_equal(once, mirror_joints(poses))
    np.testing.assert_array_equal(mirror(once), poses)


def test_unmatched_keypoints_are_refused() -> None:
    with pytest.raises(DataError, match=r"mocap17-mini detected: no sequence 'S1/.*which gt has"):
        ViewSampler(CLEAN, DETECTED.of(["S9"]), FRAMES, (0,), RECORDED)


def test_clips_of_differing_rigs_are_refused() -> None:
    fewer = replace(CLEAN, sequences=CLEAN.sequences[1:])
    with pytest.raises(DataError, match="differing numbers of cameras"):
        ViewSampler(fewer, DETECTED, FRAMES, (0,), RECORDED)
