"""Token pruning chooses the frames that its definition names, everywhere alike; recovering brings all frames back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from poseedge.arrays import AnyArray, Float32Array
from poseedge.errors import PoseedgeError
from poseedge.models import create
from poseedge.models.flops import meta_flops
from poseedge.models.pruning import CenterPruning, DensityPeaks, PrunedNetwork, take
from tests.support import golden

PRUNED = ["hot_mixste-f27", "tpc_mixste-f27", "tpc_mhformer-27", "hot_motionbert-f27"]


def by_definition(features: AnyArray, keep: int, keep_center: bool) -> list[int]:
    """The rule in plain loops and float64, for one window ``(F, C)``."""
    frames, z = range(len(features)), features.astype(np.float64)
    distance = [[float(((z[i] - z[j]) ** 2).mean()) for j in frames] for i in frames]
    nearest = [min(distance[i][j] for j in frames if j != i) for i in frames]
    farthest = max(map(max, distance))
    score = {}
    for i in frames:
        denser = [j for j in frames if (nearest[j], j) < (nearest[i], i)]
        score[i] = np.sqrt(min((distance[i][j] for j in denser), default=farthest)) * np.exp(-nearest[i] / 2)
    center = [(len(features) - 1) // 2] if keep_center else []
    others = sorted((i for i in frames if i not in center), key=lambda i: (-score[i], i))
    return sorted(center + others[: keep - len(center)])


def motion(frames: int, channels: int, seed: int) -> Float32Array:
    """Features of a smooth motion: neighbouring frames are alike, so that mutual nearest neighbours abound."""
    steps = np.random.default_rng(seed).standard_normal((frames, channels))
    return (0.1 * np.cumsum(steps, axis=0)).astype(np.float32)


@pytest.mark.parametrize("keep_center", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_choice_is_the_defined_one(seed: int, keep_center: bool) -> None:
    random = np.random.default_rng(seed).standard_normal((27, 64)).astype(np.float32)
    features = np.stack([random, motion(27, 64, seed)])
    index = DensityPeaks(27, 9, keep_center)(torch.from_numpy(features))
    assert index.tolist() == [by_definition(window, 9, keep_center) for window in features]
    assert index.dtype == torch.int64


def test_of_two_mutual_nearest_neighbours_the_earlier_is_the_peak() -> None:
    positions = torch.tensor([9.0, 0.0, 5.0, 0.5, 9.1, 5.25])  # pairs 0-4, 1-3 and 2-5
    score = DensityPeaks(6, 3, False).score(positions[None, :, None])[0]
    assert score[0] > score[4]
    assert score[1] > score[3]
    assert score[2] > score[5]
    assert DensityPeaks(6, 3, False)(positions[None, :, None]).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(("keep_center", "expected"), [(False, [0, 1, 2]), (True, [0, 1, 4])])
def test_of_identical_frames_the_first_are_kept(keep_center: bool, expected: list[int]) -> None:
    assert DensityPeaks(9, 3, keep_center)(torch.ones(1, 9, 4)).tolist() == [expected]


def test_repeated_edge_frames_count_once() -> None:
    clip = motion(21, 16, 0)
    padded = np.concatenate([clip[:1].repeat(3, axis=0), clip, clip[-1:].repeat(3, axis=0)])
    kept = set(DensityPeaks(27, 9, False)(torch.from_numpy(padded)[None])[0].tolist())
    assert len(kept & {0, 1, 2, 3}) == 1
    assert len(kept & {23, 24, 25, 26}) == 1


def test_distances_are_bitwise_symmetric_with_a_zero_diagonal() -> None:
    distance = DensityPeaks(81, 27, False).squared_distance(torch.from_numpy(motion(81, 512, 1))[None] + 10)[0]
    assert torch.equal(distance, distance.T)
    assert not distance.diagonal().any()


def test_distances_between_features_that_are_much_alike_keep_their_precision() -> None:
    z = (0.01 * motion(81, 512, 1) + 10).astype(np.float32)
    distance = DensityPeaks(81, 27, False).squared_distance(torch.from_numpy(z)[None])[0]
    wide = z.astype(np.float64)
    exact = ((wide[:, None] - wide[None]) ** 2).mean(axis=-1)
    np.testing.assert_allclose(distance.numpy(), exact, rtol=1e-3, atol=0)


def test_the_choice_is_made_in_float32_under_autocast() -> None:
    features = torch.from_numpy(motion(81, 512, 2))[None]
    pruning = DensityPeaks(81, 27, True)
    with torch.autocast("cpu", torch.bfloat16):
        lowered = pruning(features)
    assert torch.equal(lowered, pruning(features))


def test_operations_are_counted_without_computing_anything() -> None:
    network = create("hot_mixste", frames=27, channel=16, d_hid=32, depth=2, token_num=9, layer_index=1)
    assert isinstance(network, PrunedNetwork)
    assert meta_flops(network) > 0


def test_no_gradient_flows_through_the_choice() -> None:
    assert not DensityPeaks(9, 3, False)(torch.randn(1, 9, 4, requires_grad=True)).requires_grad


def test_take_gathers_each_window_by_its_own_index() -> None:
    stream = torch.arange(2 * 5 * 3 * 2).reshape(2, 5, 3, 2)
    index = torch.tensor([[4, 0], [1, 3]])
    assert torch.equal(take(stream, index), torch.stack([stream[0, [4, 0]], stream[1, [1, 3]]]))


@pytest.mark.parametrize("keep_center", [False, True])
def test_the_exported_choice_is_the_same_ties_included(keep_center: bool, tmp_path: Path) -> None:
    pruning, path = DensityPeaks(27, 9, keep_center), tmp_path / "pruning.onnx"
    windows = [motion(27, 64, seed) for seed in range(3)] + [np.ones((27, 64), np.float32)]
    features = torch.from_numpy(np.stack(windows))
    export(pruning, features, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": features.numpy()})[0], pruning(features).numpy())
    assert operators(path).count("TopK") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", PRUNED)
def test_an_exported_network_has_no_random_scattering_or_5d_operator(name: str, tmp_path: Path) -> None:
    network, stored, path = golden.network(name), golden.arrays(name), tmp_path / "network.onnx"
    export(network, torch.from_numpy(stored["input"]), path)
    foreign = {"RandomUniformLike", "RandomUniform", "ScatterND", "ScatterElements", "GatherND", "NonZero", "Loop", "If"}
    assert not foreign & set(operators(path))
    inferred = onnx.shape_inference.infer_shapes(onnx.load(path))
    assert max(len(value.type.tensor_type.shape.dim) for value in inferred.graph.value_info) <= 4
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": stored["input"]})[0], stored["output"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRUNED)
def test_a_given_selection_is_used_as_it_is(name: str) -> None:
    network, stored = golden.network(name), golden.arrays(name)
    assert isinstance(network, PrunedNetwork)
    x, other = torch.from_numpy(stored["input"]), torch.from_numpy(stored["input"]).flip(1)
    with torch.no_grad():
        own = network(x)
        assert torch.equal(network(x, network.select(x)), own)
        assert not torch.allclose(network(x, network.select(other)), own)


@pytest.mark.parametrize("name", ["tpc_mixste-f27", "tpc_mhformer-27"])
def test_the_centre_pose_is_the_centre_frame_s_in_whatever_order_frames_are_given(name: str) -> None:
    network, stored = golden.network(name), golden.arrays(name)
    assert isinstance(network, CenterPruning)
    x, index = torch.from_numpy(stored["input"]), torch.from_numpy(stored["index"])
    assert network.output_frames == (13,)
    with torch.no_grad():
        for given in (None, index, index.flip(1)):
            pose = network.center_pose(x, given)
            assert pose.shape == (2, 1, 17, 3)
            np.testing.assert_allclose(pose[:, 0].numpy(), stored["output_center"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "plain", "layer_index"),
    [("tpc_mixste", "mixste", 0), ("tpc_mixste", "mixste", 2), ("tpc_mhformer", "mhformer", 2)],
)
def test_a_cut_outside_the_levels_keeps_all_frames(name: str, plain: str, layer_index: int) -> None:
    size = {"frames": 9, "channel": 16, "d_hid": 32} | ({"depth": 2} if plain == "mixste" else {})
    pruned, whole = create(name, **size, token_num=3, layer_index=layer_index), create(plain, **size)
    assert isinstance(pruned, CenterPruning)
    whole.load_state_dict(pruned.state_dict())
    x = torch.randn(2, 9, 17, 2)
    assert pruned.select(x).tolist() == [list(range(9))] * 2
    torch.testing.assert_close(pruned(x), whole(x))
    torch.testing.assert_close(pruned.center_pose(x), whole(x)[:, 4:5])


@pytest.mark.parametrize("name", ["tpc_mixste", "hot_mixste", "hot_motionbert", "tpc_mhformer"])
@pytest.mark.parametrize("layer_index", [-1, 99])
def test_a_cut_beyond_the_network_is_refused(name: str, layer_index: int) -> None:
    with torch.device("meta"), pytest.raises(PoseedgeError, match=f"layer_index={layer_index} must lie between 0 and"):
        create(name, layer_index=layer_index)


@pytest.mark.parametrize(("name", "token_num"), [("hot_mixste", 0), ("hot_mixste", 28), ("tpc_mixste", 1)])
def test_a_number_of_tokens_that_cannot_be_kept_is_refused(name: str, token_num: int) -> None:
    with pytest.raises(PoseedgeError, match="27 frames"):
        create(name, frames=27, channel=16, token_num=token_num)


def export(module: torch.nn.Module, x: torch.Tensor, path: Path) -> None:
    torch.onnx.export(module.eval(), (x,), path, dynamo=False, opset_version=13, input_names=["x"])


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]
