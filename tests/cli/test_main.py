"""The command line as a user meets it: results on standard output, one clear line for an error, status 0, 1 or 2."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.bundle import MANIFEST
from poseedge.cli.app import main
from poseedge.errors import PoseedgeError
from poseedge.files import sha256_of
from poseedge.models.checkpoints import save_checkpoint
from poseedge.skeleton import JOINT_NAMES
from tests.data import folders
from tests.deploy.small_export import RECIPE
from tests.models import golden

VERBS = ("models", "export", "eval", "bench", "train", "doctor")


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Outcome]


@pytest.fixture
def poseedge(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Return the command, run in this process from an empty folder."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["poseedge", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as exit_status:
            status = int(exit_status.code or 0)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def data(export_inputs: Path) -> Path:
    return export_inputs / "data"


def assert_refused(outcome: Outcome, error: str, hint: str = "") -> None:
    """Check for status 2, one line that says what is wrong and at most one that says what to do, and nothing else."""
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(("error: ", "hint: "))]
    assert outcome.status == 2, outcome
    assert error in said[0], outcome.err
    assert hint in "".join(said[1:]), outcome.err
    assert len(said) <= 2
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert list(Path.cwd().iterdir()) == []  # nothing is left behind


# As it is installed


def test_installed_command_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from poseedge.cli.app import main; main()", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in VERBS)


def test_installed_command_refuses_without_a_traceback(tmp_path: Path) -> None:
    program = "from poseedge.cli.app import main; main()"
    command = [sys.executable, "-c", program, "eval", "none.onnx"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: none.onnx: no such file or bundle"
    assert "Traceback" not in done.stderr


# Usage


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_gives_an_example(poseedge: Command, verb: str) -> None:
    outcome = poseedge(verb, "--help")
    assert outcome.status == 0
    assert f"Example: poseedge {verb}" in outcome.out


@pytest.mark.parametrize(
    "arguments", [["evaluate"], ["eval"], ["eval", "x", "--every", "0"], ["export"], ["bench", "x", "--speed"]]
)
def test_wrong_usage_exits_with_two(poseedge: Command, arguments: list[str]) -> None:
    outcome = poseedge(*arguments)
    assert outcome.status == 2
    assert "Traceback" not in outcome.err


def test_debug_gives_the_traceback(poseedge: Command, tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="no such file or bundle"):
        poseedge("eval", tmp_path / "none.onnx", "--debug")


def test_bug_is_told_as_one_and_without_a_traceback(
    poseedge: Command, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poseedge.cli.evaluate.load_dataset", lambda *_: 1 / 0)
    outcome = poseedge("eval", small_bundle)
    assert outcome.status == 2
    assert outcome.err.startswith("unexpected error: ZeroDivisionError")
    assert "run again with --debug" in outcome.err


# eval


def test_eval_json_has_the_contract_s_keys(poseedge: Command, small_bundle: Path, data: Path) -> None:
    outcome = poseedge("eval", small_bundle, "--data", data, "--json")
    report = outcome.json
    assert outcome.status == 0
    assert {
        *("artefact", "backend", "precision", "dataset", "keypoints", "flip", "frames"),
        *("mpjpe_mm", "p_mpjpe_mm", "mpjve_mm", "by_action", "by_joint_mm"),
    } <= report.keys()
    assert "parity" not in report
    assert (report["artefact"], report["backend"], report["precision"]) == (str(small_bundle), "onnxruntime", "fp32")
    assert (report["dataset"], report["keypoints"], report["flip"], report["frames"]) == ("excerpt", "gt", False, 32)
    assert report["by_action"].keys() == {"Walking"}
    assert report["by_joint_mm"].keys() == set(JOINT_NAMES)


def test_eval_against_the_checkpoint_gives_parity(poseedge: Command, small_bundle: Path, data: Path) -> None:
    outcome = poseedge("eval", small_bundle, "--precision", "int8", "--against", "checkpoint", "--data", data, "--json")
    found = outcome.json["parity"]
    assert outcome.status == 0
    assert found.keys() == {
        *("against", "mpjpe_mm", "delta_mpjpe_mm", "distance_mm", "jitter_mm", "by_joint_mm", "limits", "passed"),
    }
    assert found["distance_mm"].keys() == {"mean", "p99", "max"}
    assert found["jitter_mm"].keys() == {"this", "against"}
    assert (found["against"], found["passed"]) == ("checkpoint", True)


def test_eval_against_another_file_gives_parity(poseedge: Command, small_bundle: Path, data: Path) -> None:
    other = small_bundle / "nanohtnet_fp16.onnx"
    found = poseedge("eval", small_bundle / "nanohtnet_fp32.onnx", "--against", other, "--data", data, "--json").json["parity"]
    assert found["distance_mm"]["mean"] > 0
    assert (found["limits"], found["passed"]) == (None, None)


def test_missed_parity_exits_with_one_and_still_reports(poseedge: Command, own_bundle: Path, data: Path) -> None:
    manifest = json.loads((own_bundle / MANIFEST).read_text())
    manifest["limits"]["int8"] = {"delta_mpjpe_mm": 1e-6, "mean_mm": 1e-6, "p99_mm": 1e-6}
    (own_bundle / MANIFEST).write_text(json.dumps(manifest))
    outcome = poseedge("eval", own_bundle, "--precision", "int8", "--against", "checkpoint", "--data", data, "--json")
    assert outcome.status == 1
    assert outcome.json["parity"]["passed"] is False


def test_eval_table_ends_with_the_next_command(poseedge: Command, small_bundle: Path, data: Path) -> None:
    outcome = poseedge("eval", small_bundle, "--against", "checkpoint", "--data", data)
    assert "within the limits" in outcome.out
    assert outcome.out.strip().splitlines()[-1] == f"next: poseedge bench {small_bundle}"


def test_eval_of_a_checkpoint_with_flip(poseedge: Command, export_inputs: Path, data: Path) -> None:
    report = poseedge("eval", export_inputs / "small.pth", "--data", data, "--flip", "--json").json
    assert (report["backend"], report["flip"]) == ("torch", True)


def test_eval_of_every_nth_frame_has_no_velocity(poseedge: Command, small_bundle: Path, data: Path) -> None:
    report = poseedge("eval", small_bundle, "--data", data, "--every", "4", "--json").json
    assert (report["frames"], report["mpjve_mm"]) == (8, None)


def test_eval_of_chosen_subjects(poseedge: Command, small_bundle: Path, data: Path) -> None:
    assert poseedge("eval", small_bundle, "--data", data, "--subjects", "S1,S9", "--json").json["frames"] == 64


# bench


def test_bench_json_has_the_contract_s_keys(poseedge: Command, small_bundle: Path) -> None:
    outcome = poseedge("bench", small_bundle, "--rounds", "1", "--json")
    report = outcome.json
    assert outcome.status == 0
    assert report.keys() == {"machine", "method", "rows"}
    for row in report["rows"]:
        assert {
            *("artefact", "model", "precision", "backend", "provider", "batch", "threads", "frames_out", "latency_ms"),
            *("flops", "params", "file_bytes", "peak_rss_bytes", "mpjpe_mm"),
        } <= row.keys()
        assert {"p50", "p90", "p99", "mean", "std", "n"} <= row["latency_ms"].keys()
    found = [(row["backend"], row["precision"]) for row in report["rows"]]
    assert found == [("torch", "fp32"), *(("onnxruntime", precision) for precision in ("fp32", "fp16", "int8"))]


# export


@pytest.fixture
def inputs(export_inputs: Path) -> list[object]:
    """Return the options of a small export."""
    options = {"--recipe": "small.toml", "--checkpoint": "small.pth", "--data": "data", "--calib": "data"}
    return ["--model", "nanohtnet", *(word for option, name in options.items() for word in (option, export_inputs / name))]


def test_export_json_is_the_manifest(poseedge: Command, inputs: list[object], tmp_path: Path) -> None:
    outcome = poseedge("export", *inputs, "--output", tmp_path / "b", "--precision", "fp32", "--json")
    assert outcome.status == 0
    written = json.loads((tmp_path / "b" / MANIFEST).read_text())
    assert outcome.json == {key: value for key, value in written.items() if key not in {"format", "files"}}


def test_export_goes_to_build_and_ends_with_the_next_command(poseedge: Command, inputs: list[object]) -> None:
    outcome = poseedge("export", *inputs, "--precision", "fp32")
    assert outcome.status == 0
    assert (Path("build") / "nanohtnet" / MANIFEST).is_file()
    assert outcome.out.strip().splitlines()[-1] == "next: poseedge bench build/nanohtnet"


def test_export_that_misses_a_limit_exits_with_one_and_keeps_the_bundle(
    poseedge: Command, export_inputs: Path, inputs: list[object], tmp_path: Path
) -> None:
    (tmp_path / "strict.toml").write_text(RECIPE.replace("mean_mm = 0.1", "mean_mm = 1e-9"))
    outcome = poseedge("export", *inputs, "--recipe", tmp_path / "strict.toml", "--precision", "fp32", "--output", tmp_path / "b")
    assert outcome.status == 1
    assert "MISSED" in outcome.out
    assert (tmp_path / "b" / MANIFEST).is_file()


def test_precision_that_the_target_does_not_take_is_refused_with_the_reason(poseedge: Command, inputs: list[object]) -> None:
    outcome = poseedge("export", *inputs, "--target", "jetson-nano", "--precision", "int8")
    assert_refused(outcome, "jetson-nano takes fp32, fp16, not int8: TensorRT 8.2 reads", "--target")


# models


def test_models_json_has_a_row_for_every_lifting_network(poseedge: Command) -> None:
    outcome = poseedge("models", "--json")
    assert outcome.status == 0
    assert {"nanohtnet", "mixste", "mhformer"} <= {row["name"] for row in outcome.json}


def test_models_recognises_a_checkpoint(poseedge: Command, export_inputs: Path) -> None:
    found = poseedge("models", "--checkpoint", export_inputs / "small.pth", "--json").json
    assert (found["model"], found["config"]["channel"]) == ("nanohtnet", 48)


# Bad input


def test_unknown_model_suggests_the_nearest(poseedge: Command) -> None:
    assert_refused(poseedge("export", "--model", "nanohtnett"), "'nanohtnett'", "did you mean 'nanohtnet'?")


def test_unknown_target_suggests_the_nearest(poseedge: Command) -> None:
    outcome = poseedge("export", "--model", "nanohtnet", "--target", "jetson-nanno")
    assert_refused(outcome, "unknown target 'jetson-nanno'", "did you mean 'jetson-nano'?")


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
    assert_refused(outcome, "mixste.pth: holds mixste, the recipe is for nanohtnet", "use --model mixste")


def test_missing_checkpoint_is_named(poseedge: Command, inputs: list[object], tmp_path: Path) -> None:
    assert_refused(
        poseedge("export", *inputs, "--checkpoint", tmp_path / "none.pth"), "none.pth: no such checkpoint", "--checkpoint"
    )


def test_checkpoint_that_names_a_function_is_refused_and_nothing_runs(poseedge: Command, tmp_path: Path) -> None:
    import torch

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


def test_recipe_with_a_mistake_is_told_with_its_place(poseedge: Command, inputs: list[object], tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text(RECIPE.replace("windows", "window"))
    assert_refused(poseedge("export", *inputs, "--recipe", tmp_path / "wrong.toml"), "wrong.toml: int8.window: ")


def test_unknown_network_to_train_suggests_the_nearest(poseedge: Command, tmp_path: Path) -> None:
    outcome = poseedge("train", "--model", "nanohtnett", "--data", folders.MINI, "--output", tmp_path / "run")
    assert_refused(outcome, "unknown model 'nanohtnett'", "did you mean 'nanohtnet'?")
    assert not (tmp_path / "run").exists()
