"""A report as a file, by the suffix of its name."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from poseedge.bench.report import Report, TextTable, remarks, tables
from poseedge.errors import PoseedgeError, nearest
from poseedge.files import atomic_write

COLUMNS = (
    *("artefact", "model", "precision", "backend", "provider", "batch", "threads", "frames_in", "frames_out"),
    *("latency_ms.p50", "latency_ms.p90", "latency_ms.p99", "latency_ms.mean", "latency_ms.std", "latency_ms.n"),
    *("latency_evicted_ms.p50", "gpu_ms.p50", "ratio.value", "ratio.low", "ratio.high", "speedup"),
    *("latency_per_frame_ms", "latency_per_live_frame_ms", "latency_per_second_ms", "throughput_windows_per_s"),
    *("mpjpe_mm", "delta_mpjpe_mm", "accuracy.overlap_mpjpe_mm", "accuracy.delta_overlap_mpjpe_mm"),
    *("accuracy.jitter_mm", "accuracy.jitter_ratio", "accuracy.overlap_jitter_mm", "accuracy.overlap_jitter_ratio"),
    *("accuracy.distance.mean", "accuracy.distance.p99", "distance_mm.mean", "distance_mm.p99", "pareto"),
    *("flops", "flops_without_attention", "params", "nodes", "file_bytes", "peak_rss_bytes"),
    *("cold.start_ms", "cold.load_ms", "cold.first_ms", "cold.total_ms"),
    *("energy.of", "energy.mean_w", "energy.gross_j_per_pose", "energy.net_j_per_pose"),
)


def writer_of(path: Path) -> Callable[[Report], str]:
    """Return what makes a report's text for a file with such a suffix; raises ``PoseedgeError`` for another suffix."""
    if path.suffix.lower() not in WRITERS:
        found = nearest(path.suffix, list(WRITERS)) if path.suffix else f"Known: {', '.join(WRITERS)}"
        lacking = f"{path.suffix} is none that is known" if path.suffix else "this name has none"
        raise PoseedgeError(f"{path}: reports are written as the suffix says, and {lacking}", found)
    return WRITERS[path.suffix.lower()]


def check_place(path: Path) -> None:
    """Raise ``PoseedgeError`` if no report can be written to ``path``; its folder is made."""
    writer_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        where = f" ({error.filename})" if isinstance(error, FileExistsError) else ""
        raise PoseedgeError(
            f"{path}: cannot be written: {error.strerror}{where}", "choose another place with --output"
        ) from error


def write_report(report: Report, path: Path) -> None:
    """Write ``report`` to ``path``, whole or not at all; raises as ``writer_of`` does."""
    text = writer_of(path)(report)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_report(report: Report) -> str:
    """Return the document that ``docs/schema/bench.schema.json`` describes."""
    return json.dumps(report.to_json(), indent=2) + "\n"


def csv_report(report: Report) -> str:
    """Return one line for each row; what is not known is empty."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in report.to_json()["rows"]:
        lines.writerow([at(row, column) for column in COLUMNS])
    return text.getvalue()


def at(row: object, column: str) -> object:
    """Return the value of a dotted name, None where there is none."""
    for name in column.split("."):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def markdown_report(report: Report) -> str:
    """Return the tables and remarks of the terminal, and what they hold for."""
    machine = report.machine
    facts = [machine.get("board") or machine.get("cpu"), machine.get("os") or machine.get("system"), *(machine.get("gpus") or [])]
    packages = [f"{name} {version}" for name, version in (machine.get("packages") or {}).items() if version]
    parts = ["# poseedge bench", f"{report.created}. {'; '.join(map(str, filter(None, facts)))}. {', '.join(packages)}".strip()]
    if report.advice:
        parts.append(f"**{escaped(report.advice.sentence)}**")
    parts += [markdown_table(grid) for grid in tables(report)]
    parts.append("\n".join(f"- {escaped(said)}" for said in remarks(report)))
    parts.append("\n".join(f"- {name.replace('_', ' ')}: {escaped(str(value))}" for name, value in spoken(report.method).items()))
    return "\n\n".join(part for part in parts if part) + "\n"


def spoken(method: dict[str, object]) -> dict[str, object]:
    """Return what a method says in words or numbers, without the states of sensors."""
    return {name: value for name, value in method.items() if value is not None and not isinstance(value, dict)}


def markdown_table(grid: TextTable) -> str:
    """Return a table as GitHub draws it."""
    heads = [head.replace("\n", " ") for head in grid.columns]
    rule = [":---" if number == 0 or head in grid.text else "---:" for number, head in enumerate(grid.columns)]
    lines = [heads, rule, *grid.rows]
    return f"**{escaped(grid.title)}**\n\n" + "\n".join(f"| {' | '.join(escaped(cell) for cell in line)} |" for line in lines)


def escaped(cell: str) -> str:
    """Return words that stay in their cell and line, and are no markup, whatever an artefact is called."""
    return re.sub(r"[\\|`]|\](?=\()", r"\\\g<0>", " ".join(cell.splitlines())).replace("<", "&lt;")


def html_report(report: Report) -> str:
    """Return one page that needs nothing beside it."""
    from poseedge.bench.page import report_page

    return report_page(report)


WRITERS: dict[str, Callable[[Report], str]] = {
    ".json": json_report,
    ".csv": csv_report,
    ".md": markdown_report,
    ".html": html_report,
}
