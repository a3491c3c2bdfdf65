"""The report keeps its contract and says what the numbers do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poseedge.bench.report import Report, remarks, tables
from poseedge.bench.results import Advice, Row, Timing
from tests.support import samples

CONTRACT = {"artefact", "model", "precision", "backend", "provider", "batch", "threads", "frames_out", "latency_ms"}
CONTRACT |= {"flops", "params", "file_bytes", "peak_rss_bytes", "mpjpe_mm"}


def report(*rows: Row, load: float = 0.0, notes: list[str] | None = None) -> Report:
    machine: dict[str, Any] = {"load_average": load, "cores": 2}
    return Report(machine, {"threads": 1, "batch": 1, "timed_calls_per_block": 8}, list(rows), notes or [])


def printed(content: Report) -> str:
    return "\n".join(" ".join([*grid.columns, *(f" {cell} " for row in grid.rows for cell in row)]) for grid in tables(content))


def test_json_holds_what_was_promised() -> None:
    content = report(samples.row(1.0)).to_json()
    assert content.keys() >= {"machine", "method", "rows", "notes"}
    assert content["format"] == 2
    assert content["rows"][0].keys() >= CONTRACT
    assert content["rows"][0]["latency_ms"].keys() == {"p50", "p90", "p99", "mean", "std", "n"}


def test_speed_stands_per_forward_and_per_output_frame() -> None:
    content = report(samples.row(3.0, batch=2, frames_out=5))
    assert content.to_json()["rows"][0]["latency_per_frame_ms"] == pytest.approx(0.3)
    assert "3.000" in printed(content)
    assert "0.3000" in printed(content)


def test_speedup_is_against_pytorch_on_the_same_model() -> None:
    content = report(samples.row(6.0, backend="torch"), samples.row(1.5), samples.row(1.0, model="other"))
    assert [row["speedup"] for row in content.to_json()["rows"]] == [1.0, 4.0, None]


@pytest.mark.parametrize("other", [{"frames_in": 243}, {"weights_sha256": "b" * 64}])
def test_speedup_and_int8_are_never_against_another_window_or_other_weights_of_the_model(other: dict[str, Any]) -> None:
    mine: dict[str, Any] = {"weights_sha256": "a" * 64}
    foreign = [samples.row(60.0, backend="torch", **{**mine, **other}), samples.row(0.1, **{**mine, **other})]
    own = [samples.row(6.0, backend="torch", **mine), samples.row(1.5, **mine), samples.row(1.0, precision="int8", **mine)]
    content = report(*foreign, *own)
    assert [row["speedup"] for row in content.to_json()["rows"]] == [1.0, 600.0, 1.0, 4.0, 6.0]
    assert not any("does not pay" in said for said in remarks(content))


def test_graph_that_does_not_tell_its_weights_is_taken_for_the_network_beside_it() -> None:
    content = report(samples.row(6.0, backend="torch", weights_sha256="a" * 64), samples.row(1.5))
    assert content.to_json()["rows"][1]["speedup"] == 4.0


def test_operations_are_shown_with_and_without_attention() -> None:
    text = printed(report(samples.row(1.0)))
    assert "2.0" in text
    assert "1.5" in text


def test_table_says_which_motion_the_errors_are_of() -> None:
    measured = report(samples.row(1.0, mpjpe_mm=40.0))
    assert "MPJPE" not in tables(measured)[0].title
    tested = replace(measured, method={**measured.method, "accuracy": "1075 frames of mocap17-mini, gt keypoints, one camera"})
    assert tables(tested)[0].title.endswith("1 thread; MPJPE: 1075 frames of mocap17-mini, gt keypoints, one camera")


def test_change_that_rounds_to_nothing_has_no_minus() -> None:
    text = printed(report(samples.row(1.0, delta_mpjpe_mm=-0.0001), samples.row(1.0, delta_mpjpe_mm=-0.0006)))
    assert " +0.000 " in text
    assert " -0.001 " in text
    assert "-0.000" not in text


def test_unknown_values_are_dashes() -> None:
    assert " - " in printed(report(samples.row(1.0, flops=None, flops_without_attention=None, nodes=None)))


def test_evicted_latency_has_a_column_when_it_was_measured() -> None:
    late = Timing(p50=2.5, p90=2.5, p99=2.5, mean=2.5, std=0.0, n=800)
    assert "evicted" not in printed(report(samples.row(1.0)))
    assert "2.500" in printed(report(samples.row(1.0, latency_evicted_ms=late)))


def test_int8_that_does_not_pay_is_named() -> None:
    assert any("int8 does not pay" in said for said in remarks(report(samples.row(1.0), samples.row(1.2, precision="int8"))))


def test_int8_that_pays_needs_no_remark() -> None:
    assert remarks(report(samples.row(1.2), samples.row(1.0, precision="int8"))) == []


def test_int8_is_compared_with_the_same_backend_only() -> None:
    rows = samples.row(1.0, backend="torch"), samples.row(1.2, precision="int8")
    assert remarks(report(*rows)) == []


def test_unsteady_latency_is_named() -> None:
    shaky = Timing(p50=1.0, p90=1.0, p99=1.0, mean=1.0, std=0.2, n=800)
    assert any("varies by up to 20%" in said for said in remarks(report(samples.row(1.0, latency_ms=shaky))))


def test_too_few_calls_for_a_99th_percentile_are_named() -> None:
    assert any("--rounds 83" in said for said in remarks(report(samples.row(1.0, calls=80))))


def halves(one: float, other: float) -> dict[str, Any]:
    return {"ratio": {"value": one, "low": None, "high": None, "halves": [one, other]}}


def test_halves_of_a_run_that_disagree_are_named_once_with_the_worst() -> None:
    rows = [samples.row(1.0, **halves(0.7, 0.72)), samples.row(1.0, **halves(0.7, 0.75)), samples.row(1.0, **halves(0.9, 0.7))]
    [said] = [said for said in remarks(report(*rows)) if "halves" in said]
    assert "on 2 ratios, most on fp32.onnx on onnxruntime (batch 1) 0.900 in the first, 0.700 in the second" in said


def test_what_others_took_of_the_cores_is_named() -> None:
    quiet, loud = report(samples.row(1.0)), report(samples.row(1.0))
    quiet.machine["others_share"], loud.machine["others_share"] = 0.04, 0.3
    assert remarks(quiet) == []
    assert any("other programs took 30%" in said for said in remarks(loud))


def test_load_of_the_minute_before_counts_only_where_the_work_of_others_is_not_known() -> None:
    content = report(samples.row(1.0), load=2.0)
    assert "load average 2.0" in remarks(content)[0]
    content.machine["others_share"] = 0.0
    assert remarks(content) == []


def test_artefacts_of_one_name_are_told_apart_by_their_folders() -> None:
    content = report(samples.row(1.0, artefact="a/x/fp32.onnx"), samples.row(1.0, artefact="b/x/fp32.onnx"))
    assert " a/x/fp32.onnx " in printed(content)
    assert " b/x/fp32.onnx " in printed(content)
    assert " x/fp32.onnx " not in printed(content)


def test_what_fails_makes_a_report_fail() -> None:
    assert report(samples.row(1.0)).passed
    assert not report(samples.row(1.0, passed=False)).passed
    nothing = Advice(artefact=None, precision=None, backend=None, sentence="nothing")
    assert not replace(report(samples.row(1.0)), advice=nothing).passed


def test_busy_machine_and_notes_are_passed_on() -> None:
    said = remarks(report(samples.row(1.0), load=2.0, notes=["no speed-up"]))
    assert said[0] == "no speed-up"
    assert "busy" in said[1]
