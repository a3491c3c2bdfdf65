"""The benchmark's arms differ in their start alone, and what it reads out of features is what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.poseclr import FewLabels, markdown, start, train_few
from benchmarks.poseclr_features import between_cameras, error_mm, facing, read_out_mm, ridge
from poseedge.data.h36m import load_dataset
from poseedge.training.batch import ProcessShare
from poseedge.training.recorded import RecordedWindows
from poseedge.training.views import turn_about_vertical
from tests.support.folders import MINI

pytestmark = pytest.mark.slow

DATA = load_dataset(MINI, "gt")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_arms_start_alike_but_for_what_is_carried_over() -> None:
    scratch, other = start(0, None, ()), start(1, None, ())
    for anew in ((), ("fcn_tem.", "fcn_spa.")):
        carried = start(0, other.state_dict(), anew).state_dict()
        for key, value in carried.items():
            of = scratch if key.startswith(("fc.", *anew)) else other
            assert torch.equal(value, of.state_dict()[key]), key


def test_few_labels_are_few_and_follow_the_seed() -> None:
    recorded = RecordedWindows(DATA.of(DATA.train), 9, (4,), "centered", None, "none")
    few, again, others = (FewLabels(recorded, 5, seed) for seed in (0, 0, 1))
    drawn = torch.cat([few.draw(step, 32, ProcessShare(0)).joints_m[:, 0, 10, 1] for step in range(4)])
    assert set(drawn.tolist()) == set(few.batch.joints_m[:, 0, 10, 1].tolist())  # mirroring leaves the head's height
    assert torch.equal(few.batch.keypoints, again.batch.keypoints)
    assert not torch.equal(few.batch.keypoints, others.batch.keypoints)


def test_training_that_is_done_is_not_made_again(tmp_path: Path) -> None:
    train, test = DATA.of(DATA.train), DATA.of(DATA.test)
    first, second = (train_few(start(seed, None, ()), train, test, 8, 3, 0, 400, tmp_path) for seed in (0, 1))
    assert first == second


def test_variance_between_cameras_is_a_share() -> None:
    assert between_cameras(random(1, 4, 3)) == pytest.approx(1)  # one instant: nothing else varies
    assert between_cameras(random(50, 1, 3).expand(-1, 4, -1)) == pytest.approx(0, abs=1e-6)
    assert between_cameras(random(4000, 4, 3)) == pytest.approx(3 / 4, abs=0.02)  # independent: (n - 1) / n


def test_a_pose_that_faces_the_camera_forgets_its_heading_alone() -> None:
    joints = random(3, 17, 3)
    turns = turn_about_vertical(torch.tensor([0.5, 2.0, -1.0]))
    upright = joints[..., [0, 2, 1]]  # that turn is about the third axis, a camera's vertical is the second
    turned = (upright @ turns)[..., [0, 2, 1]]
    torch.testing.assert_close(facing(turned), facing(joints), atol=1e-5, rtol=0)
    across = facing(joints)[:, 4] - facing(joints)[:, 1]
    torch.testing.assert_close(across[:, 2], torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(facing(joints).norm(dim=-1), joints.norm(dim=-1))


def test_ridge_equals_its_normal_equations() -> None:
    x, poses, new = random(30, 6), random(30, 17, 3, seed=1), random(5, 6, seed=2)
    penalty = 0.1
    centred, flat = (x - x.mean(dim=0)).double(), (poses - poses.mean(dim=0)).flatten(1).double()
    strength = penalty * centred.square().sum() / len(x)
    weights = torch.linalg.solve(centred.T @ centred + strength * torch.eye(6).double(), centred.T @ flat)
    expected = ((new - x.mean(dim=0)).double() @ weights).unflatten(1, (17, 3)) + poses.mean(dim=0)
    torch.testing.assert_close(ridge(x, poses, new, penalty), expected, atol=1e-6, rtol=1e-5)


def test_a_linear_pose_is_read_out_and_noise_is_not() -> None:
    x, weights = random(300, 8), random(8, 51, seed=1)
    poses = (x @ weights).unflatten(1, (17, 3))
    assert read_out_mm(x[:200], poses[:200], x[200:], poses[200:]) < 0.01 * error_mm(0 * poses, poses)
    noise = random(300, 8, seed=3)
    unread = read_out_mm(noise[:200], poses[:200], noise[200:], poses[200:])
    assert unread > 0.9 * error_mm(0 * poses, poses)


def test_table_shows_mean_and_range() -> None:
    arms = ("from scratch", "pre-trained, all carried over", "pre-trained, last projections drawn anew")
    held = {"features": "random", "windows": 400, "between_cameras": 0.5, "camera_mm": 80.0, "without_heading_mm": 90.0}
    report = {
        "machine": {"cpu": "a processor", "cores_available": 1, "python": "3", "packages": {}},
        "data": "few",
        "pretraining": {"steps": 7},
        "pretraining_log": {"nearest": 0.5},
        "steps": 3,
        "rows": [{"windows": 60, "arm": arm, "mpjpe_mm": [90.0, 100.0, 113.0]} for arm in arms],
        "features": [held],
    }
    table = markdown(report)
    assert "| from scratch | 101.0 (90.0 to 113.0) |" in table
    assert "| random | 50 % | 80.0 | 90.0 |" in table
