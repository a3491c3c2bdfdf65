"""Training learns, resumes to the same result bit for bit, and stops at the first loss that is not finite."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from poseedge.errors import PoseedgeError
from poseedge.models import create, load_checkpoint
from poseedge.models.layers import DropPath
from poseedge.models.registry import LiftingNetwork
from poseedge.training.loop import TrainingConfig, average, learning_rate, mpjpe_loss, train, without_regularization
from poseedge.training.views import ViewSampler

FRAMES, KEPT = 9, 3
QUICK = TrainingConfig(steps=4, batch=4, warmup=1, bf16=False, evaluate_every=2)
State = dict[str, Tensor]


class FewWindows:
    """Draws from eight fixed windows whose poses follow from their keypoints."""

    def __init__(self, spoil: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(5)
        self.keypoints = torch.rand(8, FRAMES, 17, 2, generator=generator) - 0.5
        depth = self.keypoints.sum(-1, keepdim=True)
        self.target = torch.cat([self.keypoints, depth], dim=-1)[:, 3:6] + spoil
        self.target = self.target - self.target[:, :, :1]

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(8, (size,), generator=generator)
        return self.keypoints[chosen], self.target[chosen]


class Interrupted(Exception):
    """The machine was switched off."""


def network() -> LiftingNetwork:
    torch.manual_seed(0)
    made = create("nanohtnet", frames=FRAMES, keep_frames=KEPT, channel=48, layers=1, d_hid=32, hid=4)
    assert isinstance(made, LiftingNetwork)
    return made


def run(
    folder: Path,
    config: TrainingConfig = QUICK,
    evaluate: Callable[[LiftingNetwork], dict[str, float]] = lambda averaged: {"mpjpe_mm": 1.0},
    spoil: float = 0.0,
    said: list[str] | None = None,
) -> State:
    """Train and return the averaged weights."""
    folder.mkdir(exist_ok=True)
    report = (said if said is not None else []).append
    trained = train(network(), cast(ViewSampler, FewWindows(spoil)), config, folder, evaluate, report)
    return dict(trained.state_dict())


def assert_same(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def breaks_at(evaluation: int) -> Callable[[LiftingNetwork], dict[str, float]]:
    """Return an evaluation that the n-th time is broken off."""
    calls: list[int] = []

    def evaluate(averaged: LiftingNetwork) -> dict[str, float]:
        calls.append(1)
        if len(calls) == evaluation:
            raise Interrupted
        return {"mpjpe_mm": 1.0}

    return evaluate


@pytest.mark.parametrize("regularize", [False, True])
def test_resuming_gives_the_same_weights_bit_for_bit(tmp_path: Path, regularize: bool) -> None:
    config = replace(QUICK, regularize=regularize)
    with pytest.raises(Interrupted):
        run(tmp_path / "broken", config, breaks_at(2))
    said: list[str] = []
    resumed = run(tmp_path / "broken", config, said=said)
    assert said[0] == "resuming at step 2"
    assert_same(resumed, run(tmp_path / "whole", config))


def test_training_twice_gives_the_same_weights(tmp_path: Path) -> None:
    assert_same(run(tmp_path / "one"), run(tmp_path / "two"))


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one, other = run(tmp_path / "one"), run(tmp_path / "two", replace(QUICK, seed=2))
    assert not torch.equal(one["fc.weight"], other["fc.weight"])


def test_finished_training_has_nothing_left_to_do(tmp_path: Path) -> None:
    first = run(tmp_path)
    said: list[str] = []
    assert_same(run(tmp_path, said=said), first)
    assert said == ["resuming at step 4"]


def test_last_checkpoint_is_the_averaged_network_with_its_record(tmp_path: Path) -> None:
    weights = run(tmp_path)
    assert_same(dict(load_checkpoint(tmp_path / "last.pth").state_dict()), weights)
    record = torch.load(tmp_path / "last.pth", weights_only=True)["record"]
    assert (record["step"], record["metrics"], record["training"]["batch"]) == (4, {"mpjpe_mm": 1.0}, 4)


def test_log_has_a_row_for_every_evaluation(tmp_path: Path) -> None:
    run(tmp_path)
    with (tmp_path / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert rows[0].keys() == {"step", "loss_mm", "mpjpe_mm"}


def test_a_few_windows_are_learned_by_heart(tmp_path: Path) -> None:
    windows = FewWindows()

    def evaluate(averaged: LiftingNetwork) -> dict[str, float]:
        with torch.no_grad():
            return {"mpjpe_mm": 1000 * mpjpe_loss(averaged(windows.keypoints), windows.target).item()}

    config = TrainingConfig(steps=100, batch=8, lr=5e-3, warmup=20, average=0.95, bf16=False, evaluate_every=100)
    run(tmp_path, config, evaluate)
    with (tmp_path / "log.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["mpjpe_mm"]) < 30  # of 860 before


def test_half_precision_forward_keeps_weights_in_float32(tmp_path: Path) -> None:
    weights = run(tmp_path, replace(QUICK, bf16=True))
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_loss_that_is_not_finite_is_an_error_with_its_step(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="the loss became nan at step 0") as caught:
        run(tmp_path, spoil=float("nan"))
    assert caught.value.hint


def test_broken_training_leaves_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError):
        run(tmp_path, spoil=float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_state_of_another_network_is_told(tmp_path: Path) -> None:
    run(tmp_path)
    other = create("nanohtnet", frames=FRAMES, keep_frames=KEPT, channel=96, layers=1, d_hid=32, hid=4)
    assert isinstance(other, LiftingNetwork)
    with pytest.raises(PoseedgeError, match=r"state\.pth"):
        train(other, cast(ViewSampler, FewWindows()), QUICK, tmp_path, lambda _: {}, lambda _: None)


def test_learning_rate_warms_up_in_equal_steps() -> None:
    config = TrainingConfig(lr=1.0, warmup=4, steps=100)
    assert [learning_rate(step, config) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_learning_rate_falls_along_a_cosine_to_its_smallest() -> None:
    config = TrainingConfig(lr=1.0, lr_min=0.1, warmup=10, steps=110)
    assert learning_rate(10, config) == 1.0
    assert learning_rate(60, config) == pytest.approx(0.55)
    assert learning_rate(110, config) == pytest.approx(0.1)
    rates = [learning_rate(step, config) for step in range(10, 111)]
    assert rates == sorted(rates, reverse=True)


def test_learning_rate_stays_at_its_smallest_beyond_the_end() -> None:
    assert learning_rate(500, TrainingConfig(lr=1.0, lr_min=0.1, warmup=10, steps=110)) == pytest.approx(0.1)


def test_training_that_is_shorter_than_its_warm_up_has_a_rate() -> None:
    assert learning_rate(5, TrainingConfig(lr=1.0, warmup=10, steps=5)) == pytest.approx(0.6)


def test_loss_is_the_mean_joint_distance() -> None:
    target = torch.zeros(2, 3, 17, 3)
    assert mpjpe_loss(target + torch.tensor([0.03, 0.0, 0.04]), target).item() == pytest.approx(0.05)


def test_average_moves_by_one_minus_the_decay() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    wanted = 0.9 * one.weight.detach() + 0.1 * other.weight.detach()
    average(one, other, 0.9)
    torch.testing.assert_close(one.weight.detach(), wanted)


def test_regularization_is_switched_off_everywhere() -> None:
    made = network()
    without_regularization(made)
    rates = [m.p for m in made.modules() if isinstance(m, nn.Dropout)]
    rates += [m.rate for m in made.modules() if isinstance(m, DropPath)]
    assert len(rates) > 5
    assert set(rates) == {0.0}
