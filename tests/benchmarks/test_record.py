"""Programs that measure network by network share one record, and the pages show what is recorded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.networks import made_on, notes, record_networks
from benchmarks.record import DOCS, RESULTS, read_record

PAGES = [*sorted(DOCS.glob("*.md")), DOCS.parent / "benchmarks" / "NOTES.md"]
SECTIONS = [
    pytest.param(body, id=f"{page.stem}, {section}")
    for page in PAGES
    for section, body in re.findall(r"<!-- ([a-z][^>]*?) -->\n(.*?)<!-- end of \1 -->", page.read_text(), re.DOTALL)
]


def table(rows: dict[str, dict[str, Any]]) -> str:
    return "# Title\n\n" + "".join(f"| {name} | {row['speed']} |\n" for name, row in rows.items())


@pytest.mark.parametrize("shown", SECTIONS)
def test_a_marked_section_of_a_page_is_a_recorded_table(shown: str) -> None:
    assert any(file.read_text().partition("\n\n")[2] == shown for file in RESULTS.glob("*.md"))


def test_rows_of_other_networks_stay_with_what_they_were_made_on(tmp_path: Path) -> None:
    earlier = {"made": "2020-01-01, another machine", "speed": 7}
    (tmp_path / "speed.json").write_text(json.dumps({"networks": {"mixste": earlier, "htnet": earlier}}))
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- speed -->\nold\n<!-- end of speed -->\nmore\n")
    record_networks(tmp_path / "speed", page, "speed", ["htnet", "graphmlp"], lambda _: {"speed": 1}, table, rounds=3)
    known = read_record(tmp_path / "speed")
    assert list(known["networks"]) == ["graphmlp", "htnet", "mixste"]  # as every record orders them
    assert known["networks"]["mixste"] == earlier
    assert known["networks"]["htnet"]["made"] > "2026"
    assert known["rounds"] == 3
    rows = "| graphmlp | 1 |\n| htnet | 1 |\n| mixste | 7 |\n"
    assert page.read_text() == f"# Page\n\n<!-- speed -->\n{rows}<!-- end of speed -->\nmore\n"


def test_what_was_measured_is_kept_when_a_later_network_fails(tmp_path: Path) -> None:
    def measure(name: str) -> dict[str, Any]:
        if name == "mixste":
            raise MemoryError
        return {"speed": 1}

    with pytest.raises(MemoryError):
        record_networks(tmp_path / "speed", None, "", ["htnet", "mixste", "graphmlp"], measure, table)
    assert list(read_record(tmp_path / "speed")["networks"]) == ["htnet"]


def test_days_machines_and_notes_are_told_with_their_networks() -> None:
    rows = {
        "graphmlp": {"made": "2026-01-02, one machine.", "note": "it was busy"},
        "htnet": {"made": "2026-01-01, another", "note": ""},
        "mixste": {"made": "2026-01-02, one machine.", "note": "it was busy"},
    }
    assert made_on(rows) == ["- 2026-01-01, another: htnet.", "- 2026-01-02, one machine: graphmlp, mixste."]
    assert notes(rows) == ["- Note, graphmlp, mixste: it was busy."]
