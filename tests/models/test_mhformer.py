"""MHFormer and its pruned variant, beyond the output that ``test_golden`` compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseedge.arrays import AnyArray
from poseedge.data.windows import mirror_joints, mirror_keypoints
from poseedge.errors import PoseedgeError
from poseedge.models import create, load_checkpoint
from poseedge.models.mhformer import MHFormer, TpcMHFormer
from poseedge.models.registry import network_class
from tests.support import golden

STAGES = {
    "after_shr0_mid": "Transformer_hypothesis.SHR_blocks.0",
    "after_shr1_mid": "Transformer_hypothesis.SHR_blocks.1",
    "after_chi_mid": "Transformer_hypothesis.CHI_blocks.0",
    "after_norm_mid": "Transformer_hypothesis.norm",
}
PLAIN = ["mhformer-27", "mhformer-81", "mhformer"]
PRUNED = ["tpc_mhformer-27", "tpc_mhformer-81", "tpc_mhformer"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mhformer-27", "mhformer"])
def test_hypotheses_equal_the_published_ones(name: str) -> None:
    network, stored = golden.network(name), golden.arrays(name)
    assert isinstance(network, MHFormer)
    with torch.no_grad():
        hypotheses = network.hypotheses(torch.from_numpy(stored["input"]))
    for k, hypothesis in enumerate(hypotheses, start=1):
        close(hypothesis.numpy(), stored[f"mhg_x{k}"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mhformer-27", "mhformer"])
def test_blocks_equal_the_published_ones_at_the_centre(name: str) -> None:
    stored = golden.arrays(name)
    center = (stored["input"].shape[1] - 1) // 2
    outputs = golden.first_outputs(golden.network(name), STAGES.values(), torch.from_numpy(stored["input"]))
    for key, module in STAGES.items():
        close(outputs[module][:, center].reshape(stored[key].shape).numpy(), stored[key])


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_flip_test_at_the_centre(name: str) -> None:
    network, stored = golden.network(name), golden.arrays(name)
    center = (stored["input"].shape[1] - 1) // 2
    with torch.no_grad():
        poses = network(torch.from_numpy(stored["input"])).numpy()
        mirrored = network(torch.from_numpy(mirror_keypoints(stored["input"]))).numpy()
    close(flip_mean(poses, mirrored)[:, center : center + 1], stored["protocol"])


@pytest.mark.slow
@pytest.mark.parametrize("name", PRUNED)
def test_flip_test_reuses_the_selection(name: str) -> None:
    network, stored = golden.network(name), golden.arrays(name)
    assert isinstance(network, TpcMHFormer)
    x, mirrored = torch.from_numpy(stored["input"]), torch.from_numpy(mirror_keypoints(stored["input"]))
    with torch.no_grad():
        index = network.select(x)
        np.testing.assert_array_equal(index, stored["index"])
        pose = network.center_pose(x, index).numpy()
        close(pose[:, 0], stored["output_center"])
        close(flip_mean(pose, network.center_pose(mirrored, index).numpy()), stored["protocol"])


@pytest.mark.slow
@pytest.mark.parametrize("name", PRUNED)
def test_output_for_the_published_selection(name: str) -> None:
    stored = golden.arrays(name)
    with torch.no_grad():
        output = golden.network(name)(torch.from_numpy(stored["input"]), torch.from_numpy(stored["index"]))
    close(output.numpy(), stored["output"])


@pytest.mark.slow
@pytest.mark.parametrize("name", PRUNED)
def test_distances_and_scores_equal_the_published_ones(name: str) -> None:
    network, stored = golden.network(name), golden.arrays(name)
    assert isinstance(network, TpcMHFormer)
    assert network.pruning is not None
    with torch.no_grad():
        features = network.pooled(network.front(torch.from_numpy(stored["input"]), network.level))
        if "distance" in stored:
            close(network.pruning.squared_distance(features).sqrt().numpy(), stored["distance"])
        score = network.pruning.score(features).sqrt().numpy()
    ranked = np.arange(network.frames) != network.output_frames[0]
    close(score[:, ranked], stored["score"][:, ranked])


@pytest.mark.slow
@pytest.mark.parametrize(("frames", "count"), [(27, 19_184_517), (81, 19_837_545), (243, 25_165_077), (351, 31_516_125)])
def test_parameter_count(frames: int, count: int) -> None:
    with torch.device("meta"):
        for name in ("mhformer", "tpc_mhformer"):
            network = create(name, frames=frames, **({"token_num": 9} if name == "tpc_mhformer" else {}))
            assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize("name", PLAIN + PRUNED)
def test_configuration_is_recognised_from_shapes(name: str) -> None:
    facts = golden.case(name)
    config = network_class(facts["model"]).infer_config(golden.shapes(name))
    assert config is not None
    if name == "tpc_mhformer-81":  # cut before the first block, which shapes cannot tell
        config["layer_index"] = 0
    assert config == facts["config"]


def test_a_depth_other_than_three_is_recognised_and_never_pruned() -> None:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in create("mhformer", frames=9, layers=1).state_dict().items()}
    config = network_class("mhformer").infer_config(shapes)
    assert config is not None
    assert config["layers"] == 1
    assert network_class("tpc_mhformer").infer_config(shapes) is None
    assert network_class("mhformer").infer_config(golden.shapes("mixste-f27")) is None


@pytest.mark.slow
def test_a_published_file_with_mhformer_s_keys_is_mhformer_unless_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(golden.state_dict(golden.case("tpc_mhformer-27")), path)  # another order of the same keys
    assert load_checkpoint(path).name == "mhformer"
    assert load_checkpoint(path, name="tpc_mhformer").config["token_num"] == 9


@pytest.mark.parametrize("name", ["mhformer", "tpc_mhformer"])
def test_every_parameter_learns(name: str) -> None:
    network = create(name, frames=9, channel=16, d_hid=32, **({"token_num": 3} if name == "tpc_mhformer" else {})).train()
    network(torch.randn(2, 9, 17, 2)).square().sum().backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("config", [{"frames": 80}, {"channel": 100}, {"layers": 0}, {"out_joints": 16}])
def test_an_impossible_configuration_is_refused(config: dict[str, int]) -> None:
    with pytest.raises(PoseedgeError, match="mhformer"):
        create("mhformer", **config)


def flip_mean(poses: AnyArray, mirrored: AnyArray) -> AnyArray:
    """Average with the un-mirrored second pass; the root is zero by definition."""
    mean = (poses + mirror_joints(mirrored)) / 2
    mean[:, :, 0] = 0
    return mean


def close(actual: AnyArray, desired: AnyArray) -> None:
    np.testing.assert_allclose(actual, desired, rtol=1e-4, atol=1e-5)
