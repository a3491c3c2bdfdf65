"""What MHFormer's fold alone promises."""

from __future__ import annotations

import pytest

from tests.support.networks import assert_folded_equals_plain, drawn, lifted, lifting, windows


@pytest.mark.parametrize("layers", [1, 2])
def test_whatever_its_depth_the_folded_network_equals_the_plain_one(layers: int) -> None:
    network = drawn("mhformer", frames=36, channel=16, d_hid=32, layers=layers)
    assert_folded_equals_plain(network, windows(network, 2))


@pytest.mark.parametrize("name", ["mhformer-27", "tpc_mhformer-27"])
def test_the_pose_that_is_lifted_is_the_centre_frame_s(name: str) -> None:
    network = lifting(name)
    assert network.output_frames == (13,)
    assert lifted(network, windows(network, 2)).shape == (2, 1, 17, 3)
