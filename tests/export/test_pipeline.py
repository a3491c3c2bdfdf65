"""One export writes a bundle that proves itself, whole or not at all, and the same one each time."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import poseedge
from poseedge.arrays import Float32Array
from poseedge.backends.registry import load
from poseedge.bundle.manifest import MANIFEST, TargetEntry
from poseedge.bundle.reading import open_bundle
from poseedge.data.h36m import load_dataset
from poseedge.device.joined import run_py
from poseedge.errors import ArtefactError, DataError, PoseedgeError
from poseedge.evaluation.overlap import predict_overlapping
from poseedge.evaluation.parity import parity
from poseedge.evaluation.predict import predict
from poseedge.evaluation.results import Limits
from poseedge.evaluation.score import mean_jitter, score
from poseedge.export import graphs, pipeline
from poseedge.export.pipeline import export_bundle
from poseedge.export.proof import posed
from poseedge.export.recipe import Fp16, Int8, Recipe
from poseedge.files import sha256_of
from poseedge.fold import fold
from poseedge.graph.float32 import float32_nodes
from poseedge.graph.graph import Graph
from poseedge.graph.metadata import GraphMetadata
from poseedge.int8.windows import calibration_windows, digest
from poseedge.lifter import NORMALIZATION
from poseedge.models.checkpoints import save_checkpoint
from poseedge.targets.boards import load_target
from tests.support import golden, small_export
from tests.support.linear_lifter import LinearLifter

pytestmark = pytest.mark.slow

PRECISIONS = ("fp32", "fp16", "int8")
QUICK = ("--runs", "3", "--warmup", "1", "--energy", "0")  # of run.py
GRAPHS = {f"nanohtnet_{precision}.onnx" for precision in PRECISIONS}
TINY = Limits(delta_mpjpe_mm=1e-9, mean_mm=1e-9, p99_mm=1e-9)


@pytest.fixture(scope="module")
def manifest(small_bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((small_bundle / MANIFEST).read_text())
    return content


def recipe(inputs: Path, **changes: Any) -> Recipe:
    return small_export.job(inputs, inputs).recipe.model_copy(update=changes)


def training_windows(inputs: Path) -> Float32Array:
    """Return what INT8 is calibrated on."""
    return calibration_windows([load_dataset(inputs / "data").of(["S1"])], frames=27, count=20)


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


# What the bundle holds


def test_bundle_holds_graphs_samples_runner_and_manifest(small_bundle: Path) -> None:
    assert {path.name for path in small_bundle.iterdir()} == {*GRAPHS, "ranges.json", "samples.npz", "run.py", MANIFEST}


def test_every_file_but_the_manifest_is_hashed(small_bundle: Path, manifest: dict[str, Any]) -> None:
    assert manifest["files"] == {name: hashed for name, hashed in content(small_bundle).items() if name != MANIFEST}


def test_manifest_has_the_keys_that_readers_rely_on(manifest: dict[str, Any]) -> None:
    assert manifest.keys() >= {
        *("format", "created", "model", "config", "frames", "output_frames", "parameters", "checkpoint", "recipe", "target"),
        *("calibration", "versions", "samples", "limits", "graphs", "parity", "reference", "dataset", "simplifier", "files"),
    }


def test_manifest_tells_the_network(manifest: dict[str, Any]) -> None:
    network = golden.network(small_export.NETWORK)
    assert (manifest["model"], manifest["config"]) == ("nanohtnet", network.config)
    assert (manifest["frames"], manifest["output_frames"]) == (27, [12, 13, 14])
    assert manifest["parameters"] == sum(p.numel() for p in network.parameters())


def test_manifest_tells_the_checkpoint(manifest: dict[str, Any], export_inputs: Path) -> None:
    path = export_inputs / "small.pth"
    assert manifest["checkpoint"] == {"file": str(path), "bundled": False, "sha256": sha256_of(path)}


def test_manifest_tells_the_whole_recipe(manifest: dict[str, Any], export_inputs: Path) -> None:
    assert Recipe.model_validate(manifest["recipe"]) == recipe(export_inputs)


def test_manifest_tells_the_calibration_windows(manifest: dict[str, Any], export_inputs: Path) -> None:
    windows = training_windows(export_inputs)
    assert (manifest["calibration"]["windows"], manifest["calibration"]["sha256"]) == (20, digest(windows))
    assert "spatial.0.mlp.fc1" in manifest["calibration"]["layers"]


def test_manifest_tells_the_versions_of_what_made_it(manifest: dict[str, Any]) -> None:
    assert manifest["versions"]["poseedge"] == poseedge.__version__
    assert manifest["versions"]["onnxruntime"] == ort.__version__
    assert {"python", "torch", "onnx", "onnxruntime", "onnxsim", "numpy"} <= manifest["versions"].keys()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_manifest_describes_each_graph(small_bundle: Path, manifest: dict[str, Any], precision: str) -> None:
    path = small_bundle / manifest["graphs"][precision]["file"]
    model = onnx.load(path)
    wanted = {"file": path.name, "opset": 17, "nodes": len(model.graph.node), "bytes": path.stat().st_size}
    told = dict(manifest["graphs"][precision])
    held = told.pop("float32_nodes")
    assert told == wanted
    if precision != "int8":
        assert held == float32_nodes(Graph(model))


def test_int8_graph_holds_in_float32_what_the_half_precision_graph_holds(small_bundle: Path, manifest: dict[str, Any]) -> None:
    """Where builder flags choose the precision, its rest runs in half precision, too."""
    half, rounded = (set(manifest["graphs"][precision]["float32_nodes"]) for precision in ("fp16", "int8"))
    names = {node.name for node in onnx.load(small_bundle / "nanohtnet_int8.onnx").graph.node}
    assert rounded <= names
    assert half & names <= rounded
    assert len(half & names) > 5


@pytest.mark.parametrize("precision", PRECISIONS)
def test_graph_says_what_it_is(small_bundle: Path, manifest: dict[str, Any], precision: str) -> None:
    model = onnx.load(small_bundle / f"nanohtnet_{precision}.onnx")
    assert GraphMetadata.from_props({entry.key: entry.value for entry in model.metadata_props}) == GraphMetadata(
        model="nanohtnet",
        config=manifest["config"],
        precision=precision,
        output_frames=(12, 13, 14),
        source_sha256=manifest["checkpoint"]["sha256"],
        version=poseedge.__version__,
        normalization=NORMALIZATION,
        ort_disabled_optimizers=("MatMulAddFusion",) if precision == "int8" else (),
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_graph_passes_the_checker(small_bundle: Path, precision: str) -> None:
    onnx.checker.check_model(str(small_bundle / f"nanohtnet_{precision}.onnx"), full_check=True)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_graph_runs_alone_in_another_folder(small_bundle: Path, tmp_path: Path, precision: str) -> None:
    (tmp_path / "alone.onnx").write_bytes((small_bundle / f"nanohtnet_{precision}.onnx").read_bytes())
    session = ort.InferenceSession(tmp_path / "alone.onnx", providers=["CPUExecutionProvider"])
    with np.load(small_bundle / "samples.npz") as samples:
        window, wanted = samples["keypoints"][:1], samples["poses_m"][:1]
    poses = session.run(None, {session.get_inputs()[0].name: window})[0]
    np.testing.assert_allclose(poses, wanted, atol=1e-4 if precision == "fp32" else 0.05)


def test_samples_are_real_windows_and_the_poses_of_the_network(small_bundle: Path, export_inputs: Path) -> None:
    with np.load(small_bundle / "samples.npz") as samples:
        keypoints, poses = samples["keypoints"], samples["poses_m"]
    np.testing.assert_array_equal(keypoints, training_windows(export_inputs)[:16])
    np.testing.assert_allclose(poses, load(export_inputs / "small.pth")(keypoints), atol=1e-5)


# What it proves


@pytest.mark.parametrize("precision", PRECISIONS)
def test_recorded_parity_is_what_a_new_evaluation_finds(
    small_bundle: Path, export_inputs: Path, manifest: dict[str, Any], precision: str
) -> None:
    data = load_dataset(export_inputs / "data").of(["S9"])
    found, wanted = predict(load(small_bundle, precision), data), predict(load(export_inputs / "small.pth"), data)
    recorded = manifest["parity"][precision]
    assert recorded["mpjpe_mm"] == pytest.approx(score(found).mpjpe_mm, abs=0.01)
    again = parity(found, wanted).model_dump()
    for key in ("delta_mpjpe_mm", "distance_mm", "jitter_mm"):
        assert recorded["against_reference"][key] == pytest.approx(again[key], abs=0.01)


def test_jitter_is_told_both_ways_as_eval_tells_it(small_bundle: Path, export_inputs: Path, manifest: dict[str, Any]) -> None:
    data, recorded = load_dataset(export_inputs / "data").of(["S9"]), manifest["parity"]["int8"]
    this, against = (
        predict_overlapping(lifter, data) for lifter in (load(small_bundle, "int8"), load(export_inputs / "small.pth"))
    )
    assert this.jitter_mm is not None
    assert against.jitter_mm is not None
    mean, alone = zip(this.jitter_mm, against.jitter_mm, strict=True)
    for told, found in ((recorded["overlap"], mean), (recorded["against_reference"], alone)):
        assert told["jitter_mm"] == pytest.approx(dict(zip(("this", "against"), found, strict=True)), abs=0.01)
    assert recorded["overlap"]["every"] == 1
    assert recorded["overlap"]["mpjpe_mm"] == pytest.approx(score(this.mean).mpjpe_mm, abs=0.01)


def test_jitter_of_a_network_that_gives_one_frame_is_the_same_both_ways(export_inputs: Path, tmp_path: Path) -> None:
    data, job = load_dataset(export_inputs / "data").of(["S9"]), small_export.job(export_inputs, tmp_path / "b")
    lifter = LinearLifter(27, (13,))
    alone, mean = posed(lifter, data, job, lambda _: None)
    told = predict_overlapping(lifter, data).jitter_mm
    assert told == pytest.approx((mean_jitter(mean), mean_jitter(alone)))
    assert posed(LinearLifter(27, tuple(range(27))), data, job, lambda _: None)[1] == []


def test_recorded_reference_is_the_score_of_the_checkpoint(export_inputs: Path, manifest: dict[str, Any]) -> None:
    data = load_dataset(export_inputs / "data").of(["S9"])
    found = score(predict(load(export_inputs / "small.pth"), data)).model_dump()
    assert manifest["reference"] == pytest.approx({key: found[key] for key in manifest["reference"]}, abs=0.01)


def test_proof_stands_on_the_test_subjects(manifest: dict[str, Any]) -> None:
    assert manifest["dataset"] == {"name": "excerpt", "keypoints": "gt", "frames": 32, "every": 1}


def test_exact_graph_is_within_a_hundredth_of_a_millimetre(manifest: dict[str, Any]) -> None:
    assert manifest["parity"]["fp32"]["against_reference"]["distance_mm"]["max"] < 0.01


def test_every_verdict_stands_beside_its_limits(manifest: dict[str, Any]) -> None:
    for precision in PRECISIONS:
        found = manifest["parity"][precision]["against_reference"]
        assert found["limits"] == manifest["limits"][precision]
        assert found["passed"] is True


def test_limit_that_is_missed_is_recorded_and_no_error(export_inputs: Path, tmp_path: Path) -> None:
    steadier = Limits(delta_mpjpe_mm=99, mean_mm=99, p99_mm=99, jitter_ratio=0.5)
    strict = recipe(export_inputs, parity={"fp32": TINY, "fp16": steadier})
    manifest = export_bundle(small_export.job(export_inputs, tmp_path / "b", recipe=strict, precisions=("fp32", "fp16")))
    assert [proof.against_reference.passed for proof in manifest.parity.values()] == [False, False]
    assert open_bundle(tmp_path / "b").precisions == ["fp32", "fp16"]


def test_run_py_is_the_joined_parts(small_bundle: Path) -> None:
    assert (small_bundle / "run.py").read_text() == run_py()


def test_runner_accepts_the_bundle_without_poseedge(small_bundle: Path) -> None:
    alone = "import runpy, sys; sys.modules['poseedge'] = None; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", alone, str(small_bundle / "run.py"), "--backend", "onnxruntime", *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# The same each time, whole or not at all


def test_export_is_reproducible_apart_from_its_date(small_bundle: Path, export_inputs: Path, tmp_path: Path) -> None:
    export_bundle(small_export.job(export_inputs, tmp_path / "again"))
    first, again = content(small_bundle), content(tmp_path / "again")
    assert {name for name in first if first[name] != again[name]} <= {MANIFEST}
    manifests = [json.loads((folder / MANIFEST).read_text()) for folder in (small_bundle, tmp_path / "again")]
    assert {key for key in manifests[0] if manifests[0][key] != manifests[1][key]} <= {"created"}


class Broken(Exception):
    """What a test breaks off with."""


def break_off(*arguments: object) -> None:
    raise Broken


def test_nothing_is_left_behind_when_it_fails_in_the_middle(
    export_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "prove", break_off)
    with pytest.raises(Broken):
        export_bundle(small_export.job(export_inputs, tmp_path / "bundle", precisions=("fp32",)))
    assert list(tmp_path.iterdir()) == []


def test_older_bundle_stays_when_it_fails_in_the_middle(
    export_inputs: Path, own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(own_bundle.parent)
    monkeypatch.setattr(pipeline, "prove", break_off)
    with pytest.raises(Broken):
        export_bundle(small_export.job(export_inputs, own_bundle, precisions=("fp32",)))
    assert content(own_bundle.parent) == before


def test_folder_of_somebody_else_is_not_overwritten(export_inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ArtefactError, match="exists and is no bundle, so it will not be replaced"):
        export_bundle(small_export.job(export_inputs, tmp_path / "mine"))
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]


# Variants


def test_jetson_nano_gets_opset_13(export_inputs: Path, tmp_path: Path) -> None:
    target = load_target("jetson-nano")
    job = small_export.job(
        export_inputs, tmp_path / "b", target=target, target_name="jetson-nano", precisions=tuple(target.precisions)
    )
    manifest = export_bundle(job)
    assert manifest.target == TargetEntry(name="jetson-nano", opset=13)
    assert {precision: graph.opset for precision, graph in manifest.graphs.items()} == {"fp32": 13, "fp16": 13}


def test_free_batch_gives_graphs_for_any_number_of_windows(export_inputs: Path, tmp_path: Path) -> None:
    export_bundle(small_export.job(export_inputs, tmp_path / "b", free_batch=True, precisions=("fp32", "int8")))
    windows = golden.arrays(small_export.NETWORK)["input"]
    for precision in ("fp32", "int8"):
        lifter = load(tmp_path / "b", precision)
        assert lifter.spec.batch is None
        assert lifter(windows).shape == (3, 3, 17, 3)


def test_unfolded_network_is_exported_as_exactly(export_inputs: Path, tmp_path: Path) -> None:
    job = small_export.job(export_inputs, tmp_path / "b", recipe=recipe(export_inputs, fold=False), precisions=("fp32",))
    assert export_bundle(job).parity["fp32"].against_reference.distance_mm.max < 0.01


def test_checkpoint_that_travels_with_poseedge_is_recorded_by_name(export_inputs: Path, tmp_path: Path) -> None:
    manifest = export_bundle(small_export.job(export_inputs, tmp_path / "b", bundled=True, precisions=("fp32",)))
    assert (manifest.checkpoint.file, manifest.checkpoint.bundled) == ("small.pth", True)


def test_proof_may_take_every_nth_frame(export_inputs: Path, tmp_path: Path) -> None:
    manifest = export_bundle(small_export.job(export_inputs, tmp_path / "b", every=4, precisions=("fp32",)))
    assert (manifest.dataset.frames, manifest.dataset.every) == (8, 4)
    assert manifest.parity["fp32"].against_reference.jitter_mm is None
    assert manifest.parity["fp32"].overlap is None


def test_graph_that_was_not_simplified_is_recorded(export_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "simplify", lambda model, **_: (model, "onnxsim crashed"))
    manifest = export_bundle(small_export.job(export_inputs, tmp_path / "b", precisions=("fp32",)))
    assert manifest.simplifier == "onnxsim crashed"


# What is refused


def test_graph_that_differs_from_the_network_is_refused(
    export_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fold_another(network: Any, free_batch: bool) -> Any:
        another = copy.deepcopy(network)
        another.fc.bias.data += 0.01
        return fold(another, free_batch)

    monkeypatch.setattr(graphs, "fold", fold_another)
    with pytest.raises(PoseedgeError, match=r"nanohtnet graph differs from the network by 1\.00e-02 m, allowed is 0\.0001"):
        export_bundle(small_export.job(export_inputs, tmp_path / "b"))


def test_checkpoint_of_another_network_is_refused(export_inputs: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "mixste.pth", golden.network("mixste-f27"), {})
    with pytest.raises(PoseedgeError, match=r"mixste\.pth: holds mixste, not nanohtnet") as caught:
        export_bundle(small_export.job(export_inputs, tmp_path / "b", checkpoint=tmp_path / "mixste.pth"))
    assert caught.value.hint == "use --model mixste, or another checkpoint"


def test_pretrained_checkpoint_is_refused(export_inputs: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "pre.pth", golden.network("nanohtnet-pretrain"), {})
    with pytest.raises(PoseedgeError, match="pre-training head gives codes, not poses"):
        export_bundle(small_export.job(export_inputs, tmp_path / "b", checkpoint=tmp_path / "pre.pth"))


def test_recipe_that_keeps_every_layer_in_float_has_no_int8(export_inputs: Path, tmp_path: Path) -> None:
    chosen = recipe(export_inputs)
    kept = chosen.model_copy(update={"int8": chosen.int8.model_copy(update={"keep": ["*"]})})
    with pytest.raises(PoseedgeError, match="no layer of nanohtnet takes INT8"):
        export_bundle(small_export.job(export_inputs, tmp_path / "b", recipe=kept))


def data_naming_no(part: str, inputs: Path, folder: Path) -> Path:
    """Copy the data set, without the names of the subjects of ``part``."""
    shutil.copytree(inputs / "data", folder)
    rig = json.loads((folder / "cameras_excerpt.json").read_text())
    (folder / "cameras_excerpt.json").write_text(json.dumps({**rig, part: []}))
    return folder


def test_calibration_data_without_training_subjects_is_refused(export_inputs: Path, tmp_path: Path) -> None:
    folder = data_naming_no("train", export_inputs, tmp_path / "data")
    with pytest.raises(DataError, match="no sequences to calibrate on"):
        export_bundle(small_export.job(export_inputs, tmp_path / "b", calibration=folder))


def test_data_without_test_subjects_is_refused(export_inputs: Path, tmp_path: Path) -> None:
    folder = data_naming_no("test", export_inputs, tmp_path / "data")
    with pytest.raises(DataError, match="excerpt names no test subjects"):
        export_bundle(small_export.job(export_inputs, tmp_path / "b", data=folder))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"fp16": Fp16(keep=["nothing.*"])}, r"fp16\.keep: no weight matches 'nothing\.\*'"),
        ({"fp16": Fp16(keep=["dct", "*"])}, r"fp16\.keep = \['dct', '\*'\]: keeps every weight in float32"),
        ({"int8": Int8(windows=20, keep=["spatial.9.*"])}, r"int8\.keep: no weight matches 'spatial\.9\.\*'"),
    ],
    ids=["unknown weight", "every weight", "unknown layer"],
)
def test_patterns_that_cannot_be_meant_are_refused_before_anything_is_traced(
    export_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], error: str
) -> None:
    monkeypatch.setattr(graphs, "trace", lambda *_: pytest.fail("it was traced"))
    with pytest.raises(PoseedgeError, match=error):
        export_bundle(small_export.job(export_inputs, tmp_path / "b", recipe=recipe(export_inputs, **changes)))
    assert list(tmp_path.iterdir()) == []
