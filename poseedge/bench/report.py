"""What a benchmark found: JSON for machines, tables and remarks for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from poseedge.bench.machine import busy
from poseedge.bench.results import BenchReport, ReportRow, Row

STEADY_CV = 0.025  # NVIDIA's trtexec warns above this coefficient of variation
CALLS_FOR_P99 = 662  # MLPerf's early-stopping floor for a 99th percentile


@dataclass(frozen=True)
class Report:
    """Rows with the machine and the method that they hold for."""

    machine: dict[str, Any]
    method: dict[str, Any]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    complete: bool = True  # False if something that was asked for did not run

    @property
    def passed(self) -> bool:
        """Whether all ran, and no row's poses were found to be wrong."""
        return self.complete and all(row.passed is not False for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: ``machine``, ``method``, ``rows``, ``notes``."""
        rows = [ReportRow(**dict(r), latency_per_frame_ms=r.per_frame_ms, speedup=self.speedup(r)) for r in self.rows]
        report = BenchReport(machine=self.machine, method=self.method, rows=rows, notes=self.notes)
        return report.model_dump(mode="json")

    def speedup(self, row: Row) -> float | None:
        """Return how many times faster ``row`` is than PyTorch on the same model, by medians; None without PyTorch."""
        reference = next((r for r in self.rows if r.backend == "torch" and r.model == row.model), None)
        return reference.latency_ms.p50 / row.latency_ms.p50 if reference else None


class TextTable(NamedTuple):
    """A table for people: the columns in ``text`` and the first name a row, the others hold numbers."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    text: tuple[str, ...]


def tables(report: Report) -> list[TextTable]:
    """Return the latency table and the cost table."""
    return [latency_table(report), cost_table(report)]


def latency_table(report: Report) -> TextTable:
    """Return speed per forward and per output frame beside size and accuracy; columns that are empty everywhere are left out."""
    rows = report.rows
    columns: dict[str, list[str]] = {
        "size\nMB": [f"{row.file_bytes / 1e6:.2f}" for row in rows],
        "nodes": [shown(row.nodes, "d") for row in rows],
        **{p: [f"{getattr(row.latency_ms, p):.3f}" for row in rows] for p in ("p50", "p90", "p99")},
        "p50 per\nframe": [f"{row.per_frame_ms:.4f}" for row in rows],
        "GPU\np50": [shown(row.gpu_ms.p50 if row.gpu_ms else None, ".3f") for row in rows],
        "evicted\np50": [shown(row.latency_evicted_ms.p50 if row.latency_evicted_ms else None, ".3f") for row in rows],
        "speed\nup": [shown(report.speedup(row), ".2f", "x") for row in rows],
        "MPJPE\nmm": [shown(row.mpjpe_mm, ".2f") for row in rows],
        "change\nmm": [shown(row.delta_mpjpe_mm, "+.3f") for row in rows],
        "distance\nmm": [shown(row.distance_mm.mean if row.distance_mm else None, ".3f") for row in rows],
        "p99\nmm": [shown(row.distance_mm.p99 if row.distance_mm else None, ".3f") for row in rows],
    }
    columns["J per\npose"] = [shown(row.energy.gross_j_per_pose if row.energy else None, ".4f") for row in rows]
    kept = {heading: cells for heading, cells in columns.items() if set(cells) != {"-"}}
    names = [f"{row.name} as a CUDA graph" if row.cuda_graph else row.name for row in rows]
    lines = [list(line) for line in zip(names, [row.precision for row in rows], *kept.values(), strict=True)]
    return TextTable(latency_title(report.method), ["file", "precision", *kept], lines, ("precision",))


def latency_title(method: dict[str, Any]) -> str:
    """Return what holds for all rows."""
    threads = method["threads"]
    counted = f", {threads} thread{'s' * (threads > 1)}" if threads else ""
    return f"Latency, ms: warm caches, batch {method['batch']}{counted}"


def cost_table(report: Report) -> TextTable:
    """Return operations, parameters and memory."""
    columns = ["frames\nin", "frames\nout", "MFLOP", "without\nattention", "params\nM", "peak RSS\nMB"]
    lines = [
        [
            *(row.name, row.precision, row.backend),
            str(row.frames_in),
            str(row.frames_out),
            shown(millions(row.flops), ".1f"),
            shown(millions(row.flops_without_attention), ".1f"),
            shown(millions(row.params), ".3f"),
            shown(millions(row.peak_rss_bytes), ".0f"),
        ]
        for row in report.rows
        if not row.cuda_graph  # the same engine again
    ]
    return TextTable("Cost of one window", ["file", "precision", "backend", *columns], lines, ("precision", "backend"))


def remarks(report: Report) -> list[str]:
    """Return what a reader of the numbers should know."""
    said = list(report.notes) + int8_remarks(report.rows)
    if warning := busy(report.machine):
        said.append(warning)
    unsteady = max(report.rows, key=variation)
    if variation(unsteady) > STEADY_CV:
        said.append(f"latency is unsteady: it varies by up to {variation(unsteady):.0%} ({unsteady.name}); nothing was clipped")
    calls = report.rows[0].latency_ms.n
    if calls < CALLS_FOR_P99:
        rounds = -(-CALLS_FOR_P99 // report.method["timed_calls_per_block"])
        said.append(f"p99 of {calls} calls is a guess; --rounds {rounds} makes it dependable")
    return said


def int8_remarks(rows: list[Row]) -> list[str]:
    """Say where INT8 is no faster than the best float graph of the same model, run in the same way."""
    said = []
    for row in rows:
        alike = [r for r in rows if (r.model, r.backend, r.cuda_graph) == (row.model, row.backend, row.cuda_graph)]
        floats = [r for r in alike if not r.precision.startswith("int8")]
        best = min(floats, key=lambda r: r.latency_ms.p50, default=None)
        if row.precision.startswith("int8") and best and best.latency_ms.p50 <= row.latency_ms.p50:
            times = f"{row.latency_ms.p50:.3f} ms against {best.latency_ms.p50:.3f} ms for {best.precision}"
            said.append(f"{row.precision} does not pay on {row.backend} here: {times} ({row.name})")
    return said


def variation(row: Row) -> float:
    """Return the coefficient of variation of the latency."""
    return row.latency_ms.std / row.latency_ms.mean


def millions(value: int | None) -> float | None:
    return None if value is None else value / 1e6


def shown(value: float | None, form: str, unit: str = "") -> str:
    """Return ``value`` formatted, or a dash."""
    return "-" if value is None else f"{value:{form}}{unit}"
