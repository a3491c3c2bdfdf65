"""HTNet and its refinement layer."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from poseedge.errors import PoseedgeError
from poseedge.models import create
from poseedge.models.htnet import HTNet, HTNetRefine
from poseedge.models.layers import DropPath
from tests.support import golden
from tests.support.capture import intermediates, parameter_count

INSIDE = {
    "embed": "patch_embed",
    "block0_lgc": "Hiremixer.blocks.0.lgc",
    "block0_ipc": "Hiremixer.blocks.0.ipc",
    "block0_gbi": "Hiremixer.blocks.0.gbi",
    "after_block0": "Hiremixer.blocks.0",
    "after_block1": "Hiremixer.blocks.1",
    "after_block2": "Hiremixer.blocks.2",
    "norm": "Hiremixer",
}


def test_every_stage_equals_the_published_network() -> None:
    stored = golden.arrays("htnet")
    for label, value in intermediates(golden.network("htnet"), INSIDE, stored["input"]).items():
        np.testing.assert_allclose(value, stored[label], rtol=1e-4, atol=1e-5, err_msg=label)


def test_sizes_are_those_of_the_published_networks() -> None:
    assert parameter_count(create("htnet")) == 3_048_489
    assert parameter_count(create("htnet_refine")) == 140_322


@pytest.mark.parametrize("name", ["htnet", "htnet-small"])
def test_shapes_tell_the_configuration_except_the_frames(name: str) -> None:
    facts = golden.case(name)
    inferred = HTNet.infer_config(golden.shapes(name))
    assert inferred is not None
    assert create("htnet", **inferred).config == {**facts["config"], "frames": 1}


def test_shapes_tell_the_refinement_layer() -> None:
    inferred = HTNetRefine.infer_config(golden.shapes("htnet-refine"))
    assert inferred is not None
    assert create("htnet_refine", **inferred).config == golden.case("htnet-refine")["config"]


def test_regularisation_is_the_published_one() -> None:
    network = create("htnet")
    blocks = network.get_submodule("Hiremixer.blocks")
    rates = [{part.rate for part in block.modules() if isinstance(part, DropPath)} for block in blocks.children()]
    assert rates == [{0.1}, {0.2}, {0.3}]
    assert {part.p for part in network.modules() if isinstance(part, nn.Dropout)} == {0.1}


@pytest.mark.parametrize("wrong", [{"n_joints": 16}, {"channel": 100}])
def test_impossible_configurations_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(PoseedgeError, match="htnet"):
        create("htnet", **wrong)
