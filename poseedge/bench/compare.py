"""What moved since an earlier report of the same machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.bench.ratios import DISAGREE, quotient_interval
from poseedge.bench.results import FORMAT, BenchReport, ComparedReport, Moved, Row
from poseedge.contract import parsed
from poseedge.errors import PoseedgeError
from poseedge.files import read_json

SAME = ("cpu", "architecture", "cores_available", "gpus", "jetson", "host", "board", "power_mode")  # of a machine
AGAIN = "write one with: poseedge bench ... --output FILE.json"
Key = tuple[str, str, int, int, str, str, str, int, int | None, bool]


def read_report(path: Path) -> BenchReport:
    """Read what ``poseedge bench --output FILE.json`` wrote; raises ``PoseedgeError`` for anything else."""
    if not path.is_file():
        raise PoseedgeError(f"{path}: no such file", AGAIN)
    content = read_json(path, "no report of poseedge bench", PoseedgeError, AGAIN)
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise PoseedgeError(f"{path}: report format {found}, this poseedge reads up to {FORMAT}", "use a newer poseedge")
    report = parsed(BenchReport, content, f"{path}: no report of poseedge bench", AGAIN)
    if not report.rows:
        raise PoseedgeError(f"{path}: holds no row to compare with", AGAIN)
    for row in report.rows:
        if min([row.latency_ms.p50, *row.blocks_ms]) <= 0:
            raise PoseedgeError(f"{path}: no report of poseedge bench: {row.label} takes no time", AGAIN)
    return report


def check_machine(machine: dict[str, Any], old: BenchReport, path: Path) -> None:
    """Raise ``PoseedgeError`` if ``old`` was measured on another machine."""
    for name in SAME:
        now, then = machine.get(name), old.machine.get(name)
        if now != then and not (name not in machine and name not in old.machine):
            said = f"{name.replace('_', ' ')} {fact_words(now)} here, {fact_words(then)} there"
            raise PoseedgeError(f"{path}: was measured on another machine ({said})", "times compare on one machine alone")


def check_points(points: Sequence[tuple[int, int]], old: BenchReport, path: Path) -> None:
    """Raise ``PoseedgeError`` if nothing in ``old`` was timed with these threads and windows a call."""
    there = {(row.threads or 1, row.batch) for row in old.rows}
    if not there & set(points):
        threads, batch = sorted(there)[0]
        here = f"--threads {points[0][0]} --batch {points[0][1]}"
        raise PoseedgeError(
            f"{path}: was measured with --threads {threads} --batch {batch}, not with {here}", "use the same threads and batch"
        )


def compare_reports(rows: Sequence[Row], old: BenchReport, path: Path, fail_above: float | None) -> ComparedReport:
    """Return what moved from ``old`` to ``rows``: now divided by then, of each artefact that stands in both.

    Raises ``PoseedgeError`` if there is none.
    """
    both, new, gone = paired(rows, old.rows)
    if not both:
        raise PoseedgeError(
            f"{path}: holds none of these artefacts (it holds {', '.join(sorted({row.label for row in old.rows}))})",
            "compare reports of the same artefacts, threads and batch",
        )
    moved = [moved_of(now, then, fail_above, same_baseline(rows, now, old.rows, then)) for now, then in both]
    return ComparedReport(
        against=str(path),
        fail_above=fail_above,
        rows=moved,
        gone=[row.label for row in gone],
        new=[row.label for row in new],
        notes=moved_remarks(moved),
        passed=not any(row.failed for row in moved),
    )


def paired(rows: Sequence[Row], others: Sequence[Row]) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Return which row is which of the ``others``, the rows that are none of them, and the others that are left.

    Folders may differ, as long as only one artefact on either side is called so; several of one name are told by their folders.
    """
    counts = [Counter(map(key_of, side)) for side in (rows, others)]
    found: list[tuple[Row, Row]] = []
    new, left = [], list(others)
    for row in rows:
        key = key_of(row)
        alone = all(count[key] == 1 for count in counts)
        then = next((other for other in left if key_of(other) == key and (alone or other.artefact == row.artefact)), None)
        if then is None:
            new.append(row)
        else:
            found.append((row, then))
            left = [other for other in left if other is not then]
    return found, new, left


def key_of(row: Row) -> Key:
    """Return what must be alike for two rows to be compared, but for their folders."""
    network = row.name, row.model, row.frames_in, row.frames_out
    return *network, row.precision, row.backend, row.provider, row.batch, row.threads, row.cuda_graph


def same_baseline(rows: Sequence[Row], now: Row, others: Sequence[Row], then: Row) -> bool:
    """Say whether the ratios of two rows are to the same artefact."""
    one, other = baseline_of(rows, now), baseline_of(others, then)
    return one is not None and other is not None and key_of(one) == key_of(other)


def baseline_of(rows: Sequence[Row], row: Row) -> Row | None:
    """Return the row that the ratio of ``row`` is to: the one whose own is exactly 1 in every round."""
    alike = [each for each in rows if (each.batch, each.threads) == (row.batch, row.threads) and each.ratio]
    return next((each for each in alike if each.ratio and {each.ratio.value, *each.ratio.halves} == {1.0}), None)


def moved_of(now: Row, then: Row, fail_above: float | None, comparable: bool = True) -> Moved:
    """Return how one artefact moved. Errors compare where both were measured on as many frames of the same motion.

    Ratios do where they are ``comparable``, to the same artefact.
    """
    moved = now.latency_ms.p50 / then.latency_ms.p50
    low, high = quotient_interval(np.array(now.blocks_ms), np.array(then.blocks_ms))
    a, b = now.accuracy, then.accuracy
    alike = a and b and (a.dataset, a.keypoints, a.frames) == (b.dataset, b.keypoints, b.frames)
    return Moved(
        label=now.label,
        batch=now.batch,
        threads=now.threads,
        then_ms=then.latency_ms.p50,
        now_ms=now.latency_ms.p50,
        moved=moved,
        low=low,
        high=high,
        ratio_then=then.ratio.value if then.ratio and comparable else None,
        ratio_now=now.ratio.value if now.ratio and comparable else None,
        mpjpe_moved_mm=a.mpjpe_mm - b.mpjpe_mm if a and b and alike else None,
        failed=fail_above is not None and moved > fail_above,
    )


def moved_remarks(moved: Sequence[Moved]) -> list[str]:
    """Say what the numbers mean together."""
    said = []
    each = [row.moved for row in moved]
    if len(each) > 1 and (min(each) > 1 + DISAGREE or max(each) < 1 - DISAGREE):
        word = "slower" if min(each) > 1 else "faster"
        said.append(f"everything is {word}, by {min(each):.2f} to {max(each):.2f}: that is the machine rather than an artefact")
    for row in moved:
        if row.ratio_then and row.ratio_now and abs(row.ratio_now / row.ratio_then - 1) > DISAGREE:
            change = f"was {row.ratio_then:.3f}, is {row.ratio_now:.3f}"
            said.append(f"the runs disagree by more than 5 %: the ratio of {row.called} {change}")
    return said


def fact_words(value: Any) -> str:
    """Return a fact of a machine as a message shows it."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(str(inner) for inner in value.values() if inner) or "none"
    return "unknown" if value is None else str(value)
