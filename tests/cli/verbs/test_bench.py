"""``poseedge bench`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from poseedge.bench.compare import compare_reports
from poseedge.bench.report import Report
from poseedge.bench.results import Row
from poseedge.cli.verbs import bench as verb
from poseedge.cli.verbs.bench import bench
from poseedge.errors import ArtefactError, PoseedgeError
from tests.support import samples

pytestmark = pytest.mark.usefixtures("no_cold_starts")
QUICK = ("--rounds", "1", "--backend", "onnxruntime", "--frames", "30")
app = typer.Typer()
app.command()(bench)
runner = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with its checkpoint beside it."""
    root = tmp_path_factory.mktemp("bench")
    return samples.bundle(root / "bundle", samples.checkpoint(root / "small.pth"))


@pytest.mark.slow
def test_json_is_all_that_goes_to_standard_output(folder: Path) -> None:
    result = runner.invoke(app, [str(folder), *QUICK, "--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [row["precision"] for row in rows] == ["fp32", "fp32", "int8"]


@pytest.mark.slow
def test_table_ends_with_the_next_command(folder: Path) -> None:
    result = runner.invoke(app, [str(folder), *QUICK])
    last = result.stdout.strip().splitlines()[-1]
    assert last.startswith(f"next: poseedge eval {folder} --precision ")


@pytest.mark.slow
def test_table_names_every_file_and_is_not_cut(folder: Path) -> None:
    result = runner.invoke(app, [str(folder), *QUICK, "--evicted"])
    for text in ("small.pth", "fp32.onnx", "int8.onnx", "evicted", "MPJPE", "MFLOP", "peak RSS"):
        assert text in result.stdout
    assert "…" not in result.stdout


@pytest.mark.slow
def test_report_is_also_written_to_a_file(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "results" / "report.json"
    result = runner.invoke(app, [str(folder / "fp32.onnx"), *QUICK, "--json", "--output", str(output)])
    assert json.loads(output.read_text()) == json.loads(result.stdout)


@pytest.mark.slow
def test_several_artefacts_share_one_measurement(folder: Path) -> None:
    result = runner.invoke(app, [str(folder / "fp32.onnx"), str(folder / "int8.onnx"), *QUICK, "--json"])
    assert [Path(row["artefact"]).name for row in json.loads(result.stdout)["rows"]] == ["fp32.onnx", "int8.onnx"]


def test_reports_are_written_in_every_form(folder: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / f"report.{suffix}" for suffix in ("json", "md", "csv", "html")]
    result = runner.invoke(
        app, [str(folder / "fp32.onnx"), *QUICK, *(word for path in outputs for word in ("--output", str(path)))]
    )
    assert result.exit_code == 0, result.output
    assert all(path.stat().st_size > 500 for path in outputs)
    assert "<!doctype html>" in outputs[3].read_text()
    assert f"written: {outputs[3]}" in result.stdout


def test_unknown_suffix_is_refused_before_any_work(tmp_path: Path) -> None:
    found = runner.invoke(app, [str(tmp_path / "none.onnx"), "--output", str(tmp_path / "report.pdf")]).exception
    assert isinstance(found, PoseedgeError)
    assert "reports are written as the suffix says" in found.message
    assert list(tmp_path.iterdir()) == []


def test_report_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = runner.invoke(app, [str(tmp_path / "none.onnx"), "--output", str(tmp_path / "file" / "report.html")]).exception
    assert isinstance(found, PoseedgeError)
    assert "report.html: cannot be written" in found.message


def test_what_was_measured_is_shown_and_written_even_where_it_cannot_be_judged(folder: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    runner.invoke(app, [str(folder / "int8.onnx"), *QUICK, "--output", str(old)])
    result = runner.invoke(app, [str(folder / "fp32.onnx"), *QUICK, "--compare", str(old), "--output", str(new)])
    assert isinstance(result.exception, PoseedgeError)
    assert "holds none of these artefacts" in result.exception.message
    assert "Latency, ms" in result.stdout
    assert json.loads(new.read_text())["compared"] is None


def test_disk_that_fills_up_takes_the_file_but_not_the_table(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(verb, "write_report", full)
    result = runner.invoke(app, [str(folder / "fp32.onnx"), *QUICK, "--output", str(tmp_path / "r.html")])
    assert isinstance(result.exception, OSError)
    assert "Latency, ms" in result.stdout
    assert "written" not in result.stdout


def test_accuracy_stands_beside_speed(folder: Path) -> None:
    rows = json.loads(runner.invoke(app, [str(folder / "fp32.onnx"), str(folder / "int8.onnx"), *QUICK, "--json"]).stdout)["rows"]
    for row in rows:
        assert row["accuracy"]["frames"] == 120
        assert row["accuracy"]["reference"] == "fp32.onnx on onnxruntime"
        assert row["mpjpe_mm"] == row["accuracy"]["mpjpe_mm"]
        assert row["accuracy"]["overlap_jitter_ratio"] == pytest.approx(1)
        assert row["cold"]["total_ms"] > row["cold"]["load_ms"] > 0
        assert row["ratio"]["value"] > 0


def test_without_a_test_the_bundle_s_own_proof_is_shown(folder: Path) -> None:
    arguments = [str(folder), "--rounds", "1", "--backend", "onnxruntime", "--frames", "0", "--precision", "int8", "--json"]
    rows = json.loads(runner.invoke(app, arguments).stdout)["rows"]
    assert [(row["mpjpe_mm"], row["delta_mpjpe_mm"], row["accuracy"]) for row in rows] == [(39.0, 0.0, None), (39.4, 0.4, None)]


def test_batches_and_threads_are_rows_and_a_table_of_throughput(folder: Path) -> None:
    result = runner.invoke(app, [str(folder / "fp32.onnx"), *QUICK, "--batch", "1,4", "--json"])
    rows = json.loads(result.stdout)["rows"]
    assert [(row["batch"], row["threads"]) for row in rows] == [(1, 1), (4, 1)]
    assert rows[1]["throughput_windows_per_s"] == pytest.approx(4000 / rows[1]["latency_ms"]["p50"])
    assert [row["peak_rss_bytes"] is None for row in rows] == [False, True]
    assert "Windows per second" in runner.invoke(app, [str(folder / "fp32.onnx"), *QUICK, "--batch", "1,4"]).stdout


def test_backends_that_work_here_are_the_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(verb, "working_backends", lambda: ["onnxruntime", "openvino"])
    result = runner.invoke(app, [str(folder / "fp32.onnx"), "--rounds", "1", "--frames", "0", "--json"])
    assert [row["backend"] for row in json.loads(result.stdout)["rows"]] == ["onnxruntime", "openvino"]


def test_compiled_pytorch_stands_beside_eager_and_takes_no_graph_s_runtime_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "working_backends", lambda: ["onnxruntime", "openvino"])
    assert verb.complete(["torch-compile"], graphs=True) == ["torch", "torch-compile", "onnxruntime", "openvino"]
    assert verb.complete(["torch-compile"], graphs=False) == ["torch", "torch-compile"]
    assert verb.complete(["openvino"], graphs=True) == ["openvino"]
    assert verb.complete(["nonsense"], graphs=False) == ["nonsense"]


def test_recommendation_is_one_sentence_and_status_0(folder: Path) -> None:
    result = runner.invoke(app, [str(folder / "fp32.onnx"), str(folder / "int8.onnx"), *QUICK, "--recommend"])
    assert result.exit_code == 0, result.output
    assert "ship " in result.stdout
    assert "within 0.5 mm" in result.stdout


def test_nothing_that_fits_is_status_1_and_still_reports(folder: Path) -> None:
    result = runner.invoke(app, [str(folder / "fp32.onnx"), *QUICK, "--recommend", "--ms", "0", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["recommendation"]["artefact"] is None
    assert "nothing here is within" in result.stderr


@pytest.mark.parametrize("option", [("--budget-mm", "1"), ("--max-jitter", "2"), ("--ms", "5")])
def test_limit_without_recommend_is_refused(option: tuple[str, str]) -> None:
    found = runner.invoke(app, ["a.onnx", *option]).exception
    assert isinstance(found, PoseedgeError)
    assert option[0] in found.message


def test_regression_is_status_1_and_the_same_speed_is_not(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    graph = str(folder / "fp32.onnx")
    assert runner.invoke(app, [graph, *QUICK, "--output", str(old)]).exit_code == 0
    gate = [graph, *QUICK, "--compare", str(old), "--fail-above"]
    passed = runner.invoke(app, [*gate, "1000"])
    assert passed.exit_code == 0, passed.output
    assert "nothing takes more than 1000 times as long" in passed.stdout
    failed = runner.invoke(app, [*gate, "0.0001"])
    assert failed.exit_code == 1
    assert "SLOWER" in failed.stdout


def test_verdict_on_what_got_slower_says_how_sure_it_is_and_at_which_batch() -> None:
    def timed(p50: float) -> Row:
        return samples.row(p50, batch=8, blocks_ms=[p50 * (1 + 0.01 * (n % 3)) for n in range(30)])

    method = {"threads": 1, "batch": 8, "timed_calls_per_block": 8}
    old = Report({}, method, [timed(1.0)]).document()
    compared = compare_reports([timed(1.5)], old, Path("old.json"), 1.1)
    [said] = verb.verdicts(Report({}, method, [timed(1.5)], compared=compared))
    assert said == "fp32.onnx on onnxruntime, batch 8: 1.500 times as slow as in old.json (95 %: 1.485 to 1.515)"


def test_report_of_another_machine_is_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    runner.invoke(app, [str(folder / "fp32.onnx"), *QUICK, "--output", str(old)])
    content = json.loads(old.read_text())
    content["machine"]["cpu"] = "another"
    old.write_text(json.dumps(content))
    found = runner.invoke(app, [str(tmp_path / "none.onnx"), "--compare", str(old)]).exception
    assert isinstance(found, PoseedgeError)
    assert "was measured on another machine" in found.message


def test_limit_of_a_comparison_needs_one(folder: Path) -> None:
    found = runner.invoke(app, [str(folder / "fp32.onnx"), "--fail-above", "1.1"]).exception
    assert isinstance(found, PoseedgeError)
    assert found.hint == "name it with --compare"


@pytest.mark.parametrize("words", ["", "1,", "a", "1,0", "-1", "1.5"])
def test_what_is_no_list_of_numbers_is_bad_usage(words: str) -> None:
    assert runner.invoke(app, ["a.onnx", f"--batch={words}"]).exit_code == 2


def test_artefact_that_does_not_exist_is_our_error(tmp_path: Path) -> None:
    assert isinstance(runner.invoke(app, [str(tmp_path / "none.onnx")]).exception, ArtefactError)


def test_bundle_that_was_tampered_with_is_our_error(tmp_path: Path) -> None:
    folder = samples.bundle(tmp_path / "bundle", samples.checkpoint(tmp_path / "small.pth"))
    (folder / "int8.onnx").write_bytes(b"x")
    assert isinstance(runner.invoke(app, [str(folder)]).exception, ArtefactError)


@pytest.mark.parametrize("option", ["--threads", "--batch", "--rounds"])
def test_zero_is_bad_usage(option: str) -> None:
    assert runner.invoke(app, ["a.onnx", option, "0"]).exit_code == 2


def test_help_gives_an_example() -> None:
    assert "poseedge bench build/nanohtnet" in runner.invoke(app, ["--help"]).stdout
