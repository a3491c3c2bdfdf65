"""What a benchmark found: JSON for machines, tables and remarks for people."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from poseedge.bench.accuracy import PosedClip
from poseedge.bench.advice import pareto
from poseedge.bench.machine import busy, disturbed
from poseedge.bench.ratios import disagree
from poseedge.bench.results import FORMAT, Advice, BenchReport, ComparedReport, ReportRow, Row

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
    clip: PosedClip | None = None  # what the page plays
    advice: Advice | None = None
    compared: ComparedReport | None = None
    created: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))

    @property
    def passed(self) -> bool:
        """Whether all ran, poses are right as far as that was tested, nothing got slower than allowed, and something fits."""
        return (
            self.complete
            and all(row.passed is not False for row in self.rows)
            and (self.compared is None or self.compared.passed)
            and (self.advice is None or self.advice.artefact is not None)
        )

    @property
    def main_rows(self) -> list[Row]:
        """The rows at the first number of threads and of windows a call, which alone have accuracy and memory."""
        first = self.rows[0]
        return (
            [row for row in self.rows if (row.batch, row.threads) == (first.batch, first.threads)] if self.several else self.rows
        )

    @property
    def several(self) -> bool:
        """Whether more than one number of threads or of windows a call was timed."""
        return len(self.method.get("batches", ())) > 1 or len(self.method.get("all_threads", ())) > 1

    def to_json(self) -> dict[str, Any]:
        """Return plain values: ``machine``, ``method``, ``rows``, ``notes``, and more where it was asked for."""
        return self.document().model_dump(mode="json")

    def document(self) -> BenchReport:
        """Return what is written."""
        main = self.main_rows
        front = {id(row): told for row, told in zip(main, pareto(main), strict=True)}
        rows = [
            ReportRow(
                **dict(r),
                latency_per_frame_ms=r.per_frame_ms,
                latency_per_live_frame_ms=r.per_live_frame_ms,
                latency_per_second_ms=r.per_second_ms,
                throughput_windows_per_s=r.windows_per_s,
                speedup=self.speedup(r),
                pareto=front.get(id(r)),
            )
            for r in self.rows
        ]
        return BenchReport(
            format=FORMAT,
            created=self.created,
            machine=self.machine,
            method=self.method,
            rows=rows,
            notes=self.notes,
            recommendation=self.advice,
            compared=self.compared,
        )

    def speedup(self, row: Row) -> float | None:
        """Return how many times faster ``row`` is than PyTorch on the same network, by medians; None without PyTorch."""
        reference = next((r for r in self.rows if r.backend == "torch" and r.same_network(row)), None)
        return reference.latency_ms.p50 / row.latency_ms.p50 if reference else None

    def names(self) -> dict[str, str]:
        """Return what each artefact is called: its file's name, with as many folders as tell it from the others."""
        paths = {row.artefact: row.artefact.replace("\\", "/").split("/") for row in self.rows}
        most = max(map(len, paths.values()))
        for count in range(1, most + 1):
            short = {artefact: "/".join(parts[-count:]) for artefact, parts in paths.items()}
            if len(set(short.values())) == len(short):
                return short
        return {artefact: artefact for artefact in paths}


