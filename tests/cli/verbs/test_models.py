"""``poseedge models --checkpoint``, and ``--set`` wherever a published checkpoint is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import golden
from tests.support.networks import drawn
from tests.support.user import Command, assert_refused

# How each repository writes its files: the name, the key of the weights, the prefix of theirs, what stands beside them.
PUBLISHED: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "videopose3d": ("epoch_80.bin", "model_pos", "", {"random_state": np.random.RandomState(1234), "model_traj": None}),
    "poseformerv2": ("27_243_45.2.bin", "model_pos", "module.", {"random_state": np.random.RandomState(1234)}),
    "motionagformer": ("best_epoch.pth.tr", "model", "module.", {"min_mpjpe": np.float64(38.4), "wandb_id": None}),
}


@pytest.fixture(scope="module")
def tpc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights of a pruned MixSTE as its authors' code writes them."""
    path = tmp_path_factory.mktemp("tpc") / "model.pth"
    torch.save({f"module.{key}": value for key, value in golden.network("tpc_mixste-f27").state_dict().items()}, path)
    return path


@pytest.mark.parametrize(
    ("name", "sizes", "assumed"),
    [
        ("videopose3d", {"filter_widths": [3, 3, 3], "channels": 16}, ["causal"]),
        ("poseformerv2", {"channel": 8, "depth": 1}, ["frames", "num_heads"]),
        ("motionagformer", {"n_layers": 2, "dim_feat": 16, "dim_rep": 24}, ["num_heads", "neighbour_num"]),
    ],
)
def test_file_of_each_repository_s_own_format_is_told(
    poseedge: Command, tmp_path: Path, name: str, sizes: dict[str, Any], assumed: list[str]
) -> None:
    made, (file, key, prefix, beside) = drawn(name, **sizes), PUBLISHED[name]
    weights = {f"{prefix}{weight}": value for weight, value in made.state_dict().items()}
    optimizer = torch.optim.AdamW(made.parameters()).state_dict()
    torch.save({"epoch": 80, "lr": 1e-4, "optimizer": optimizer, key: weights, **beside}, tmp_path / file)
    found = poseedge("models", "--checkpoint", tmp_path / file, "--json").json
    assert (found["model"], found["config"], found["assumed"]) == (name, made.config, assumed)
    assert found["fits"] == []
    del weights[f"{prefix}{next(iter(made.state_dict()))}"]
    torch.save({key: weights, **beside}, tmp_path / file)
    assert_refused(poseedge("models", "--checkpoint", tmp_path / file), file)


def test_weights_that_fit_two_networks_are_said_to(poseedge: Command, tpc: Path) -> None:
    assert "mixste; fits tpc_mixste as well: --model" in poseedge("models", "--checkpoint", tpc).out
    found = poseedge("models", "--checkpoint", tpc, "--json").json
    assert (found["model"], found["fits"], found["assumed"]) == ("mixste", ["tpc_mixste"], ["num_heads"])


def test_assumed_settings_are_shown_as_assumed_until_they_are_set(poseedge: Command, tpc: Path) -> None:
    arguments = ("models", "--checkpoint", tpc, "--model", "tpc_mixste")
    shown = poseedge(*arguments).out
    assert "3  (assumed: the file does not tell)" in shown
    assert "another value: --set network.num_heads=..." in shown
    found = poseedge(*arguments, "--set", "network.layer_index=2", "--json").json
    assert found["config"]["layer_index"] == 2
    assert found["assumed"] == ["num_heads", "token_num"]


def test_eval_takes_settings_and_says_what_it_assumed(poseedge: Command, tpc: Path, data: Path) -> None:
    arguments = ("eval", tpc, "--model", "tpc_mixste", "--data", data, "--json")
    usual, other = poseedge(*arguments), poseedge(*arguments, "--set", "network.layer_index=2")
    assert "token_num = 7, layer_index = 3" in usual.err
    assert "token_num = 7; other values" in other.err
    assert usual.json["mpjpe_mm"] != other.json["mpjpe_mm"]


def test_export_takes_settings_and_its_bundle_remembers_them(poseedge: Command, tpc: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "tpc.toml").write_text(
        'model = "tpc_mixste"\n[parity.fp32]\ndelta_mpjpe_mm = 0.01\nmean_mm = 0.1\np99_mm = 0.1\n'
    )
    made = ("--model", "tpc_mixste", "--recipe", tmp_path / "tpc.toml", "--data", data, "--calib", data, "--precision", "fp32")
    chosen = ("--set", "network.layer_index=2", "--set", "network.token_num=9")
    outcome = poseedge("export", "--checkpoint", tpc, *made, *chosen, "--output", "bundle", "--json")
    assert outcome.status == 0, outcome.err
    assert (outcome.json["config"]["layer_index"], outcome.json["config"]["token_num"]) == (2, 9)
    assert any("num_heads = 8" in said for said in outcome.json["warnings"])
    again = poseedge("eval", "bundle", "--against", "checkpoint", "--data", data, "--json")
    assert again.json["parity"]["distance_mm"]["max"] < 0.01


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("layer_index=2", "here it sets the network alone"),
        ("network.layer=2", "tpc_mixste has no setting 'layer'"),
        ("network.layer_index", "expected key=value"),
        ("network.frames=81", "does not fit tpc_mixste"),
        ("network.depth=10000000", "depth = 10000000 cannot be"),
        ("network.channel=wide", "tpc_mixste: network.channel is a whole number, not 'wide'"),
        ("network.layer_index=2.5", "tpc_mixste: network.layer_index is a whole number, not 2.5"),
        ("network.layer_index=true", "tpc_mixste: network.layer_index is a whole number, not True"),
    ],
)
def test_setting_that_cannot_be_is_refused(poseedge: Command, tpc: Path, setting: str, said: str) -> None:
    assert_refused(poseedge("models", "--checkpoint", tpc, "--model", "tpc_mixste", "--set", setting), said)


def test_settings_are_for_checkpoints(poseedge: Command, small_bundle: Path) -> None:
    assert_refused(poseedge("models", "--set", "network.layer_index=2"), "say what a checkpoint is", "--checkpoint")
    assert_refused(poseedge("eval", small_bundle, "--set", "network.layers=2"), "a bundle knows its network", "--set")
    graph = small_bundle / "nanohtnet_fp32.onnx"
    assert_refused(poseedge("eval", graph, "--set", "network.layers=2"), "--model and --set are for checkpoints")
