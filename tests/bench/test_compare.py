"""What moved since an earlier report is told, and what cannot be compared is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poseedge.bench.compare import check_machine, check_points, compare_reports, read_report
from poseedge.bench.report import Report
from poseedge.bench.results import BenchReport, Row
from poseedge.errors import PoseedgeError
from tests.support import samples

MACHINE = {"cpu": "AMD EPYC", "architecture": "x86_64", "cores_available": 2, "gpus": [], "jetson": None, "load_average": 0.1}
OLD = Path("old.json")


def blocks(p50: float) -> list[float]:
    return [p50 * (1 + 0.01 * (n % 3 - 1)) for n in range(30)]


def timed(p50: float, **changes: Any) -> Row:
    return samples.row(p50, blocks_ms=blocks(p50), **changes)


def with_ratio(value: float, precision: str = "int8") -> Row:
    return timed(value, precision=precision, ratio={"value": value, "low": value, "high": value, "halves": [value, value]})


def document(*rows: Row, **machine: Any) -> BenchReport:
    method = {"threads": 1, "batch": 1, "timed_calls_per_block": 8}
    return Report({**MACHINE, **machine}, method, list(rows)).document()


def test_moved_is_now_divided_by_then() -> None:
    found = compare_reports(
        [timed(1.2), timed(1.0, precision="int8")], document(timed(1.0), timed(1.0, precision="int8")), OLD, 1.1
    )
    assert [row.moved for row in found.rows] == pytest.approx([1.2, 1.0])
    assert [row.failed for row in found.rows] == [True, False]
    assert not found.passed
    low, high = found.rows[0].low, found.rows[0].high
    assert low is not None
    assert high is not None
    assert low <= 1.2 <= high


def test_without_a_limit_nothing_fails() -> None:
    assert compare_reports([timed(9.0)], document(timed(1.0)), OLD, None).passed


def test_exactly_the_limit_is_allowed() -> None:
    assert compare_reports([timed(1.5)], document(timed(1.0)), OLD, 1.5).passed


def test_folders_may_differ_but_not_what_runs() -> None:
    old = document(timed(1.0, artefact="elsewhere/fp32.onnx"))
    assert len(compare_reports([timed(1.0)], old, OLD, None).rows) == 1
    with pytest.raises(PoseedgeError, match="holds none of these artefacts"):
        compare_reports([timed(1.0, backend="openvino")], old, OLD, None)


def test_two_files_of_one_name_are_told_by_their_folders() -> None:
    def there(folder: str, p50: float) -> Row:
        return timed(p50, artefact=f"{folder}/fp32.onnx")

    old = document(there("one", 1.0), there("two", 5.0))
    found = compare_reports([there("two", 6.0), there("one", 1.0)], old, OLD, 1.1)
    assert [(row.then_ms, row.failed) for row in found.rows] == [(5.0, True), (1.0, False)]
    with pytest.raises(PoseedgeError, match="holds none of these artefacts"):
        compare_reports([there("three", 1.0)], old, OLD, 1.1)


def test_the_same_file_timed_twice_is_two_rows() -> None:
    found = compare_reports([timed(1.0), timed(1.2)], document(timed(1.0), timed(1.0)), OLD, 1.1)
    assert [row.failed for row in found.rows] == [False, True]


def test_another_window_of_the_same_network_is_another_artefact() -> None:
    with pytest.raises(PoseedgeError, match="holds none of these artefacts"):
        compare_reports([timed(1.0, frames_in=27)], document(timed(9.0, frames_in=243)), OLD, 1.1)


@pytest.mark.parametrize("changes", [{"latency_ms": {"p50": 0.0}}, {"latency_ms": {"p50": -1.0}}, {"blocks_ms": [1.0, 0.0]}])
def test_report_whose_times_are_none_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "old.json"
    content = document(timed(1.0)).model_dump(mode="json")
    row = content["rows"][0]
    row |= {name: row[name] | value if isinstance(value, dict) else value for name, value in changes.items()}
    path.write_text(json.dumps(content))
    with pytest.raises(PoseedgeError, match=r"old\.json: no report of poseedge bench: .* takes no time"):
        read_report(path)


def test_what_stands_in_one_report_alone_is_named() -> None:
    found = compare_reports(
        [timed(1.0), timed(1.0, backend="openvino")], document(timed(1.0), timed(1.0, precision="int8")), OLD, None
    )
    assert (found.new, found.gone) == (["fp32.onnx on openvino"], ["int8.onnx on onnxruntime"])


def test_machine_that_got_slower_as_a_whole_is_told_from_an_artefact_that_did() -> None:
    old = document(timed(1.0), timed(0.5, precision="int8"))
    both = compare_reports([timed(1.3), timed(0.66, precision="int8")], old, OLD, None)
    assert any("that is the machine rather than an artefact" in said for said in both.notes)
    assert compare_reports([timed(1.0), timed(0.66, precision="int8")], old, OLD, None).notes == []


def test_runs_whose_ratios_are_five_percent_apart_disagree() -> None:
    first = with_ratio(1.0, "fp32")
    said = compare_reports([first, with_ratio(0.8)], document(first, with_ratio(0.7)), OLD, None).notes
    assert "the runs disagree by more than 5 %: the ratio of int8.onnx on onnxruntime was 0.700, is 0.800" in said
    assert compare_reports([first, with_ratio(0.72)], document(first, with_ratio(0.7)), OLD, None).notes == []


def test_remark_on_a_ratio_names_its_batch_and_threads() -> None:
    def at(value: float, precision: str = "int8") -> Row:
        return with_ratio(value, precision).model_copy(update={"batch": 8, "threads": 2})

    [said] = compare_reports([at(1.0, "fp32"), at(0.8)], document(at(1.0, "fp32"), at(0.7)), OLD, None).notes
    assert "the ratio of int8.onnx on onnxruntime, batch 8, 2 threads was 0.700" in said


def test_ratios_to_different_artefacts_are_not_compared() -> None:
    old = document(with_ratio(1.0, "fp32"), with_ratio(0.5))
    found = compare_reports([with_ratio(1.0)], old, OLD, None)
    assert (found.rows[0].ratio_then, found.rows[0].ratio_now) == (None, None)
    assert not any("disagree" in said for said in found.notes)


@pytest.mark.parametrize(
    ("other", "said"),
    [({"cpu": "Xeon"}, "cpu AMD EPYC here, Xeon there"), ({"cores_available": 8}, "cores available 2 here, 8 there")],
)
def test_report_of_another_machine_is_refused(other: dict[str, Any], said: str) -> None:
    with pytest.raises(PoseedgeError, match="was measured on another machine") as caught:
        check_machine(MACHINE, document(timed(1.0), **other), OLD)
    assert said in caught.value.message


def test_load_and_packages_may_differ() -> None:
    check_machine(MACHINE, document(timed(1.0), load_average=0.9, packages={"onnxruntime": "1.20"}), OLD)


def test_report_of_other_threads_is_refused() -> None:
    with pytest.raises(PoseedgeError, match="was measured with --threads 1 --batch 1, not with --threads 2 --batch 1"):
        check_points([(2, 1)], document(timed(1.0)), OLD)
    check_points([(1, 1), (2, 1)], document(timed(1.0)), OLD)


def test_errors_are_compared_only_on_the_same_frames() -> None:
    def tested(mpjpe: float, frames: int) -> Row:
        known = {"dataset": "sample", "keypoints": "gt", "frames": frames, "mpjpe_mm": mpjpe, "overlap_mpjpe_mm": mpjpe}
        others = ("reference", "delta_mpjpe_mm", "delta_overlap_mpjpe_mm", "jitter_mm", "overlap_jitter_mm", "true_jitter_mm")
        more = (*others, "jitter_ratio", "overlap_jitter_ratio", "distance", "by_joint_mm")
        return timed(1.0, accuracy=known | dict.fromkeys(more))

    [same] = compare_reports([tested(40.5, 100)], document(tested(40.0, 100)), OLD, None).rows
    [other] = compare_reports([tested(40.5, 90)], document(tested(40.0, 100)), OLD, None).rows
    assert same.mpjpe_moved_mm == pytest.approx(0.5)
    assert other.mpjpe_moved_mm is None


def test_written_report_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document(timed(1.0)).model_dump(mode="json")))
    assert read_report(path) == document(timed(1.0)).model_copy(update={"created": read_report(path).created})


def test_report_of_the_first_format_is_read(tmp_path: Path) -> None:
    content = document(timed(1.0)).model_dump(mode="json")
    new = {"ratio", "blocks_ms", "quantiles_ms", "every", "fps", "cold", "accuracy", "layers", "pareto"}
    new |= {"latency_per_live_frame_ms", "latency_per_second_ms", "throughput_windows_per_s"}
    rows = [{key: value for key, value in row.items() if key not in new} for row in content["rows"]]
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**{key: content[key] for key in ("machine", "method", "notes")}, "rows": rows}))
    assert compare_reports([timed(1.1)], read_report(path), path, None).rows[0].moved == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no json", "no report of poseedge bench"),
        ("{}", "machine: is missing"),
        ('{"format": 99}', "report format 99"),
        ('{"machine": {}, "method": {}, "rows": []}', "holds no row"),
    ],
)
def test_file_that_is_no_report_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(PoseedgeError, match=r"old\.json") as caught:
        read_report(path)
    assert said in caught.value.message


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="no such file"):
        read_report(tmp_path / "none.json")