class TextTable(NamedTuple):
    """A table for people: the columns in ``text`` and the first name a row, the others hold numbers."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    text: tuple[str, ...]


def tables(report: Report) -> list[TextTable]:
    """Return the table of speed and accuracy, the curves where there are any, the cost table, and what moved."""
    return [
        speed_table(report),
        *([curve_table(report)] if report.several else []),
        cost_table(report),
        *([moved_table(report.compared)] if report.compared else []),
    ]


def speed_table(report: Report) -> TextTable:
    """Return speed beside accuracy; columns that are empty everywhere are left out."""
    rows, known = report.main_rows, [row.accuracy for row in report.main_rows]
    columns: dict[str, list[str]] = {
        **{p: [shown(getattr(row.latency_ms, p), ".3f") for row in rows] for p in ("p50", "p90", "p99")},
        "ratio": [shown(row.ratio.value if row.ratio else None, ".3f") for row in rows],
        "95 %": [interval_words(row) for row in rows],
        "speed\nup": [shown(report.speedup(row), ".2f", "x") for row in rows],
        "per live\nframe": [shown(row.per_live_frame_ms, ".3f") for row in rows],
        "per s of\nmotion": [shown(row.per_second_ms, ".1f") for row in rows],
        "GPU\np50": [shown(row.gpu_ms.p50 if row.gpu_ms else None, ".3f") for row in rows],
        "evicted\np50": [shown(row.latency_evicted_ms.p50 if row.latency_evicted_ms else None, ".3f") for row in rows],
        "MPJPE\nmm": [shown(row.mpjpe_mm, ".2f") for row in rows],
        "change\nmm": [shown(row.delta_mpjpe_mm, "+.3f") for row in rows],
        "jitter": [shown(each.jitter_ratio if each else None, ".2f", "x") for each in known],
        "jitter\noverlap": [shown(each.overlap_jitter_ratio if each else None, ".2f", "x") for each in known],
        "distance\nmm": [shown(row.distance_mm.mean if row.distance_mm else None, ".3f") for row in rows],
        "p99\nmm": [shown(row.distance_mm.p99 if row.distance_mm else None, ".3f") for row in rows],
        "J per\npose": [shown(row.energy.gross_j_per_pose if row.energy else None, ".4f") for row in rows],
        "front": [{True: "*", False: "", None: "-"}[told] for told in pareto(rows)],
    }
    kept = {heading: cells for heading, cells in columns.items() if set(cells) - {"-"}}
    names = report.names()
    called = [f"{names[row.artefact]} as a CUDA graph" if row.cuda_graph else names[row.artefact] for row in rows]
    told = ([row.precision for row in rows], [row.backend for row in rows])
    lines = [list(line) for line in zip(called, *told, *kept.values(), strict=True)]
    return TextTable(speed_title(report.method), ["file", "precision", "backend", *kept], lines, ("precision", "backend"))


def speed_title(method: dict[str, Any]) -> str:
    """Return what holds for all rows."""
    threads = method["threads"]
    on_threads = f", {counted(threads)}" if threads else ""
    tested = f"; MPJPE: {method['accuracy']}" if method.get("accuracy") else ""
    return f"Latency, ms: warm caches, batch {method['batch']}{on_threads}{tested}"


def counted(threads: int | None) -> str:
    """Return a number of threads in words."""
    return f"{threads or 1} thread{'s' * ((threads or 1) > 1)}"


def interval_words(row: Row) -> str:
    """Return the confidence interval of a ratio."""
    return "-" if row.ratio is None or row.ratio.low is None else f"{row.ratio.low:.3f}-{row.ratio.high:.3f}"


def curve_table(report: Report) -> TextTable:
    """Return windows a second by windows a call and threads, a line for each artefact."""
    points = list(dict.fromkeys((row.threads, row.batch) for row in report.rows))
    names, lines = report.names(), dict[tuple[str, str, str], dict[tuple[int | None, int], str]]()
    for row in report.rows:
        line = lines.setdefault((names[row.artefact], row.precision, row.backend), {})
        line[row.threads, row.batch] = f"{row.windows_per_s:.4g}"
    one = len({threads for threads, _ in points}) == 1
    columns = [f"batch {batch}" if one else f"batch {batch}\n{counted(threads)}" for threads, batch in points]
    rows = [[*names, *(cells.get(point, "-") for point in points)] for names, cells in lines.items()]
    return TextTable("Windows per second", ["file", "precision", "backend", *columns], rows, ("precision", "backend"))


def moved_table(compared: ComparedReport) -> TextTable:
    """Return what moved since an earlier report."""
    lines = [
        [
            row.called,
            f"{row.then_ms:.3f}",
            f"{row.now_ms:.3f}",
            f"{row.moved:.3f}",
            "-" if row.low is None else f"{row.low:.3f}-{row.high:.3f}",
            shown(row.ratio_then, ".3f"),
            shown(row.ratio_now, ".3f"),
            shown(row.mpjpe_moved_mm, "+.3f"),
            "SLOWER" if row.failed else "",
        ]
        for row in compared.rows
    ]
    columns = ["artefact", "p50 then", "p50 now", "now / then", "95 %", "ratio then", "ratio now", "MPJPE mm", "verdict"]
    return TextTable(f"Moved since {compared.against}", columns, lines, ())


def cost_table(report: Report) -> TextTable:
    """Return operations, parameters, size, memory, and what a cold start takes."""
    columns = ["frames\nin", "frames\nout", "MFLOP", "without\nattention", "params\nM", "size\nMB", "nodes", "peak RSS\nMB"]
    columns += ["cold start\nms", "of it\nload", "first\ncall", "p50 per\npose out"]
    names = report.names()
    lines = [
        [
            *(names[row.artefact], row.precision, row.backend),
            str(row.frames_in),
            str(row.frames_out),
            shown(millions(row.flops), ".1f"),
            shown(millions(row.flops_without_attention), ".1f"),
            shown(millions(row.params), ".3f"),
            f"{row.file_bytes / 1e6:.2f}",
            shown(row.nodes, "d"),
            shown(millions(row.peak_rss_bytes), ".0f"),
            shown(row.cold.total_ms if row.cold else None, ".0f"),
            shown(row.cold.load_ms if row.cold else None, ".0f"),
            shown(row.cold.first_ms if row.cold else None, ".1f"),
            f"{row.per_frame_ms:.4f}",
        ]
        for row in report.main_rows
        if not row.cuda_graph  # the same engine again
    ]
    return TextTable("Cost of one window", ["file", "precision", "backend", *columns], lines, ("precision", "backend"))


def remarks(report: Report) -> list[str]:
    """Return what a reader of the numbers should know."""
    said = list(report.notes) + int8_remarks(report.rows)
    others = report.machine.get("others_share")
    warning = busy(report.machine) if others is None else disturbed(others)  # the load is that of the minute before
    said += [warning] if warning else []
    said += unsteady_ratios(report.rows)
    unsteady = max(report.rows, key=variation)
    if variation(unsteady) > STEADY_CV:
        said.append(f"latency is unsteady: it varies by up to {variation(unsteady):.0%} ({unsteady.name}); nothing was clipped")
    calls = report.rows[0].latency_ms.n
    if calls < CALLS_FOR_P99:
        rounds = -(-CALLS_FOR_P99 // report.method["timed_calls_per_block"])
        said.append(f"p99 of {calls} calls is a guess; --rounds {rounds} makes it dependable")
    if report.compared:
        said += report.compared.notes
        said += [f"only in {report.compared.against}: {', '.join(report.compared.gone)}"] if report.compared.gone else []
    return said


def int8_remarks(rows: list[Row]) -> list[str]:
    """Say where INT8 is no faster than the best float graph of the same network, run in the same way."""
    said = []
    for row in rows:
        alike = [r for r in rows if (r.backend, r.cuda_graph) == (row.backend, row.cuda_graph) and r.same_network(row)]
        floats = [r for r in alike if not r.precision.startswith("int8")]
        best = min(floats, key=lambda r: r.latency_ms.p50, default=None)
        if row.precision.startswith("int8") and best and best.latency_ms.p50 <= row.latency_ms.p50:
            times = f"{row.latency_ms.p50:.3f} ms against {best.latency_ms.p50:.3f} ms for {best.precision}"
            said.append(f"{row.precision} does not pay on {row.backend} here: {times} ({row.name})")
    return said


def unsteady_ratios(rows: list[Row]) -> list[str]:
    """Say where the halves of a run disagree, and where they do most."""
    halves = [(row, row.ratio.halves[0], row.ratio.halves[-1]) for row in rows if row.ratio and row.ratio.halves]
    apart = [(row, one, other) for row, one, other in halves if disagree(one, other)]
    if not apart:
        return []
    row, one, other = max(apart, key=lambda found: abs(np.log(found[1] / found[2])))
    ratios = f"{len(apart)} ratio{'s' * (len(apart) > 1)}"
    worst = f"{row.label} (batch {row.batch}) {one:.3f} in the first, {other:.3f} in the second"
    return [f"the halves of this run disagree by more than 5 % on {ratios}, most on {worst}; run again on an idle machine"]


def variation(row: Row) -> float:
    """Return the coefficient of variation of the latency."""
    return row.latency_ms.std / row.latency_ms.mean


def millions(value: int | None) -> float | None:
    return None if value is None else value / 1e6


def shown(value: float | None, form: str, unit: str = "") -> str:
    """Return ``value`` formatted, or a dash; zero has no minus."""
    if value is None:
        return "-"
    text = f"{value:{form}}"
    return f"{text.replace('-', '+') if form.startswith('+') and float(text) == 0 else text}{unit}"
