"""Loss terms are those of the published code, and of the metrics of the same name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from poseedge import metrics
from poseedge.errors import PoseedgeError
from poseedge.training import losses, recipe
from tests.support import golden

NAMES = ["loss-mixste", "loss-motionbert"]


def poses(name: str) -> tuple[Tensor, Tensor]:
    stored = golden.arrays(name)
    return torch.from_numpy(stored["pred"]).double(), torch.from_numpy(stored["target"]).double()


@pytest.mark.parametrize("name", NAMES)
def test_terms_are_those_of_the_reference(name: str) -> None:
    facts = golden.case(name)
    predicted, target = poses(name)
    wanted = {key: value for key, value in facts["expected"].items() if key != "total"}
    assert {key: losses.TERMS[key](predicted, target).item() for key in wanted} == pytest.approx(wanted, rel=facts["rtol"])


@pytest.mark.parametrize("name", NAMES)
def test_recipe_weighs_the_terms_as_the_reference(name: str) -> None:
    facts = golden.case(name)
    found = losses.total(recipe.load_training_recipe(facts["model"]).loss, *poses(name)).item()
    assert found == pytest.approx(facts["expected"]["total"], rel=facts["rtol"])


@pytest.mark.parametrize("name", ["mpjpe", "n_mpjpe", "p_mpjpe"])
def test_term_equals_the_metric_of_its_name(name: str) -> None:
    predicted, target = poses("loss-motionbert")
    predicted[0] = target[0] * torch.tensor([-1.0, 1, 1])  # a mirrored pose is not aligned by reflection
    flat = [x.flatten(0, 1).numpy() for x in (predicted, target)]
    assert losses.TERMS[name](predicted, target).item() == pytest.approx(getattr(metrics, name)(*flat), rel=1e-5)


def test_velocity_equals_the_metric_sequence_by_sequence() -> None:
    predicted, target = poses("loss-mixste")
    wanted = np.mean([metrics.mpjve(p.numpy(), t.numpy()) for p, t in zip(predicted, target, strict=True)])
    assert losses.velocity(predicted, target).item() == pytest.approx(wanted)


@pytest.mark.parametrize("name", list(losses.TERMS))
def test_a_small_step_down_the_gradient_lowers_the_term(name: str) -> None:
    predicted, target = poses("loss-motionbert")
    predicted.requires_grad_()
    before = losses.TERMS[name](predicted, target)
    (slope,) = torch.autograd.grad(before, predicted)
    after = losses.TERMS[name](predicted - 1e-3 * slope / slope.norm(), target)
    assert after < before


def test_term_of_weight_zero_is_left_out() -> None:
    predicted, target = (x[:, :1] for x in poses("loss-mixste"))
    assert losses.total({"mpjpe": 2.0, "velocity": 0.0}, predicted, target) == 2 * losses.mpjpe(predicted, target)


def test_term_of_motion_is_refused_for_a_single_frame() -> None:
    predicted, target = (x[:, :1] for x in poses("loss-mixste"))
    with pytest.raises(PoseedgeError, match="velocity compare frames, and the network gives one") as caught:
        losses.total({"mpjpe": 1.0, "velocity": 1.0}, predicted, target)
    assert caught.value.hint == "leave them out: --set loss.velocity=0"


def test_poses_of_other_frames_than_the_targets_are_refused() -> None:
    predicted, target = poses("loss-mixste")
    with pytest.raises(PoseedgeError, match=r"poses \(2, 3, 17, 3\) for targets \(2, 27, 17, 3\)"):
        losses.total({"mpjpe": 1.0}, predicted[:, :3], target)


def test_recipes_know_the_terms_that_there_are() -> None:
    assert list(losses.TERMS) == list(recipe.TERMS)
