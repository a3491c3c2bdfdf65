"""``load`` opens whatever lifts poses, all lifters are called alike, and wrong input is explained."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import poseedge
from poseedge.arrays import Float32Array
from poseedge.backends.onnxruntime import OnnxLifter
from poseedge.backends.registry import load
from poseedge.bundle.reading import open_bundle
from poseedge.errors import ArtefactError, CheckpointError, DataError, PoseedgeError, PoseedgeWarning
from poseedge.lifter import Lifter, LifterSpec
from poseedge.models.checkpoints import save_checkpoint
from tests.support import golden, samples

SPEC = LifterSpec("net", 9, (3, 4, 5), "fp32", None)


@pytest.fixture(scope="module")
def windows() -> Float32Array:
    stored: Float32Array = golden.arrays("nanohtnet-small")["input"]
    return stored


@pytest.fixture(params=["checkpoint", "batch of one", "free batch"])
def lifter(request: pytest.FixtureRequest, small_bundle: Path, export_inputs: Path, tmp_path: Path) -> Lifter:
    """Return one lifter of every kind, all from ``(B, 27, 17, 2)`` to ``(B, 3, 17, 3)``."""
    if request.param == "checkpoint":
        return load(export_inputs / "small.pth")
    if request.param == "batch of one":
        return load(small_bundle)
    return load(foreign_graph(tmp_path / "free.onnx", ["batch", 27, 17, 2], copies=3))


def foreign_graph(path: Path, shape: list[int | str], copies: int = 5, kind: int = TensorProto.FLOAT) -> Path:
    """Write a graph that knows nothing of poseedge: the first ``copies`` frames, each joint through one 2 x 3 matrix."""
    numpy_type = helper.tensor_dtype_to_np_dtype(kind)
    frames = [*range(copies)]
    nodes = [helper.make_node("Gather", ["x", "frames"], ["chosen"], axis=1), helper.make_node("MatMul", ["chosen", "w"], ["y"])]
    tensors = [
        numpy_helper.from_array(np.array(frames, np.int64), "frames"),
        numpy_helper.from_array(np.full((2, 3), 0.5, numpy_type), "w"),
    ]
    source = helper.make_tensor_value_info("x", kind, shape)
    target = helper.make_tensor_value_info("y", kind, [shape[0], copies, shape[2], 3])
    graph = helper.make_graph(nodes, "foreign", [source], [target], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


# What load makes of a path


def test_package_hands_load_on() -> None:
    assert poseedge.load is load


def test_checkpoint_becomes_a_torch_lifter(export_inputs: Path) -> None:
    lifter = load(export_inputs / "small.pth")
    assert (lifter.backend, lifter.provider) == ("torch", "cpu")
    assert lifter.spec == LifterSpec("nanohtnet", 27, (12, 13, 14), "fp32", None)


def test_bundle_gives_float32_unless_told(small_bundle: Path) -> None:
    assert load(small_bundle).spec.precision == "fp32"


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_bundle_gives_the_graph_of_a_precision(small_bundle: Path, precision: str) -> None:
    lifter = load(str(small_bundle), precision)
    assert lifter.path.name == f"nanohtnet_{precision}.onnx"
    weights = open_bundle(small_bundle).manifest.checkpoint.sha256
    assert lifter.spec == LifterSpec("nanohtnet", 27, (12, 13, 14), precision, 1, weights_sha256=weights)


def test_onnx_file_of_ours_says_what_it_is(small_bundle: Path) -> None:
    lifter = load(small_bundle / "nanohtnet_int8.onnx")
    assert (lifter.spec.model, lifter.spec.precision, lifter.spec.output_frames) == ("nanohtnet", "int8", (12, 13, 14))


def test_foreign_onnx_file_is_known_by_its_shapes(tmp_path: Path) -> None:
    lifter = load(foreign_graph(tmp_path / "other.onnx", ["batch", 9, 17, 2], copies=3))
    assert lifter.spec == LifterSpec("other", 9, (3, 4, 5), "fp32", None)


@pytest.mark.parametrize("name", ["none.onnx", "none.pth", "build"])
def test_path_that_does_not_exist_is_told_with_the_next_step(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtefactError, match=rf"{name}: no such file or bundle") as caught:
        load(tmp_path / name)
    assert caught.value.hint == "make one with: poseedge export --model nanohtnet"


def test_unknown_kind_of_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"x")
    with pytest.raises(ArtefactError, match=r"model\.tflite: not a bundle folder, \.onnx file, \.engine or \.pth checkpoint"):
        load(tmp_path / "model.tflite")


def test_checkpoint_without_torch_says_what_to_install(export_inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PoseedgeError, match="needs the Python package 'torch'") as caught:
        load(export_inputs / "small.pth")
    assert caught.value.hint == "install it with: pip install 'poseedge[export]'"


def test_refinement_network_lifts_nothing(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "refine.pth", golden.network("htnet-refine"), {})
    with pytest.raises(CheckpointError, match="refines poses and lifts none"):
        load(tmp_path / "refine.pth")


# How a lifter is called


def test_torch_gives_the_reference_poses(export_inputs: Path, windows: Float32Array) -> None:
    poses = load(export_inputs / "small.pth")(windows)
    np.testing.assert_allclose(poses, golden.arrays("nanohtnet-small")["output"], rtol=1e-4, atol=1e-5)


def test_exported_graph_gives_the_reference_poses(small_bundle: Path, windows: Float32Array) -> None:
    np.testing.assert_allclose(load(small_bundle)(windows), golden.arrays("nanohtnet-small")["output"], atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_windows_is_lifted_each_on_its_own(lifter: Lifter, windows: Float32Array, count: int) -> None:
    single = np.concatenate([lifter(window[None]) for window in windows[:count]])
    np.testing.assert_allclose(lifter(windows[:count]), single, atol=1e-5)


def test_no_windows_give_no_poses(lifter: Lifter, windows: Float32Array) -> None:
    assert lifter(windows[:0]).shape == (0, 3, 17, 3)


def test_result_is_not_changed_by_the_next_call(lifter: Lifter, windows: Float32Array) -> None:
    first = lifter(windows[:1])
    kept = first.copy()
    lifter(windows[1:2])
    np.testing.assert_array_equal(first, kept)


def test_input_is_not_changed(lifter: Lifter, windows: Float32Array) -> None:
    given = windows.copy()
    lifter(given)
    np.testing.assert_array_equal(given, windows)


def test_float64_and_strided_keypoints_are_taken(lifter: Lifter, windows: Float32Array) -> None:
    wide = np.repeat(windows, 2, axis=1).astype(np.float64)[:, ::2]
    np.testing.assert_allclose(lifter(wide), lifter(windows), atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 4, 5, 8])
def test_fixed_batch_is_filled_up_and_cut_again(tmp_path: Path, count: int) -> None:
    fixed = load(foreign_graph(tmp_path / "fixed.onnx", [4, 9, 17, 2]))
    free = load(foreign_graph(tmp_path / "free.onnx", ["batch", 9, 17, 2]))
    keypoints = np.random.default_rng(0).normal(size=(count, 9, 17, 2)).astype(np.float32)
    assert fixed.spec.batch == 4
    np.testing.assert_allclose(fixed(keypoints), free(keypoints), rtol=1e-6)


def test_int8_graph_is_opened_without_the_optimization_that_slows_it(small_bundle: Path) -> None:
    metadata = onnx.load(small_bundle / "nanohtnet_int8.onnx").metadata_props
    assert {entry.key: entry.value for entry in metadata}["poseedge.ort_disabled_optimizers"] == '["MatMulAddFusion"]'


def test_threads_are_those_asked_for(small_bundle: Path) -> None:
    lifter = load(small_bundle, threads=2)
    assert isinstance(lifter, OnnxLifter)
    assert lifter.session.get_session_options().intra_op_num_threads == 2


# Wrong keypoints


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_keypoints_that_are_not_finite_are_told_with_their_place(lifter: Lifter, windows: Float32Array, value: float) -> None:
    broken = windows.copy()
    broken[1, 20, 3, 0] = value
    with pytest.raises(DataError, match=r"keypoints hold NaN or infinity \(window 1, frame 20\)"):
        lifter(broken)


@pytest.mark.parametrize("shape", [(1, 27, 16, 2), (1, 26, 17, 2), (1, 27, 17, 3), (27, 17, 2), (1, 1, 27, 17, 2)])
def test_keypoints_of_another_shape_are_told_with_both_shapes(lifter: Lifter, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"takes keypoints \(B, 27, 17, 2\), found \(") as caught:
        lifter(np.zeros(shape, np.float32))
    assert str(shape) in caught.value.message


def test_pixels_are_refused_with_the_way_to_normalize_them(lifter: Lifter, windows: Float32Array) -> None:
    with pytest.raises(DataError, match=r"keypoints reach from .* are they pixels\?") as caught:
        lifter(500 * (windows + 1))
    assert "u = 2 px / W - 1" in caught.value.hint


def test_stray_keypoints_of_a_detector_are_lifted(lifter: Lifter, windows: Float32Array) -> None:
    stray = windows[:1].copy()
    stray[0, ::5, 3] = 40.0  # one joint in every fifth frame, far outside the picture
    assert np.isfinite(lifter(stray)).all()


def test_fractions_of_the_picture_are_doubted_and_what_lies_around_the_centre_is_not(
    lifter: Lifter, windows: Float32Array, recwarn: pytest.WarningsRecorder
) -> None:
    lifter(windows)
    lifter(np.zeros_like(windows))
    assert not [said for said in recwarn if said.category is PoseedgeWarning]
    with pytest.warns(PoseedgeWarning, match="between 0 and 1: if they are fractions of the picture's sides"):
        lifter(0.01 + 0.49 * (windows + 1))
    missed = 0.01 + 0.49 * (windows + 1)
    missed[:, :, 3] = 0  # as detectors write joints that they did not find
    with pytest.warns(PoseedgeWarning, match="between 0 and 1"):
        lifter(missed)


@pytest.mark.parametrize(("precision", "fix"), [("fp16", "65504"), ("fp32", "damaged")])
def test_graph_that_overflows_is_told_by_its_lifter(tmp_path: Path, precision: str, fix: str) -> None:
    path = samples.lifting_graph(tmp_path / "g.onnx", precision)
    model = onnx.load(path)
    weight = numpy_helper.from_array(np.full((2, 3), np.inf, np.float32), "w")
    model.graph.initializer[0].CopyFrom(weight)
    onnx.save(model, path)
    with pytest.raises(ArtefactError, match=f"g.onnx: sample \\({precision}\\) gives NaN or infinity") as caught:
        load(path)(np.full((1, samples.FRAMES, 17, 2), -0.5, np.float32))
    assert fix in caught.value.hint


# Wrong graphs


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_graph_is_told(small_bundle: Path, tmp_path: Path, share: float) -> None:
    content = (small_bundle / "nanohtnet_fp32.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArtefactError, match=r"cut\.onnx: ONNX Runtime cannot load it \(") as caught:
        load(tmp_path / "cut.onnx")
    assert caught.value.hint == "is it truncated? export or copy it again"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("shape", [["b", 9, 16, 2], ["b", "t", 17, 2], ["b", 9, 17, "c"]])
def test_graph_that_does_not_lift_the_17_joints_is_told_with_its_shapes(tmp_path: Path, shape: list[int | str]) -> None:
    path = foreign_graph(tmp_path / "other.onnx", shape)
    with pytest.raises(ArtefactError, match=r"no lifting graph: expected .* found "):
        load(path)


def test_graph_that_does_not_take_float32_is_told(tmp_path: Path) -> None:
    path = foreign_graph(tmp_path / "double.onnx", ["b", 9, 17, 2], kind=TensorProto.DOUBLE)
    with pytest.raises(ArtefactError, match=r"no lifting graph: .*tensor\(double\)"):
        load(path)


def test_provider_that_is_not_there_is_told_with_those_that_are(small_bundle: Path) -> None:
    with pytest.raises(PoseedgeError, match="this ONNX Runtime has no NoneExecutionProvider") as caught:
        OnnxLifter(small_bundle / "nanohtnet_fp32.onnx", provider="NoneExecutionProvider")
    assert "CPUExecutionProvider" in caught.value.hint


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_silent_fallback_to_another_provider_is_an_error(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(PoseedgeError, match="fell back from CUDAExecutionProvider to CPUExecutionProvider"):
        OnnxLifter(small_bundle / "nanohtnet_fp32.onnx", provider="CUDAExecutionProvider")


# What a spec tells


def test_centre_slot_is_the_slot_of_the_centre_frame() -> None:
    assert SPEC.center_slot == 1


def test_centre_slot_of_a_network_without_it_is_that_of_the_nearest_frame() -> None:
    causal = LifterSpec("net", 9, (7, 8), "fp32", None)
    assert (causal.center_slot, causal.shown_frame) == (0, 7)
    assert (SPEC.shown_frame, SPEC.output_frames[SPEC.center_slot]) == ((SPEC.frames - 1) // 2,) * 2


def test_look_ahead_counts_the_frames_after_the_last_output() -> None:
    assert SPEC.look_ahead == 3


def test_torch_lifter_computes_without_gradients(export_inputs: Path, windows: Float32Array) -> None:
    load(export_inputs / "small.pth")(windows[:1])
    assert torch.is_grad_enabled()
