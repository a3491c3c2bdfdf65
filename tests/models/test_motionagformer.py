"""MotionAGFormer: every stage equals the published network, ties among frames included, and files of all sizes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from poseedge.arrays import AnyArray
from poseedge.errors import PoseedgeError
from poseedge.fold.motionagformer import similar_frames as folded_similar_frames
from poseedge.graph.fp16 import to_fp16
from poseedge.models import create, load_checkpoint
from poseedge.models.motionagformer import FrameGraphConv, MotionAGFormer, joint_graph, similar_frames
from tests.support import golden
from tests.support.capture import intermediates
from tests.support.networks import drawn, exported

CASES = ["motionagformer", "motionagformer-f81", "motionagformer-f243", "motionagformer-ties"]
INSIDE = {
    "after_embed": "joints_embed",
    "att_spatial": "layers.0.att_spatial",
    "att_temporal": "layers.0.att_temporal",
    "graph_spatial_mixer": "layers.0.graph_spatial.mixer",
    "graph_spatial": "layers.0.graph_spatial",
    "graph_temporal_mixer": "layers.0.graph_temporal.mixer",
    "graph_temporal": "layers.0.graph_temporal",
    "after_layer0": "layers.0",
    "after_norm": "norm",
}


def network(name: str) -> MotionAGFormer:
    made = golden.network(name)
    assert isinstance(made, MotionAGFormer)
    return made


def thinned(found: AnyArray, stored: AnyArray) -> AnyArray:
    """Return what ``stored`` holds of one window ``(T, J, C)``: first, middle and last frame in large cases, some channels."""
    if len(stored) != len(found):
        found = found[[0, len(found) // 2, len(found) - 1]]
    return found[..., :: found.shape[-1] // stored.shape[-1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_stage_equals_the_published_network(name: str) -> None:
    stored = golden.arrays(name)
    for label, value in intermediates(network(name), INSIDE, stored["input"]).items():
        np.testing.assert_allclose(thinned(value[0], stored[label]), stored[label], rtol=1e-4, atol=1e-5, err_msg=label)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_neighbours_are_those_of_the_published_network(name: str) -> None:
    stored, made = golden.arrays(name), network(name)
    seen: list[torch.Tensor] = []
    mixer = made.get_submodule("layers.0.graph_temporal.mixer")
    mixer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        made(torch.from_numpy(stored["input"]))
    tracks = seen[0].transpose(1, 2)[0]  # (J, T, C)
    for choose in (similar_frames, lambda features, count: folded_similar_frames(features @ features.mT, count)):
        graph = choose(tracks, 2)
        every = 1 if len(stored["adjacency"]) == len(graph) else 8  # joints
        np.testing.assert_array_equal(graph[::every], stored["adjacency"])
    assert bool((graph.sum(dim=-1) > 2).any()) == (name == "motionagformer-ties")


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_threshold_without_topk_is_the_same_with_ties(count: int) -> None:
    similarity = torch.randint(0, 4, (50, 9, 9)).float()
    least = similarity.topk(count, dim=-1).values[..., -1:]
    assert torch.equal(folded_similar_frames(similarity, count), (similarity >= least).float())


def test_skeleton_leaves_out_what_the_published_code_leaves_out() -> None:
    listed = [row.nonzero().flatten().tolist() for row in joint_graph()]
    assert listed[:9] == [[1, 7], [0, 2], [1, 3], [2], [0, 5], [4, 6], [5], [0, 8], [7, 9]]
    assert listed[9:] == [[8, 10], [9], [8, 12], [11, 13], [12], [8, 15], [14, 16], [15]]


@pytest.mark.slow
def test_half_precision_graph_compares_frames_in_float32() -> None:
    graph = to_fp16(exported("small motionagformer", 17), keep=[])
    compared = [name for node in graph.of("Equal", "GreaterOrEqual") for name in node.input]
    assert compared
    assert {graph.types[name] for name in compared if name in graph.types} == {onnx.TensorProto.FLOAT}
    assert any(graph.maker(name, "MatMul") for name in compared)  # the likeness itself leaves its product in float32
    assert onnx.TensorProto.FLOAT16 in {graph.types[node.output[0]] for node in graph.of("MatMul")}


@pytest.mark.parametrize("sizes", [{"n_frames": 27}, {"n_frames": 81}, {"n_frames": 27, "qkv_bias": True, "mlp_ratio": 2}])
def test_published_file_is_recognised_but_for_heads_and_neighbours(sizes: dict[str, Any], tmp_path: Path) -> None:
    made = drawn("motionagformer", n_layers=2, dim_feat=16, dim_rep=24, **sizes)
    state = {f"module.{key}": value for key, value in made.state_dict().items()}
    torch.save({"epoch": 60, "min_mpjpe": np.float64(38.4), "wandb_id": "x", "model": state}, tmp_path / "best_epoch.pth.tr")
    loaded = load_checkpoint(tmp_path / "best_epoch.pth.tr")
    assert loaded.config == made.config
    assert loaded.identity is not None
    assert loaded.identity.assumed == ("num_heads", "neighbour_num")
    four = load_checkpoint(tmp_path / "best_epoch.pth.tr", settings={"num_heads": 4, "neighbour_num": 4})
    mixer = four.get_submodule("layers.1.graph_temporal.mixer")
    assert isinstance(mixer, FrameGraphConv)
    assert mixer.neighbours == 4


@pytest.mark.parametrize(
    ("config", "said"),
    [({"num_joints": 16}, "17 joints"), ({"dim_feat": 20}, "no multiple"), ({"neighbour_num": 0}, "between 1 and n_frames=27")],
)
def test_impossible_configurations_are_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(PoseedgeError, match=said):
        create("motionagformer", **config)
