"""What MixSTE's fold alone promises."""

from __future__ import annotations

import pytest

from tests.support.networks import assert_folded_equals_plain, drawn, exported, windows


@pytest.mark.parametrize("name", ["hot_mixste", "tpc_mixste"])
def test_network_that_is_cut_behind_its_last_block_folds_too(name: str) -> None:
    network = drawn(name, frames=9, channel=16, d_hid=32, depth=3, token_num=4, layer_index=3)
    assert_folded_equals_plain(network, windows(network, 2))


def test_last_temporal_block_looks_from_the_centre_alone() -> None:
    graph = exported("tpc_mixste-f27", 17)
    softmaxes = [node for node in graph.nodes if node.op_type == "Softmax"]
    assert graph.shapes[softmaxes[-1].output[0]] == (1, 17 * 8, 1, 9)
    assert graph.shapes[softmaxes[-3].output[0]] == (1, 17 * 8, 27, 27)
