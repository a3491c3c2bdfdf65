"""Which artefact to ship: the Pareto front of latency against error, and the fastest that keeps the limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from poseedge.bench.results import Advice, Row
from poseedge.errors import PoseedgeError

DIGITS = 2  # of MPJPE, mm: what is nearer than that is as near
NOISE = 0.02  # rows nearer to each other than this are equally fast; then the more exact one is named


@dataclass(frozen=True)
class ShippingLimits:
    """What an artefact must keep to be shipped."""

    budget_mm: float  # that MPJPE may be worse than the reference's
    max_jitter: float | None = None  # times the reference's jitter, windows overlapping
    most_ms: float | None = None  # median latency of a window

    def __str__(self) -> str:
        parts = [f"{self.budget_mm:g} mm"]
        parts += [f"{self.max_jitter:g} times the jitter"] if self.max_jitter is not None else []
        parts += [f"{self.most_ms:g} ms"] if self.most_ms is not None else []
        return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def pareto(rows: Sequence[Row]) -> list[bool | None]:
    """Return, for each row, whether no other is as fast and nearer to the truth, or faster and as near; None without MPJPE."""
    errors = [known(row.mpjpe_mm) for row in rows]
    points = [(row.per_window_ms, None if mm is None else round(mm, DIGITS)) for row, mm in zip(rows, errors, strict=True)]
    return [None if point[1] is None else not any(dominates(other, point) for other in points) for point in points]


def dominates(one: tuple[float, float | None], other: tuple[float, float | None]) -> bool:
    """Say whether the point ``one`` is nowhere worse than ``other``, and somewhere better."""
    if one[1] is None or other[1] is None:
        return False
    return one[0] <= other[0] and one[1] <= other[1] and one != other


def recommend(rows: Sequence[Row], limits: ShippingLimits) -> Advice:
    """Return the fastest row that keeps ``limits``, in one sentence with its reason, or which limit to loosen.

    Raises ``PoseedgeError`` where nothing can be told: no row has a change of MPJPE, or none a jitter that is asked for.
    """
    if all(known(row.delta_mpjpe_mm) is None for row in rows):
        raise PoseedgeError(
            "nothing tells how far MPJPE changed: there is no reference",
            "name a bundle, or the checkpoint or the fp32 graph beside it; and do not leave the test out with --frames 0",
        )
    if limits.max_jitter is not None and all(jitter_ratio(row) is None for row in rows):
        raise PoseedgeError("nothing tells jitter against a reference here", "leave --max-jitter out")
    fitting = [row for row in rows if not misses(row, limits)]
    if not fitting:
        return Advice(artefact=None, precision=None, backend=None, sentence=nothing_fits(rows, limits))
    fastest = min(row.per_window_ms for row in fitting)
    equal = [row for row in fitting if row.per_window_ms <= fastest * (1 + NOISE)]
    chosen = min(equal, key=lambda row: (abs(row.delta_mpjpe_mm or 0.0), row.per_window_ms))
    return Advice(
        artefact=chosen.artefact, precision=chosen.precision, backend=chosen.backend, sentence=why(chosen, rows, limits)
    )


def misses(row: Row, limits: ShippingLimits) -> list[str]:
    """Return which limits a row does not keep, in words; what is not known is not kept."""
    jitter, change = jitter_ratio(row), known(row.delta_mpjpe_mm)
    said = []
    if row.passed is False:
        said.append("its poses are not within the bundle's limits")
    if change is None:
        said.append("its MPJPE is not known")
    elif change > limits.budget_mm:
        said.append(f"MPJPE {change:+.2f} mm")
    if limits.max_jitter is not None and (jitter is None or jitter > limits.max_jitter):
        said.append("its jitter is not known" if jitter is None else f"{jitter:.2f} times the jitter")
    if limits.most_ms is not None and row.per_window_ms > limits.most_ms:
        said.append(f"{row.per_window_ms:.3g} ms")
    return said


def jitter_ratio(row: Row) -> float | None:
    """Return how many times the reference's jitter a row has where windows overlap, as they do when it is shipped."""
    return known(row.accuracy.overlap_jitter_ratio) if row.accuracy else None


def known(value: float | None) -> float | None:
    """Return a number, None for what is none: NaN would keep every limit."""
    return None if value is None or not math.isfinite(value) else value


def why(chosen: Row, rows: Sequence[Row], limits: ShippingLimits) -> str:
    """Say why ``chosen`` is the one to ship."""
    fitting = [row for row in rows if not misses(row, limits)]
    jitter = jitter_ratio(chosen)
    shaking = f" and {jitter:.2f} times its jitter" if jitter is not None else ""
    fastest = min(row.per_window_ms for row in fitting)
    first_of = "the fastest" if chosen.per_window_ms == fastest else f"as fast as any ({fastest:.3g} ms) and the most exact"
    said = (
        f"ship {described(chosen)}: {chosen.per_window_ms:.3g} ms a window, {first_of} of {len(fitting)} within {limits}, "
        f"at {round(chosen.delta_mpjpe_mm or 0.0, DIGITS) + 0.0:+.2f} mm MPJPE against the reference{shaking}"
    )
    slower = [row for row in fitting if row.per_window_ms > chosen.per_window_ms]
    faster = [row for row in rows if row.per_window_ms < chosen.per_window_ms and misses(row, limits)]
    if faster:
        first = min(faster, key=lambda row: row.per_window_ms)
        return f"{said}; {described(first)} takes {first.per_window_ms:.3g} ms, but {misses(first, limits)[0]}"
    if slower:
        second = min(slower, key=lambda row: row.per_window_ms)
        return f"{said}; next is {described(second)} with {second.per_window_ms:.3g} ms"
    return said


def nothing_fits(rows: Sequence[Row], limits: ShippingLimits) -> str:
    """Say which row misses the fewest limits, of several the one that exceeds them least, and by what."""
    nearest = min(rows, key=lambda row: (len(misses(row, limits)), excess(row, limits), row.per_window_ms))
    return f"nothing here is within {limits}; the nearest is {described(nearest)}: {', '.join(misses(nearest, limits))}"


def excess(row: Row, limits: ShippingLimits) -> float:
    """Return the most that a row exceeds a limit by, as a share of the limit; infinite for what is not known."""
    change, jitter = known(row.delta_mpjpe_mm), jitter_ratio(row)
    pairs = [(change, max(limits.budget_mm, 10**-DIGITS))]
    pairs += [(jitter, limits.max_jitter)] if limits.max_jitter is not None else []
    pairs += [(row.per_window_ms, limits.most_ms)] if limits.most_ms is not None else []
    return max(math.inf if value is None or limit <= 0 else value / limit - 1 for value, limit in pairs)


def described(row: Row) -> str:
    """Return what to ship, by file, precision and backend."""
    return f"{row.artefact} ({row.precision}) on {row.backend}" + (" as a CUDA graph" if row.cuda_graph else "")
