"""MixSTE and its pruned variants, beyond the output that ``test_golden`` compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseedge.arrays import AnyArray
from poseedge.data.windows import mirror_joints, mirror_keypoints
from poseedge.errors import CheckpointError
from poseedge.models import create, load_checkpoint
from poseedge.models.checkpoints import save_checkpoint
from poseedge.models.layers import DropPath
from poseedge.models.mixste import TpcMixSTE
from poseedge.models.pruning import DensityPeaks, PrunedNetwork
from poseedge.models.registry import network_class
from tests.support import golden

STAGES = {
    "after_embed": "Spatial_patch_to_embedding",
    "after_ste0": "STEblocks.0",
    "after_snorm0": "Spatial_norm",
    "after_tte0": "TTEblocks.0",
    "after_tnorm0": "Temporal_norm",
}
CASES = [name for name in golden.CASES if golden.case(name)["model"].endswith("mixste")]
PRUNED = [name for name in CASES if name not in ("mixste", "mixste-f27")]
SMALL = {"frames": 9, "channel": 16, "d_hid": 32, "depth": 2}


@pytest.mark.parametrize("name", ["mixste-f27", "hot_mixste-f27", "tpc_mixste-f27"])
def test_first_level_equals_the_published_one(name: str) -> None:
    stored = golden.arrays(name)
    outputs = golden.first_outputs(golden.network(name), STAGES.values(), torch.from_numpy(stored["input"]))
    for key, module in STAGES.items():
        temporal = module.startswith("T")  # stored with joints first
        wanted = stored[key].swapaxes(0, 1) if temporal else stored[key]
        close(golden.sampled(outputs[module][0], wanted), wanted)


@pytest.mark.parametrize("name", PRUNED)
def test_selection_on_the_published_features(name: str) -> None:
    stored, config = golden.arrays(name), golden.case(name)["config"]
    pruning = DensityPeaks(config["frames"], config["token_num"], keep_center=name.startswith("tpc"))
    np.testing.assert_array_equal(pruning(torch.from_numpy(stored["pooled"])), stored["index"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hot_mixste-f27", "tpc_mixste-f27", "hot_mixste"])
def test_selection_on_the_network_s_own_features(name: str) -> None:
    network, stored = golden.network(name), golden.arrays(name)
    assert isinstance(network, PrunedNetwork)
    with torch.no_grad():
        stream = network.front(torch.from_numpy(stored["input"]), network.level)
        close(network.pooled(stream).numpy(), stored["pooled"])
        np.testing.assert_array_equal(network.choose(stream), stored["index"])


@pytest.mark.parametrize("name", ["hot_mixste-f27", "tpc_mixste-f27"])
def test_output_for_the_published_selection(name: str) -> None:
    stored = golden.arrays(name)
    with torch.no_grad():
        output = golden.network(name)(torch.from_numpy(stored["input"]), torch.from_numpy(stored["index"]))
    close(output.numpy(), stored["output"])


def test_flip_test_reuses_the_selection() -> None:
    network, stored = golden.network("tpc_mixste-f27"), golden.arrays("tpc_mixste-f27")
    assert isinstance(network, TpcMixSTE)
    x, mirrored = torch.from_numpy(stored["input"]), torch.from_numpy(mirror_keypoints(stored["input"]))
    np.testing.assert_array_equal(mirrored, stored["input_flip"])
    with torch.no_grad():
        index = network.select(x)
        close(network(mirrored, index).numpy(), stored["output_flip"])
        pose, mirrored_pose = network.center_pose(x, index).numpy(), network.center_pose(mirrored, index).numpy()
    mean = (pose + mirror_joints(mirrored_pose)) / 2
    mean[:, :, 0] = 0
    close(mean, stored["protocol"])


@pytest.mark.parametrize(("name", "count"), [("mixste", 33_783_811), ("hot_mixste", 35_000_323), ("tpc_mixste", 33_783_811)])
def test_parameter_count(name: str, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in create(name).parameters()) == count


@pytest.mark.parametrize("name", CASES)
def test_configuration_is_recognised_from_shapes(name: str) -> None:
    facts = golden.case(name)
    told = {key: value for key, value in facts["config"].items() if key not in untold(name)}
    config = network_class(facts["model"]).infer_config(golden.shapes(name))
    assert config is not None
    assert told.items() <= config.items()
    assert config.keys() == facts["config"].keys()


def untold(name: str) -> set[str]:
    """Settings that leave no trace in shapes, where the case departs from what is published."""
    return {"tpc_mixste-f27": {"token_num"}, "hot_mixste-f27": {"layer_index"}}.get(name, set())


def test_variants_are_told_apart() -> None:
    plain, hot = golden.shapes("mixste-f27"), golden.shapes("hot_mixste-f27")
    assert network_class("hot_mixste").infer_config(plain) is None
    assert network_class("mixste").infer_config(hot) is None
    assert network_class("tpc_mixste").infer_config(hot) is None
    assert network_class("mixste").infer_config(golden.shapes("motionbert-f27")) is None


def test_a_published_file_with_mixste_s_keys_is_mixste_unless_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(golden.state_dict(golden.case("mixste-f27")), path)
    assert load_checkpoint(path).name == "mixste"
    pruned = load_checkpoint(path, name="tpc_mixste")
    assert (pruned.name, pruned.config["token_num"], pruned.config["layer_index"]) == ("tpc_mixste", 7, 3)
    with pytest.raises(CheckpointError, match="holds mixste, not hot_mixste"):
        load_checkpoint(path, name="hot_mixste")


def test_a_checkpoint_of_ours_keeps_its_name_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    save_checkpoint(path, create("tpc_mixste", **SMALL, token_num=4, layer_index=1), record={})
    loaded = load_checkpoint(path)
    assert (loaded.name, loaded.config["token_num"], loaded.config["layer_index"]) == ("tpc_mixste", 4, 1)
    assert load_checkpoint(path, name="mixste").name == "mixste"


def test_stochastic_depth_drops_frames_in_spatial_and_joints_in_temporal_blocks() -> None:
    network = create("mixste", **SMALL).train()
    for blocks, axis in (("STEblocks", 3), ("TTEblocks", 1)):  # the axis that lives or dies together
        drop_path = network.get_submodule(f"{blocks}.1.drop_path")
        assert isinstance(drop_path, DropPath)
        drop_path.rate = 0.5
        torch.manual_seed(0)
        kept = drop_path(torch.ones(2, 9, 17, 16))
        assert kept.amin(dim=axis).equal(kept.amax(dim=axis))
        assert set(kept.unique().tolist()) == {0.0, 2.0}
        lives = kept[:, :, 0, 0] if blocks == "STEblocks" else kept[:, 0, :, 0]
        assert len(lives.unique()) == 2


@pytest.mark.parametrize("name", ["mixste", "hot_mixste", "tpc_mixste"])
def test_every_parameter_learns(name: str) -> None:
    tokens = {} if name == "mixste" else {"token_num": 3, "layer_index": 1}
    network = create(name, **SMALL, **tokens).train()
    network(torch.randn(2, 9, 17, 2)).square().sum().backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


def close(actual: AnyArray, desired: AnyArray) -> None:
    np.testing.assert_allclose(actual, desired, rtol=1e-4, atol=1e-5)
