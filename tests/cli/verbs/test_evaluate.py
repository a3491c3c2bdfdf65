"""``poseedge eval`` with the papers' options, and graphs that do the flip test themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from poseedge.backends.registry import load
from poseedge.data.h36m import load_dataset
from poseedge.evaluation.parity import parity
from poseedge.evaluation.predict import predict
from poseedge.export.graphs import flip_of
from poseedge.export.pipeline import export_bundle
from poseedge.export.recipe import load_recipe
from poseedge.models.checkpoints import save_checkpoint
from poseedge.models.network import LiftingNetwork
from poseedge.resources import resource
from tests.support import folders, golden, small_export
from tests.support.mpi_files import by_sequence
from tests.support.user import Command, assert_refused

TPC = 'model = "tpc_mixste"\n[parity.fp32]\ndelta_mpjpe_mm = 0.01\nmean_mm = 0.1\np99_mm = 0.1\n'


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a seq2seq and a pruned network, and a recipe for the latter."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in ("mixste-f27", "tpc_mixste-f27", "htnet-refine"):
        save_checkpoint(folder / f"{name}.pth", golden.network(name), {})
    (folder / "small.toml").write_text(TPC)
    (folder / "data").mkdir()
    folders.excerpt().write(folder / "data")
    return folder


@pytest.fixture(scope="module")
def flipped(checkpoints: Path) -> Path:
    """Return the bundle of the pruned network with the flip test inside."""
    recipe = load_recipe(str(checkpoints / "small.toml"))
    own = {"recipe": recipe, "checkpoint": checkpoints / "tpc_mixste-f27.pth", "precisions": ("fp32", "fp16"), "flip": True}
    export_bundle(small_export.job(checkpoints, checkpoints / "bundle", **own))
    return checkpoints / "bundle"


def test_protocol_of_a_repository_scores_its_duplicates(poseedge: Command, checkpoints: Path) -> None:
    arguments = ("eval", checkpoints / "mixste-f27.pth", "--data", checkpoints / "data", "--json")
    once, mixste = poseedge(*arguments).json, poseedge(*arguments, "--as", "mixste").json
    assert (once["protocol"], once["frames"]) == ("once", 4 * 8)
    assert (mixste["protocol"], mixste["frames"]) == ("mixste", 4 * 27)
    assert once["by_joint_mm"]["pelvis"] == 0
    assert mixste["by_joint_mm"]["pelvis"] > 0


def test_unknown_protocol_suggests_the_nearest(poseedge: Command, small_bundle: Path) -> None:
    assert_refused(poseedge("eval", small_bundle, "--as", "mixst"), "unknown protocol 'mixst'", "did you mean 'mixste'?")


@pytest.mark.parametrize("artefact", ["bundle", "mixste-f27"])
def test_overlap_scores_the_average_and_tells_jitter_both_ways(
    poseedge: Command, small_bundle: Path, checkpoints: Path, artefact: str
) -> None:
    path = small_bundle if artefact == "bundle" else checkpoints / f"{artefact}.pth"
    found = json.loads(poseedge("eval", path, "--data", checkpoints / "data", "--overlap", "--json").out)
    alone = json.loads(poseedge("eval", path, "--data", checkpoints / "data", "--json").out)
    both = found["overlap"]
    assert "overlap" not in alone
    assert both["alone_mpjpe_mm"] == pytest.approx(alone["mpjpe_mm"])
    assert found["mpjpe_mm"] != pytest.approx(alone["mpjpe_mm"], abs=1e-6)
    assert 0 < both["jitter_mm"] < both["alone_jitter_mm"]
    assert both["every"] == (1 if artefact == "bundle" else 3)
    assert found["frames"] == alone["frames"]


def test_overlap_is_no_protocol_of_a_repository(poseedge: Command, small_bundle: Path) -> None:
    assert_refused(poseedge("eval", small_bundle, "--overlap", "--as", "mixste"), "--overlap cannot apply")


def test_refine_checkpoint_changes_the_poses(poseedge: Command, small_bundle: Path, checkpoints: Path) -> None:
    arguments = ("eval", small_bundle, "--data", checkpoints / "data", "--json")
    plain, refined = poseedge(*arguments).json, poseedge(*arguments, "--refine", checkpoints / "htnet-refine.pth").json
    assert refined["refine"].endswith("htnet-refine.pth")
    assert refined["mpjpe_mm"] != plain["mpjpe_mm"]
    assert refined["by_joint_mm"]["pelvis"] == 0


def test_lifting_network_is_no_refine_checkpoint(poseedge: Command, small_bundle: Path, checkpoints: Path) -> None:
    outcome = poseedge("eval", small_bundle, "--refine", checkpoints / "mixste-f27.pth")
    assert_refused(outcome, "which refines no poses", "--refine")


def test_pictures_are_written_where_they_are_wanted(poseedge: Command, small_bundle: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = poseedge("eval", small_bundle, "--data", data, "--plot", tmp_path / "plots", "--json").json
    assert report["plots"] == [str(tmp_path / "plots" / f"{name}.png") for name in ("by_joint", "by_action", "worst_frames")]
    assert all(Path(path).stat().st_size > 5000 for path in report["plots"])


def test_pictures_need_a_folder(poseedge: Command, small_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "plots").write_text("")
    assert_refused(poseedge("eval", small_bundle, "--plot", tmp_path / "plots"), "plots: is a file", "--plot")


def test_mpi_inf_3dhp_is_evaluated_like_any_other_set(poseedge: Command, small_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "3dhp").mkdir()
    report = poseedge("eval", small_bundle, "--data", by_sequence(tmp_path / "3dhp"), "--json").json
    assert (report["dataset"], report["frames"], report["mpjve_mm"]) == ("3dhp", 6 + 4, None)
    assert 0 <= report["auc_percent"] <= report["pck_percent"] <= 100
    assert report["mpjpe_mm"] > 0
    arguments = ("eval", small_bundle, "--data", tmp_path / "3dhp", "--as", "motionbert")
    assert_refused(poseedge(*arguments), "no focal length is known", "another protocol")


def test_another_network_s_checkpoint_can_be_compared_with(poseedge: Command, small_bundle: Path, checkpoints: Path) -> None:
    arguments = ("eval", small_bundle, "--data", checkpoints / "data", "--against", checkpoints / "mixste-f27.pth", "--json")
    assert poseedge(*arguments).json["parity"]["distance_mm"]["mean"] > 1


@pytest.mark.slow
def test_exported_flip_test_chooses_frames_once_as_the_network_does(flipped: Path, checkpoints: Path) -> None:
    data = load_dataset(checkpoints / "data").of(["S9"])
    graph, network = load(flipped), load(checkpoints / "tpc_mixste-f27.pth", flip=True)
    assert (graph.spec.flip, network.spec.flip) == ("inside", "inside")
    assert parity(predict(graph, data, flip=True), predict(network, data, flip=True)).distance_mm.max < 0.1
    stored = golden.arrays("tpc_mixste-f27")
    poses = graph(stored["input"])[:, 0]
    poses[:, 0] = 0
    np.testing.assert_allclose(poses, stored["protocol"][:, 0], atol=2e-5)
    operators = [node.op_type for node in onnx.load(flipped / "tpc_mixste_fp32.onnx").graph.node]
    assert operators.count("TopK") == 1
    half = load(flipped, "fp16")
    assert parity(predict(half, data), predict(network, data)).distance_mm.mean < 5  # random weights


def test_flip_inside_a_graph_is_reported_and_compared_like_with_like(poseedge: Command, flipped: Path, checkpoints: Path) -> None:
    outcome = poseedge("eval", flipped, "--data", checkpoints / "data", "--against", "checkpoint", "--json")
    report = outcome.json
    assert (report["flip"], report["parity"]["passed"]) == (True, True)
    assert "note" not in outcome.err
    assert json.loads((flipped / "manifest.json").read_text())["flip"] is True


def test_flip_with_two_selections_is_told(poseedge: Command, flipped: Path, checkpoints: Path, tmp_path: Path) -> None:
    model = onnx.load(flipped / "tpc_mixste_fp32.onnx")
    next(entry for entry in model.metadata_props if entry.key == "poseedge.flip").value = '"shared"'
    onnx.save(model, tmp_path / "shared.onnx")
    outcome = poseedge("eval", tmp_path / "shared.onnx", "--data", checkpoints / "data", "--flip", "--json")
    assert outcome.json["flip"] is True
    assert "note: this graph chooses frames in each pass" in outcome.err


def test_graph_of_a_pruned_network_says_that_its_passes_share_a_selection(checkpoints: Path) -> None:
    recipe = load_recipe(str(checkpoints / "small.toml"))
    jobs = [small_export.job(checkpoints, checkpoints, recipe=recipe, flip=flip) for flip in (False, True)]
    for name, wanted in {"tpc_mixste-f27": ["shared", "inside"], "mixste-f27": ["passes", "inside"]}.items():
        network = golden.network(name)
        assert isinstance(network, LiftingNetwork)
        assert [flip_of(job, network) for job in jobs] == wanted


@pytest.fixture(scope="module")
def flipped_bit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return NanoHTNet's bundled weights in a file without checksums, with the highest exponent bit of one flipped."""
    weights = torch.load(resource("weights", "nanohtnet.pth"), weights_only=True)
    weights["state_dict"]["fc.weight"].view(torch.int16)[0, 0] ^= 0x4000
    path = tmp_path_factory.mktemp("flipped") / "nanohtnet.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    return path


