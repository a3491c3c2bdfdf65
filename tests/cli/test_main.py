"""The command line as a user meets it: results on standard output, progress on standard error, status 0, 1 or 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from poseedge.bundle.manifest import MANIFEST, Manifest
from poseedge.cli.verbs.export import show
from poseedge.errors import PoseedgeError
from poseedge.skeleton import JOINT_NAMES
from tests.support.engines import write_graph
from tests.support.small_export import RECIPE
from tests.support.user import Command

VERBS = ("models", "export", "eval", "bench", "train", "doctor")


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
    monkeypatch.setattr("poseedge.cli.verbs.evaluate.open_dataset", lambda *_: 1 / 0)
    outcome = poseedge("eval", small_bundle)
    assert outcome.status == 2
    assert outcome.err.startswith("unexpected error: ZeroDivisionError")
    assert "run again with --debug" in outcome.err


def test_full_disk_is_no_bug(poseedge: Command, small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "here.json")

    monkeypatch.setattr("poseedge.cli.verbs.evaluate.open_dataset", full)
    outcome = poseedge("eval", small_bundle)
    assert (outcome.status, outcome.err) == (2, "error: here.json: No space left on device\n")


# eval


def test_other_artefact_is_opened_before_anything_runs(
    poseedge: Command, small_bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poseedge.cli.verbs.evaluate.predict_all", lambda *_: 1 / 0)
    outcome = poseedge("eval", small_bundle, "--data", data, "--against", "nothing")
    assert (outcome.status, outcome.err.splitlines()[0]) == (2, "error: nothing: no such file or bundle")


def test_another_network_is_named_as_one(poseedge: Command, small_bundle: Path, data: Path, tmp_path: Path) -> None:
    other = write_graph(tmp_path / "other.onnx")
    outcome = poseedge("eval", small_bundle, "--data", data, "--against", other)
    assert f"{other} is other on windows of 9 frames: not one network" in outcome.err


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


def test_bench_json_has_the_contract_s_keys(poseedge: Command, small_bundle: Path, no_cold_starts: None) -> None:
    outcome = poseedge("bench", small_bundle, "--rounds", "1", "--backend", "onnxruntime", "--json")
    report = outcome.json
    assert outcome.status == 0
    assert report.keys() >= {"machine", "method", "rows", "notes"}
    for row in report["rows"]:
        assert {
            *("artefact", "model", "precision", "backend", "provider", "batch", "threads", "frames_out", "latency_ms"),
            *("flops", "params", "file_bytes", "peak_rss_bytes", "mpjpe_mm"),
        } <= row.keys()
        assert {"p50", "p90", "p99", "mean", "std", "n"} <= row["latency_ms"].keys()
    found = [(row["backend"], row["precision"]) for row in report["rows"]]
    assert found == [("torch", "fp32"), *(("onnxruntime", precision) for precision in ("fp32", "fp16", "int8"))]


# export


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


@pytest.mark.parametrize(("times", "steady", "named"), [(2.1, False, True), (1.9, False, False), (2.1, True, False)])
def test_export_names_the_fix_of_jitter(
    small_bundle: Path, capsys: pytest.CaptureFixture[str], times: float, steady: bool, named: bool
) -> None:
    manifest = json.loads((small_bundle / MANIFEST).read_text())
    manifest["parity"]["int8"]["against_reference"]["jitter_mm"] = {"this": times, "against": 1.0}
    manifest["parity"]["int8"]["overlap"]["jitter_mm"] = {"this": 2.4, "against": 2.0}
    manifest["parity"]["fp16"]["against_reference"]["jitter_mm"] = {"this": 9.0, "against": 1.0}
    show(Manifest.model_validate(manifest), small_bundle, True, steady)
    found = " ".join(capsys.readouterr().out.split())
    said = f"int8 {times:.1f} times (1.2 times where overlapping windows are averaged, as lift does); --steady mends it"
    assert (said in found) == named
    assert "1.20x" in found


# models


def test_models_json_has_a_row_for_every_lifting_network(poseedge: Command) -> None:
    outcome = poseedge("models", "--json")
    assert outcome.status == 0
    assert {"nanohtnet", "mixste", "mhformer"} <= {row["name"] for row in outcome.json}


def test_models_recognises_a_checkpoint(poseedge: Command, export_inputs: Path) -> None:
    found = poseedge("models", "--checkpoint", export_inputs / "small.pth", "--json").json
    assert (found["model"], found["config"]["channel"]) == ("nanohtnet", 48)
