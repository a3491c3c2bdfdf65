"""Bad input: one clear line with the file and the reason, a hint, status 2, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poseedge.bundle.manifest import MANIFEST
from poseedge.files import sha256_of
from poseedge.models.checkpoints import save_checkpoint
from tests.support import folders, golden
from tests.support.small_export import RECIPE
from tests.support.user import Command, assert_refused


def test_unknown_model_suggests_the_nearest(poseedge: Command) -> None:
    assert_refused(poseedge("export", "--model", "nanohtnett"), "'nanohtnett'", "did you mean 'nanohtnet'?")


def test_unknown_target_suggests_the_nearest(poseedge: Command) -> None:
    outcome = poseedge("export", "--model", "nanohtnet", "--target", "jetson-nanno")
    assert_refused(outcome, "unknown target 'jetson-nanno'", "did you mean 'jetson-nano'?")


def test_unknown_precision_is_refused_with_those_of_the_target(poseedge: Command) -> None:
    outcome = poseedge("export", "--model", "nanohtnet", "--precision", "int9")
    assert_refused(outcome, "unknown --precision 'int9'", "did you mean 'int8'? Known: fp32, fp16, int8")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("bench", "a.onnx", "--recommend", "--budget-mm", "inf"), "--budget-mm"),
        (("lift", "a.json", "-o", "a.npz", "--focal", "nan"), "--focal"),
        (("data", "convert", "a.npy", "-o", "a", "--fps", "inf"), "--fps"),
    ],
)
def test_number_that_is_none_is_bad_usage_of_every_verb(poseedge: Command, words: tuple[str, ...], option: str) -> None:
    outcome = poseedge(*words, "--json")
    assert outcome.status == 2
    assert f"Invalid value for '{option}'" in outcome.err
    assert "is no finite number" in outcome.err


def test_unknown_calibration_is_refused_with_the_known_ones(poseedge: Command) -> None:
    assert_refused(poseedge("export", "--model", "nanohtnet", "--calibration", "minmx"), "unknown --calibration", "minmax")


def test_steady_needs_layers_in_the_recipe(poseedge: Command, export_inputs: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "none.toml"
    recipe.write_text((export_inputs / "small.toml").read_text().replace("[int8]", "[int8]\ntwo_step = []"))
    arguments = ("--checkpoint", export_inputs / "small.pth", "--recipe", recipe, "--steady")
    assert_refused(poseedge("export", "--model", "nanohtnet", *arguments), "says int8.two_step = []", "--steady")


def test_pretraining_without_data_leaves_nothing(poseedge: Command, tmp_path: Path) -> None:
    assert_refused(poseedge("pretrain", "--data", tmp_path / "none", "--output", tmp_path / "run"), str(tmp_path / "none"))
    assert not (tmp_path / "run").exists()


def test_missing_data_folder_is_named(poseedge: Command, small_bundle: Path, tmp_path: Path) -> None:
    assert_refused(
        poseedge("eval", small_bundle, "--data", tmp_path / "none"), f"{tmp_path / 'none'}: no such data folder", "--data"
    )


def test_missing_data_folder_stops_an_export(poseedge: Command, inputs: list[object], tmp_path: Path) -> None:
    assert_refused(poseedge("export", *inputs, "--data", tmp_path / "none"), "no such data folder", "--data")


def test_missing_keypoints_are_told_with_those_that_are_there(poseedge: Command, small_bundle: Path, data: Path) -> None:
    outcome = poseedge("eval", small_bundle, "--data", data, "--keypoints", "cpn")
    assert_refused(outcome, "data_2d_excerpt_cpn.npz: no such file", "2D keypoints in this folder: gt")


def test_subject_that_the_data_set_lacks_is_named(poseedge: Command, small_bundle: Path, data: Path) -> None:
    assert_refused(poseedge("eval", small_bundle, "--data", data, "--subjects", "S9,S99"), "no subject S99", "it holds S1, S9")


@pytest.fixture
def bent(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a data set folder after bending it."""

    def write(bend: Callable[[folders.Folder], object]) -> Path:
        folder = folders.excerpt()
        bend(folder)
        (tmp_path / "bent").mkdir()
        return folder.write(tmp_path / "bent")

    return write


def test_npz_of_the_wrong_layout_is_told(poseedge: Command, small_bundle: Path, bent: Callable[..., Path]) -> None:
    folder = bent(lambda _: None)
    np.savez(folder / "data_3d_excerpt.npz", poses=np.zeros((4, 17, 3)))
    outcome = poseedge("eval", small_bundle, "--data", folder)
    assert_refused(outcome, "data_3d_excerpt.npz: expected a dictionary 'positions_3d'", "docs/data.md")


