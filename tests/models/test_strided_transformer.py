"""The Strided Transformer and its refine module."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poseedge.arrays import AnyArray
from poseedge.errors import PoseedgeError
from poseedge.models import create
from poseedge.models.strided_transformer import StridedTransformer, StridedTransformerRefine, likely_strides
from poseedge.skeleton import MIRROR
from tests.support import golden
from tests.support.capture import intermediates, parameter_count

CASES = ["strided_transformer", "strided_transformer-27", "strided_transformer-81x4"]
INSIDE = {
    "after_vte": "Transformer",
    "after_ste0": "Transformer_reduce.model.layers.0",
    "after_ste1": "Transformer_reduce.model.layers.1",
    "after_ste2": "Transformer_reduce.model.layers.2",
}


def lifter(name: str) -> StridedTransformer:
    network = golden.network(name)
    assert isinstance(network, StridedTransformer)
    return network


def close(ours: Tensor | AnyArray, stored: AnyArray, label: str = "") -> None:
    np.testing.assert_allclose(ours, stored, rtol=1e-4, atol=1e-5, err_msg=label)


def test_every_stage_equals_the_published_network() -> None:
    stored = golden.arrays("strided_transformer")
    for label, value in intermediates(lifter("strided_transformer"), INSIDE, stored["input"]).items():
        close(value, stored[label], label)


@pytest.mark.parametrize("name", CASES)
def test_training_sees_the_centre_pose_and_the_sequence(name: str) -> None:
    stored = golden.arrays(name)
    with torch.no_grad():
        centre, sequence = lifter(name).forward_with_sequence(torch.from_numpy(stored["input"]))
    close(centre, stored["output"])
    close(sequence, stored["output_vte"])


@pytest.mark.parametrize("name", CASES[1:])
def test_flip_averaging_with_the_root_at_zero_equals_the_published_protocol(name: str) -> None:
    stored, network = golden.arrays(name), lifter(name)
    keypoints = torch.from_numpy(stored["input"])
    with torch.no_grad():
        pose, mirrored = network(keypoints), network(keypoints[:, :, MIRROR] * torch.tensor([-1.0, 1.0]))
    average = (pose + mirrored[:, :, MIRROR] * torch.tensor([-1.0, 1.0, 1.0])) / 2
    close(average * (torch.arange(17) > 0)[:, None], stored["protocol"])


@pytest.mark.parametrize(
    ("frames", "strides", "parameters"),
    [
        (27, [3, 3, 3], 4_014_438),
        (81, [3, 3, 9], 4_069_734),
        (243, [3, 9, 9], 4_235_622),
        (351, [3, 9, 13], 4_346_214),
    ],
)
def test_sizes_are_those_of_the_published_networks(frames: int, strides: list[int], parameters: int) -> None:
    network = create("strided_transformer", frames=frames, stride_num=strides)
    assert isinstance(network, StridedTransformer)
    assert parameter_count(network) == parameters
    assert network.output_frames == ((frames - 1) // 2,)


def test_the_refine_module_has_the_published_size() -> None:
    assert parameter_count(create("strided_transformer_refine")) == 140_322


@pytest.mark.parametrize("name", CASES)
def test_shapes_tell_the_configuration(name: str) -> None:
    assert StridedTransformer.infer_config(golden.shapes(name)) == golden.case(name)["config"]


def test_shapes_tell_the_refine_module() -> None:
    inferred = StridedTransformerRefine.infer_config(golden.shapes("strided_transformer-refine"))
    assert inferred is not None
    assert create("strided_transformer_refine", **inferred).config == golden.case("strided_transformer-refine")["config"]


@pytest.mark.parametrize(
    ("frames", "strides"), [(27, [3, 3, 3]), (81, [3, 3, 9]), (81, [3, 3, 3, 3]), (243, [3, 9, 9]), (351, [3, 9, 13])]
)
def test_the_strides_in_use_follow_from_frames_and_their_number(frames: int, strides: list[int]) -> None:
    assert likely_strides(frames, len(strides)) == strides


def test_strides_that_leave_several_tokens_give_several_centre_poses() -> None:
    network = create("strided_transformer", frames=28, stride_num=[3, 3], channel=16, d_hid=16)
    assert isinstance(network, StridedTransformer)
    assert network.output_frames == (13, 13, 13, 13)
    assert network(torch.zeros(2, 28, 17, 2)).shape == (2, 4, 17, 3)


def test_dropout_is_the_published_one() -> None:
    network = create("strided_transformer", frames=27, stride_num=[3, 3, 3])
    rates = [part.p for part in network.modules() if isinstance(part, nn.Dropout)]
    assert rates == [0.25] + [0.1] * (len(rates) - 1)
    assert {part.p for part in create("strided_transformer_refine").modules() if isinstance(part, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("wrong", [{"n_joints": 16}, {"channel": 100}])
def test_impossible_configurations_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(PoseedgeError, match="strided_transformer"):
        create("strided_transformer", **wrong)