def test_damage_without_checksum_is_doubted(poseedge: Command, flipped_bit: Path) -> None:
    outcome = poseedge("eval", flipped_bit, "--every", 20, "--json")
    assert outcome.status == 0
    (said,) = outcome.json["warnings"]
    assert "the mean pose held still: are the weights damaged" in said
    assert f"warning: {said}" in outcome.err


def test_bundled_weights_score_what_their_recipe_says(poseedge: Command) -> None:
    outcome = poseedge("eval", resource("weights", "nanohtnet.pth"), "--json")
    assert outcome.json["warnings"] == []
    assert outcome.json["mpjpe_mm"] == pytest.approx(load_recipe("nanohtnet").weights_mpjpe_mm, abs=0.01)


def test_bundled_weights_that_score_otherwise_than_their_recipe_says_are_doubted(
    poseedge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("nanohtnet").model_copy(update={"weights_mpjpe_mm": 60.0})
    monkeypatch.setattr("poseedge.export.known.load_recipe", lambda _: recipe)
    outcome = poseedge("eval", resource("weights", "nanohtnet.pth"), "--every", 20, "--json")
    (said,) = outcome.json["warnings"]
    assert "the recipe of nanohtnet says 60.0 mm of this data" in said


def test_reference_far_from_its_manifest_is_doubted(poseedge: Command, own_bundle: Path, data: Path) -> None:
    manifest = json.loads((own_bundle / "manifest.json").read_text())
    for row in (manifest["reference"], manifest["parity"]["fp32"]):
        row["mpjpe_mm"] *= 2
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    outcome = poseedge("eval", own_bundle, "--against", "checkpoint", "--data", data, "--json")
    said = [line for line in outcome.json["warnings"] if "the bundle's manifest says" in line]
    assert len(said) == 2
    assert said[1].startswith("checkpoint: ")


def test_data_that_cannot_be_right_is_warned_of_and_scored_all_the_same(
    poseedge: Command, small_bundle: Path, tmp_path: Path
) -> None:
    folder = folders.excerpt()
    for actions in folder.motion.values():
        for action in actions:
            actions[action] = actions[action] * 1000
    outcome = poseedge("eval", small_bundle, "--data", folder.write(tmp_path), "--json")
    assert "the motion is in millimetres: times 0.001" in outcome.err
    assert "times 0.001" in outcome.json["warnings"][0]


def test_subjects_may_be_listed_with_spaces(poseedge: Command, small_bundle: Path, data: Path) -> None:
    assert poseedge("eval", small_bundle, "--data", data, "--subjects", "S9, S9", "--json").json["frames"] == 32


def test_evaluation_goes_on_to_a_comparison_that_can_be_typed(
    poseedge: Command, small_bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("eval", small_bundle, "--precision", "int8", "--data", data)
    first = f"next: poseedge eval {small_bundle} --precision int8 --against"
    assert poseedge(*arguments).out.strip().splitlines()[-1] == f"{first} checkpoint"
    monkeypatch.setattr("poseedge.cli.at_hand.here", lambda module: False)  # no PyTorch
    assert poseedge(*arguments).out.strip().splitlines()[-1] == f"{first} {small_bundle / 'nanohtnet_fp32.onnx'}"
    graph = small_bundle / "nanohtnet_fp32.onnx"
    assert poseedge("eval", graph, "--data", data).out.strip().splitlines()[-1] == f"next: poseedge bench {graph}"