class Running:
    """Pickles as a call of ``os.system``."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def test_npz_whose_pickle_names_a_function_is_refused_and_nothing_runs(
    poseedge: Command, small_bundle: Path, bent: Callable[..., Path], tmp_path: Path
) -> None:
    folder = bent(lambda f: f.motion.update(S1=Running(f"touch {tmp_path / 'trace'}")))
    outcome = poseedge("eval", small_bundle, "--data", folder)
    assert_refused(
        outcome, "data_3d_excerpt.npz: refused, its pickle may hold arrays and plain containers only", "get the data set"
    )
    assert not (tmp_path / "trace").exists()


def test_keypoints_of_sixteen_joints_are_told(poseedge: Command, small_bundle: Path, bent: Callable[..., Path]) -> None:
    def sixteen(folder: folders.Folder) -> None:
        folder.tracks["S9"]["Walking 1"] = [track[:, :16] for track in folder.tracks["S9"]["Walking 1"]]

    outcome = poseedge("eval", small_bundle, "--data", bent(sixteen))
    assert_refused(outcome, "S9 'Walking 1' camera mocap17-cam0: expected numbers (T, 17, 2 or more), found float32 (8, 16, 2)")


def test_keypoints_that_are_not_finite_are_told(poseedge: Command, small_bundle: Path, bent: Callable[..., Path]) -> None:
    def spoil(folder: folders.Folder) -> None:
        folder.tracks["S9"]["Walking 1"][1][5, 3] = np.nan

    outcome = poseedge("eval", small_bundle, "--data", bent(spoil))
    assert_refused(outcome, "S9 'Walking 1' camera mocap17-cam1: NaN or infinity in frame 5", "missing detections")


def test_checkpoint_of_another_network_is_told(poseedge: Command, inputs: list[object], tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "mixste.pth", golden.network("mixste-f27"), {})
    outcome = poseedge("export", *inputs, "--checkpoint", tmp_path / "mixste.pth")
    assert_refused(outcome, "mixste.pth: holds mixste, not nanohtnet", "use --model mixste")


def test_missing_checkpoint_is_named(poseedge: Command, inputs: list[object], tmp_path: Path) -> None:
    assert_refused(
        poseedge("export", *inputs, "--checkpoint", tmp_path / "none.pth"), "none.pth: no such checkpoint", "a .pth file"
    )


def test_checkpoint_that_names_a_function_is_refused_and_nothing_runs(poseedge: Command, tmp_path: Path) -> None:
    torch.save({"state_dict": Running(f"touch {tmp_path / 'trace'}")}, tmp_path / "net.pth")
    outcome = poseedge("models", "--checkpoint", tmp_path / "net.pth")
    assert_refused(outcome, "net.pth: refused, it holds more than tensors", "torch.save(model.state_dict(), path)")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("verb", ["eval", "bench"])
def test_truncated_graph_is_told(poseedge: Command, small_bundle: Path, tmp_path: Path, verb: str) -> None:
    whole = (small_bundle / "nanohtnet_fp32.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    assert_refused(poseedge(verb, tmp_path / "cut.onnx"), "cut.onnx: ONNX Runtime cannot load it", "is it truncated?")


@pytest.mark.parametrize("verb", ["eval", "bench"])
def test_bundle_with_a_wrong_hash_is_told(poseedge: Command, own_bundle: Path, verb: str) -> None:
    with (own_bundle / "nanohtnet_fp16.onnx").open("ab") as stream:
        stream.write(b"\0")
    assert_refused(poseedge(verb, own_bundle), "nanohtnet_fp16.onnx: SHA-256 is", "export the bundle again")


def test_precision_that_a_bundle_does_not_hold_is_told(poseedge: Command, small_bundle: Path, data: Path) -> None:
    outcome = poseedge("eval", small_bundle, "--precision", "int4", "--data", data)
    assert_refused(outcome, "holds no int4 graph", "it holds: fp32, fp16, int8")


def test_single_file_knows_no_checkpoint(poseedge: Command, small_bundle: Path, data: Path) -> None:
    outcome = poseedge("eval", small_bundle / "nanohtnet_fp32.onnx", "--against", "checkpoint", "--data", data)
    assert_refused(outcome, "only a bundle knows its checkpoint", "--against model.pth")


def test_checkpoint_that_changed_is_told(
    poseedge: Command, own_bundle: Path, export_inputs: Path, data: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(export_inputs / "small.pth", tmp_path / "mine.pth"))
    manifest = json.loads((own_bundle / MANIFEST).read_text())
    manifest["checkpoint"] = {"file": str(path), "bundled": False, "sha256": sha256_of(path)}
    (own_bundle / MANIFEST).write_text(json.dumps(manifest))
    with path.open("ab") as stream:
        stream.write(b"\0")
    outcome = poseedge("eval", own_bundle, "--against", "checkpoint", "--data", data)
    assert_refused(outcome, "mine.pth: has changed since the bundle was exported", "export the bundle again")


def test_folder_of_somebody_else_is_not_overwritten(poseedge: Command, inputs: list[object], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"x")
    assert_refused(poseedge("export", *inputs, "--output", tmp_path / "photos"), "exists and is no bundle", "--output")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["1.jpg"]


def test_web_app_with_a_manifest_of_its_own_is_not_overwritten(poseedge: Command, inputs: list[object], tmp_path: Path) -> None:
    app = {"manifest.json": '{"name": "Shop", "start_url": "/"}', "src/index.js": "mine", "index.html": "mine"}
    (tmp_path / "app" / "src").mkdir(parents=True)
    for name, text in app.items():
        (tmp_path / "app" / name).write_text(text)
    assert_refused(poseedge("export", *inputs, "--output", tmp_path / "app"), "exists and is no bundle", "--output")
    assert {name: (tmp_path / "app" / name).read_text() for name in app} == app


def test_file_that_somebody_put_into_a_bundle_survives_its_export(
    poseedge: Command, inputs: list[object], own_bundle: Path
) -> None:
    (own_bundle / "notes.txt").write_text("mine")
    before = sha256_of(own_bundle / MANIFEST)
    outcome = poseedge("export", *inputs, "--output", own_bundle)
    assert_refused(outcome, "holds 'notes.txt', which poseedge did not write", "move that elsewhere first")
    assert ((own_bundle / "notes.txt").read_text(), sha256_of(own_bundle / MANIFEST)) == ("mine", before)


@pytest.mark.parametrize("verb", ["eval", "bench", "check", "sensitivity"])
def test_bundle_whose_float32_graph_is_the_int8_one_is_refused_by_the_verbs_that_measure(
    poseedge: Command, own_bundle: Path, verb: str
) -> None:
    manifest = json.loads((own_bundle / MANIFEST).read_text())
    manifest["graphs"]["fp32"]["file"] = manifest["graphs"]["int8"]["file"]
    (own_bundle / MANIFEST).write_text(json.dumps(manifest))
    assert_refused(poseedge(verb, own_bundle), "is a graph in int8, and the manifest calls it fp32", "export the bundle again")


@pytest.mark.parametrize("verb", ["eval", "bench", "check", "sensitivity"])
def test_graph_that_no_hash_vouches_for_is_refused_by_the_verbs_that_measure(
    poseedge: Command, own_bundle: Path, verb: str
) -> None:
    manifest = json.loads((own_bundle / MANIFEST).read_text())
    del manifest["files"]["nanohtnet_fp32.onnx"]
    (own_bundle / MANIFEST).write_text(json.dumps(manifest))
    assert_refused(poseedge(verb, own_bundle), "names 'nanohtnet_fp32.onnx', and has no hash of it", "export the bundle again")


def test_recipe_with_a_mistake_is_told_with_its_place(poseedge: Command, inputs: list[object], tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text(RECIPE.replace("windows", "window"))
    assert_refused(poseedge("export", *inputs, "--recipe", tmp_path / "wrong.toml"), "wrong.toml: int8.window: ")


def test_unknown_network_to_train_suggests_the_nearest(poseedge: Command, tmp_path: Path) -> None:
    outcome = poseedge("train", "--model", "nanohtnett", "--data", folders.MINI, "--output", tmp_path / "run")
    assert_refused(outcome, "unknown model 'nanohtnett'", "did you mean 'nanohtnet'?")
    assert not (tmp_path / "run").exists()


def test_precision_that_the_target_does_not_take_is_refused_with_the_reason(poseedge: Command, inputs: list[object]) -> None:
    outcome = poseedge("export", *inputs, "--target", "jetson-nano", "--precision", "int8")
    assert_refused(outcome, "jetson-nano takes fp32, fp16, not int8: Maxwell (sm_53) has no INT8 arithmetic", "--target")
