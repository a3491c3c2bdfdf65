"""VideoPose3D: its forms give the same, its residuals take the right frames, and files of every published size are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from poseedge.errors import PoseedgeError
from poseedge.models import create, load_checkpoint
from poseedge.models.videopose3d import VideoPose3D
from tests.support import golden
from tests.support.networks import drawn

CASES = ["videopose3d", "videopose3d-causal", "videopose3d-strided"]


def network(name: str) -> VideoPose3D:
    made = golden.network(name)
    assert isinstance(made, VideoPose3D)
    return made


def small(**config: Any) -> VideoPose3D:
    made = drawn("videopose3d", **{"filter_widths": [3, 5, 3], "channels": 16} | config)
    assert isinstance(made, VideoPose3D)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_stage_equals_the_published_network(name: str) -> None:
    stored, made = golden.arrays(name), network(name)
    with torch.no_grad():
        stages = list(made.stages(torch.from_numpy(stored["input"]).flatten(2).transpose(1, 2), made.strided))
    labels = ["after_expand", *(f"after_block{i}" for i in range(len(stages) - 1))]
    assert labels == [label for label in stored if label.startswith("after_")]
    for label, stage in zip(labels, stages, strict=True):
        found = stage[0, :: stage.shape[1] // len(stored[label])]
        np.testing.assert_allclose(found, stored[label], rtol=1e-4, atol=1e-5, err_msg=label)


@pytest.mark.parametrize("causal", [False, True])
def test_strided_and_dilated_form_give_the_same_pose_of_a_window(causal: bool) -> None:
    made = small(causal=causal)
    windows = torch.randn(2, 45, 17, 2)
    with torch.no_grad():
        torch.testing.assert_close(made.poses(windows, strided=True), made.poses(windows, strided=False), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_dilated_form_gives_a_pose_for_every_window_of_a_sequence_and_the_strided_one_for_disjoint_windows(causal: bool) -> None:
    made = small(causal=causal)
    sequence = torch.randn(1, 135, 17, 2)
    with torch.no_grad():
        every = made.poses(sequence, strided=False)
        torch.testing.assert_close(made.poses(sequence, strided=True), every[:, ::45], rtol=1e-5, atol=1e-6)
        alone = torch.cat([made.lift(sequence[:, start : start + 45]) for start in range(91)], dim=1)
    torch.testing.assert_close(alone, every, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("causal", "shown"), [(False, 22), (True, 44)])
def test_pose_belongs_to_the_frame_that_its_shortcuts_lead_to(causal: bool, shown: int) -> None:
    made = small(causal=causal)
    for layer in made.layers_bn.modules():  # without the convolutions' part there are shortcuts alone
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    window = torch.randn(1, 45, 17, 2, requires_grad=True)
    made.lift(window).sum().backward()
    assert window.grad is not None
    read = window.grad.abs().sum(dim=(0, 2, 3)).nonzero().flatten().tolist()
    first = shown - 2 if causal else shown - 1  # the first layer's filter lies around the frame, or before it
    assert read == [first, first + 1, first + 2]
    assert made.output_frames == (shown,)


@pytest.mark.parametrize(
    ("widths", "inputs", "joints"),
    [([3, 3, 3, 3, 3], 2, 17), ([3, 3, 3, 3], 2, 17), ([3, 3, 3], 2, 15), ([1, 1, 1, 1, 1], 2, 17), ([3, 3, 3, 3, 3], 3, 17)],
)
def test_file_of_every_published_size_is_recognised(widths: list[int], inputs: int, joints: int, tmp_path: Path) -> None:
    made = small(filter_widths=widths, in_features=inputs, n_joints=joints, out_joints=joints)
    content = {
        "epoch": 80,
        "lr": 1e-3,
        "random_state": np.random.RandomState(1234),
        "optimizer": torch.optim.Adam(made.parameters(), amsgrad=True).state_dict(),
        "model_pos": made.state_dict(),
        "model_traj": small(out_joints=1).state_dict(),
        "random_state_semi": None,
    }
    torch.save(content, tmp_path / "epoch_80.bin")
    loaded = load_checkpoint(tmp_path / "epoch_80.bin")
    assert loaded.name == "videopose3d"
    assert loaded.config == made.config
    assert all(torch.equal(value, made.state_dict()[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("config", "said"),
    [({"filter_widths": [3, 4]}, "odd filter_widths"), ({"filter_widths": []}, "odd filter_widths"), ({"dense": True}, "dense")],
)
def test_impossible_configurations_are_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(PoseedgeError, match=said):
        create("videopose3d", **config)


def test_dropout_is_the_published_one() -> None:
    assert [part.p for part in small().modules() if isinstance(part, nn.Dropout)] == [0.25]
