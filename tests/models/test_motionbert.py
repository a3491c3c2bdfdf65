"""MotionBERT and its pruned variant, beyond the output that ``test_golden`` compares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseedge.arrays import AnyArray
from poseedge.models import create
from poseedge.models.motionbert import HotMotionBERT, MotionBERT
from poseedge.models.pruning import DensityPeaks
from poseedge.models.registry import network_class
from tests.support import golden

pytestmark = pytest.mark.slow

STAGES = {"after_embed": "joints_embed", "after_st0": "blocks_st.0", "after_ts0": "blocks_ts.0", "after_norm": "norm"}
CASES = [name for name in golden.CASES if golden.case(name)["model"].endswith("motionbert")]
PRUNED = ["hot_motionbert", "hot_motionbert-f27"]


@pytest.mark.parametrize("name", ["motionbert-f27", *PRUNED])
def test_stages_equal_the_published_ones(name: str) -> None:
    stored = golden.arrays(name)
    outputs = golden.first_outputs(golden.network(name), STAGES.values(), torch.from_numpy(stored["input"]))
    for key, module in STAGES.items():
        close(golden.sampled(outputs[module][0], stored[key]), stored[key])


@pytest.mark.parametrize("name", ["motionbert", "hot_motionbert"])
def test_training_starts_where_the_published_code_starts(name: str) -> None:
    torch.manual_seed(0)
    start = create(name).state_dict()
    matrices = {key for key in start if key.endswith("weight") and "norm" not in key and "ts_attn" not in key}
    for key in matrices | {"temp_embed", "pos_embed"}:
        assert start[key].std() == pytest.approx(0.02, rel=0.1), key
    for key in {"x_token", "pos_embed_token", "cross_attention.proj.bias", "head.bias"} & start.keys():
        assert not start[key].any(), key


@pytest.mark.parametrize("name", PRUNED)
def test_selection_on_the_published_features(name: str) -> None:
    stored, config = golden.arrays(name), golden.case(name)["config"]
    pruning = DensityPeaks(config["maxlen"], config["token_num"], keep_center=False)
    np.testing.assert_array_equal(pruning(torch.from_numpy(stored["pooled"])), stored["index"])


@pytest.mark.parametrize("name", PRUNED)
def test_selection_on_the_network_s_own_features(name: str) -> None:
    network, stored = golden.network(name), golden.arrays(name)
    assert isinstance(network, HotMotionBERT)
    with torch.no_grad():
        stream = network.front(torch.from_numpy(stored["input"]), network.level)
        close(network.pooled(stream).numpy(), stored["pooled"])
        np.testing.assert_array_equal(network.choose(stream), stored["index"])


def test_output_for_the_published_selection() -> None:
    stored = golden.arrays("hot_motionbert-f27")
    with torch.no_grad():
        output = golden.network("hot_motionbert-f27")(torch.from_numpy(stored["input"]), torch.from_numpy(stored["index"]))
    close(output.numpy(), stored["output"])


def test_a_shorter_window_takes_the_first_positions() -> None:
    long, short = (
        golden.network("motionbert-f27"),
        create("motionbert", **golden.case("motionbert-f27")["config"] | {"maxlen": 9}),
    )
    state = long.state_dict()
    short.load_state_dict(state | {"temp_embed": state["temp_embed"][:, :9]})
    x = torch.from_numpy(golden.arrays("motionbert-f27")["input"])[:, :9]
    with torch.no_grad():
        assert torch.equal(long(x), short(x))


def test_parameter_counts_of_the_two_sizes_and_the_pruned_variant() -> None:
    with torch.device("meta"):
        assert parameters(create("motionbert")) == 16_001_549
        assert parameters(create("motionbert", dim_feat=512, mlp_ratio=2)) == 42_466_317
        assert parameters(create("hot_motionbert")) == 16_347_661


def test_it_takes_a_confidence_with_each_keypoint() -> None:
    assert MotionBERT.in_channels == HotMotionBERT.in_channels == 3


def test_the_streams_count_alike_before_training() -> None:
    network = create("motionbert", dim_feat=16, depth=1, maxlen=9)
    x = torch.randn(1, 9, 17, 3)
    outputs = golden.first_outputs(network, ["blocks_st.0", "blocks_ts.0"], x)
    assert isinstance(network, MotionBERT)
    fused = network.front(x, 1)
    torch.testing.assert_close(fused, (outputs["blocks_st.0"] + outputs["blocks_ts.0"]) / 2)


@pytest.mark.parametrize("name", CASES)
def test_configuration_is_recognised_from_shapes(name: str) -> None:
    facts = golden.case(name)
    assert network_class(facts["model"]).infer_config(golden.shapes(name)) == facts["config"]
    other = "motionbert" if facts["model"] == "hot_motionbert" else "hot_motionbert"
    assert network_class(other).infer_config(golden.shapes(name)) is None


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def close(actual: AnyArray, desired: AnyArray) -> None:
    np.testing.assert_allclose(actual, desired, rtol=1e-4, atol=1e-5)
