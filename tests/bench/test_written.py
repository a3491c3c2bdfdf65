"""A report is written as its suffix says, and every form says the same."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.bench.accuracy import PosedClip
from poseedge.bench.page import MOST_BLOCKS, UNITS_PER_M, report_page
from poseedge.bench.report import Report
from poseedge.bench.results import Advice
from poseedge.bench.written import COLUMNS, WRITERS, check_place, write_report, writer_of
from poseedge.errors import PoseedgeError
from tests.support import samples


def clip(rows: int, frames: int = 150) -> PosedClip:
    poses = np.random.default_rng(0).uniform(-1, 1, (frames, 17, 3)).astype(np.float32)
    return PosedClip("S9/Walking", 50.0, poses, dict.fromkeys(range(rows), poses), dict.fromkeys(range(rows), 0))


def report(**changes: Any) -> Report:
    rows = [
        samples.row(3.0, backend="torch", mpjpe_mm=40.0, blocks_ms=[3.0] * 9, quantiles_ms=[3.0] * 101),
        samples.row(1.25, precision="int8", mpjpe_mm=40.5, delta_mpjpe_mm=0.5, every=1, fps=50.0),
    ]
    machine = {"cpu": "AMD EPYC", "cores": 2, "load_average": 0.0, "packages": {"onnxruntime": "1.32", "torch": None}}
    method = {"threads": 1, "batch": 1, "timed_calls_per_block": 8, "rounds": 9, "gpu_before": {"power_mode": None}}
    return Report(machine, method, rows, **{"notes": ["a note"], "clip": clip(2), **changes})


def test_json_is_the_document(tmp_path: Path) -> None:
    write_report(made := report(), tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == made.to_json()


def test_csv_has_a_line_for_each_row_and_leaves_what_is_unknown_empty() -> None:
    head, first, second = csv.reader(io.StringIO(WRITERS[".csv"](report())))
    assert head == list(COLUMNS)
    line = dict(zip(head, second, strict=True))
    assert (line["latency_ms.p50"], line["precision"], line["mpjpe_mm"], line["speedup"]) == ("1.25", "int8", "40.5", "2.4")
    assert (line["latency_per_second_ms"], line["energy.mean_w"]) == ("62.5", "")
    assert dict(zip(head, first, strict=True))["backend"] == "torch"


def test_every_column_is_a_name_of_the_schema() -> None:
    def known(schema: dict[str, Any], rule: dict[str, Any], names: list[str]) -> bool:
        options = [rule, *rule.get("anyOf", [])]
        inner = [schema["$defs"][o["$ref"].rsplit("/", 1)[1]] if "$ref" in o else o for o in options]
        if not names:
            return True
        return any(names[0] in o.get("properties", {}) and known(schema, o["properties"][names[0]], names[1:]) for o in inner)

    from poseedge.bench.results import BenchReport

    schema = BenchReport.model_json_schema()
    assert [c for c in COLUMNS if not known(schema, schema["$defs"]["ReportRow"], c.split("."))] == []


def test_markdown_has_the_tables_the_notes_and_the_machine() -> None:
    text = WRITERS[".md"](report(advice=Advice(artefact="a", precision="int8", backend="x", sentence="ship a")))
    for said in ("| int8.onnx | int8 |", "AMD EPYC", "onnxruntime 1.32", "- a note", "**ship a**", "| ---: |", "- rounds: 9"):
        assert said in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.count(" | ") >= 5 for line in rows)


def test_name_with_a_bar_does_not_end_a_cell() -> None:
    text = WRITERS[".md"](Report(report().machine, report().method, [samples.row(1.0, artefact="a|b.onnx")]))
    assert "a\\|b.onnx" in text


def test_markup_in_a_name_or_a_remark_stays_words() -> None:
    nasty = "<img src=x>](http://a)\n`b`.onnx"
    text = WRITERS[".md"](Report(report().machine, report().method, [samples.row(1.0, artefact=nasty)], ["<b>a note\nof two"]))
    assert "<img" not in text
    assert "<b>" not in text
    assert "](" not in text.replace("\\](", "")
    [line] = [line for line in text.splitlines() if "a)" in line and "| 1.000 |" in line]
    assert "\\`b\\`.onnx | fp32 |" in line


def test_place_that_takes_no_file_is_refused_and_a_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PoseedgeError, match=r"file/report\.html: cannot be written"):
        check_place(tmp_path / "file" / "report.html")
    check_place(tmp_path / "new" / "report.html")
    assert [path.name for path in tmp_path.rglob("*")] in (["file", "new"], ["new", "file"])


@pytest.mark.parametrize("name", ["report", "report.pdf", "report.htm"])
def test_other_suffixes_are_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(PoseedgeError, match="reports are written as the suffix says") as caught:
        writer_of(Path(name))
    assert ".html" in caught.value.hint


def test_nothing_is_written_where_making_a_report_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WRITERS, ".md", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(report(), tmp_path / "r.md")
    assert list(tmp_path.iterdir()) == []


# the page


def test_page_fetches_nothing_and_may_not() -> None:
    page = report_page(report())
    assert "default-src 'none'; script-src 'unsafe-inline'" in page
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']*""", page) == []
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "http" not in markup.replace("http-equiv", "")
    own = page[page.rindex('<script type="module">') :]
    assert not re.search(r"^import |^export ", own, re.MULTILINE)


def test_page_is_under_three_megabytes_with_a_dozen_artefacts() -> None:
    rows = [samples.row(1.0, blocks_ms=[1.234567890123] * 100, quantiles_ms=[1.234567890123] * 101) for _ in range(12)]
    page = report_page(Report(report().machine, report().method, rows, clip=clip(12)))
    assert len(page.encode()) < 3e6


def test_page_of_a_long_run_is_no_larger_and_draws_the_course_of_all_of_it() -> None:
    course = [1.234567890123 + n for n in range(50_000)]
    rows = [samples.row(1.0, blocks_ms=course, quantiles_ms=[1.234567890123] * 101) for _ in range(12)]
    page = report_page(Report(report().machine, report().method, rows, clip=clip(12)))
    assert len(page.encode()) < 3e6
    drawn = data_of(page)["rows"][0]["blocks_ms"]
    assert len(drawn) == MOST_BLOCKS
    assert drawn == pytest.approx([1.23 + 62 + 125 * n for n in range(MOST_BLOCKS)], abs=0.1)


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_page_holds_the_whole_document_and_the_poses() -> None:
    made = report()
    data = data_of(report_page(made))
    assert data["rows"] == made.to_json()["rows"]
    assert data["main"] == [0, 1]
    packed = np.frombuffer(base64.b64decode(data["clip"]["poses"]["1"]), "<i2").reshape(-1, 17, 3)
    assert made.clip is not None
    np.testing.assert_allclose(packed / UNITS_PER_M, made.clip.poses_m[1], atol=0.6 / UNITS_PER_M)


def test_words_of_an_artefact_do_not_end_the_script_that_holds_them() -> None:
    nasty = "</script><script>alert(1)</script>"
    page = report_page(report(notes=[nasty]))
    assert nasty not in page
    assert nasty in data_of(page)["notes"]


def test_page_without_poses_has_no_clip() -> None:
    assert data_of(report_page(report(clip=None)))["clip"] is None
