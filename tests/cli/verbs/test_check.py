"""``poseedge check`` and ``poseedge targets`` as a user types them."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from poseedge.bundle.reading import open_bundle
from poseedge.cli.verbs.check import say_next
from poseedge.targets.aot import compiler, missing_part
from poseedge.targets.boards import load_target
from tests.support import qdq_graphs, small_graphs
from tests.support.user import Command, assert_refused

FINDING = {"rule", "severity", "node", "message", "fix", "source", "graph"}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.onnx"
    onnx.save(small_graphs.unary("DFT"), path)
    return path


def test_bundle_passes_on_the_target_that_it_was_made_for(poseedge: Command, small_bundle: Path) -> None:
    outcome = poseedge("check", small_bundle, "--json")
    assert outcome.status == 0, outcome
    assert (outcome.json["target"], outcome.json["passed"]) == ("default", True)
    assert [graph["precision"] for graph in outcome.json["graphs"]] == ["fp32", "fp16", "int8"]
    assert {finding["severity"] for finding in outcome.json["findings"]} <= {"warning", "note"}


def test_bundle_of_opset_17_is_refused_for_the_nano(poseedge: Command, small_bundle: Path) -> None:
    outcome = poseedge("check", small_bundle, "--target", "jetson-nano", "--json")
    assert (outcome.status, outcome.json["passed"]) == (1, False)
    assert all(finding.keys() == FINDING for finding in outcome.json["findings"])
    rules = {(finding["graph"], finding["rule"]) for finding in outcome.json["findings"]}
    assert {("nanohtnet_fp32.onnx", "opset"), ("nanohtnet_int8.onnx", "int8-board")} <= rules


def test_table_tells_rule_place_and_fix_for_and_ends_with_the_next_command(poseedge: Command, broken: Path) -> None:
    outcome = poseedge("check", broken, "--target", "jetson-orin-nano")
    assert outcome.status == 1
    for part in ("operator", "bad: TensorRT 10.3 does not read DFT", "multiply by the constant DCT", "docs/operators.md"):
        assert part in outcome.out
    assert outcome.out.strip().splitlines()[-1] == "next: poseedge export --model MODEL --target jetson-orin-nano"


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("default", "poseedge bench {}"),
        ("jetson-orin-nano", "poseedge build {}, on the board"),
        ("jetson-orin-nano-jp6.0", "poseedge build {}, on the board"),
    ],
)
def test_what_passes_goes_on_to_where_it_will_run(poseedge: Command, small_bundle: Path, target: str, command: str) -> None:
    outcome = poseedge("check", small_bundle, "--target", target)
    assert outcome.out.strip().splitlines()[-1] == "next: " + command.format(small_bundle)


def test_board_with_an_old_python_goes_on_to_the_bundle_s_runner(small_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say_next(small_bundle, open_bundle(small_bundle), load_target("jetson-nano"), True)
    assert capsys.readouterr().out == f"next: python3 run.py, inside {small_bundle} on the board\n"


def test_estimate_stands_beside_the_findings_with_its_assumptions(poseedge: Command, small_bundle: Path) -> None:
    outcome = poseedge("check", small_bundle, "--target", "jetson-orin-nano")
    assert "ESTIMATE of one window on jetson-orin-nano" in outcome.out
    assert "assumes one kernel for every product" in outcome.out
    content = poseedge("check", small_bundle, "--target", "jetson-orin-nano", "--json").json
    assert all(graph["estimate"]["latency_ms"] > 0 for graph in content["graphs"])
    assert content["assumptions"]


def test_board_without_int8_has_no_estimate_of_it(poseedge: Command, small_bundle: Path) -> None:
    outcome = poseedge("check", small_bundle, "--target", "jetson-tx2")
    assert "no estimate for int8: jetson-tx2 takes fp32, fp16, not int8" in outcome.out


def test_compile_says_what_to_install_where_it_cannot_run(
    poseedge: Command, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        compiler, "missing_part", lambda: ("the Python package x is not installed", "pip install 'poseedge[aot]'")
    )
    outcome = poseedge("check", small_bundle, "--compile")
    assert_refused(outcome, "NVIDIA's compiler cannot run here: the Python package x", "pip install 'poseedge[aot]'")


@pytest.mark.skipif(missing_part()[0] != "", reason="NVIDIA's compiler is not here")
def test_compile_shows_what_became_of_the_nodes(poseedge: Command, small_bundle: Path, broken: Path) -> None:
    outcome = poseedge("check", small_bundle, "--precision", "int8", "--compile", "--json")
    built = outcome.json["graphs"][0]["compiled"]
    assert (outcome.status, built["outside"], built["error"]) == (0, [], "")
    assert built["nodes"] == outcome.json["graphs"][0]["nodes"]
    refused = poseedge("check", broken, "--compile", "--json")
    assert refused.status == 1
    assert "compile" in {finding["rule"] for finding in refused.json["findings"]}


def test_one_precision_of_a_bundle_can_be_checked(poseedge: Command, small_bundle: Path) -> None:
    outcome = poseedge("check", small_bundle, "--precision", "fp16", "--target", "jetson-thor", "--json")
    assert [graph["file"] for graph in outcome.json["graphs"]] == ["nanohtnet_fp16.onnx"]


def test_weights_in_another_file_are_found(poseedge: Command, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(qdq_graphs.quantized(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    outcome = poseedge("check", path, "--json")
    assert "external-data" in {finding["rule"] for finding in outcome.json["findings"]}
    assert outcome.status == 0
    (tmp_path / "weights.bin").unlink()
    assert_refused(poseedge("check", path), f"{path}: not a readable ONNX file", "weights missing beside it")


def test_missing_file_is_told(poseedge: Command, tmp_path: Path) -> None:
    assert_refused(poseedge("check", tmp_path / "none.onnx"), "none.onnx: no such file", "bundle folder or an .onnx file")


def test_file_that_is_no_graph_is_told(poseedge: Command, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    assert_refused(poseedge("check", tmp_path / "text.onnx"), "text.onnx: not ", "")
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert_refused(poseedge("check", tmp_path / "empty.onnx"), "empty.onnx: not an ONNX graph", "")


def test_unknown_target_suggests_the_nearest(poseedge: Command, broken: Path) -> None:
    outcome = poseedge("check", broken, "--target", "jetson-orin-nanno")
    assert_refused(outcome, "unknown target 'jetson-orin-nanno'", "did you mean 'jetson-orin-nano'?")


def test_precision_of_a_single_graph_is_refused(poseedge: Command, broken: Path) -> None:
    assert_refused(poseedge("check", broken, "--precision", "fp16"), "is one graph", "leave --precision out")


def test_damaged_bundle_is_told(poseedge: Command, small_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_bundle, tmp_path / "own"))
    (folder / "nanohtnet_fp16.onnx").write_bytes(b"no graph")
    assert_refused(poseedge("check", folder), "nanohtnet_fp16.onnx: SHA-256", "damaged")


def test_targets_are_shown_with_their_jetpacks(poseedge: Command) -> None:
    outcome = poseedge("targets")
    assert outcome.status == 0
    for part in ("jetson-nano", "jetson-orin-nano-super", "10.16.2", "JetPack lines"):
        assert part in outcome.out
    assert outcome.out.strip().splitlines()[-1].startswith("next: poseedge check")


def test_targets_json_holds_boards_and_sources(poseedge: Command) -> None:
    content = poseedge("targets", "--json").json
    nano = next(target for target in content["targets"] if target["name"] == "jetson-nano")
    assert (nano["opset"], nano["board"]["sm"], nano["jetpack"]["tensorrt"]) == (13, "5.3", "8.2.1")
    assert set(nano["board"]["sources"]) <= content["sources"].keys()
