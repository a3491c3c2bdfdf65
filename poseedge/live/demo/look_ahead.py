"""How long live poses wait for what comes after them, and what a short wait costs."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

from poseedge.lifter import Lifter, LifterSpec
from poseedge.live.options import LiftOptions
from poseedge.live.overlap import schedule
from poseedge.live.trained import weights_sha256
from poseedge.resources import resource

LIVE_LOOK_AHEAD = 10  # frames of the network, a fifth of a second; fewer where it can use fewer

_ROW = re.compile(r"(?:overlap \()?look-ahead (\d+)\)?")


def for_live(options: LiftOptions, spec: LifterSpec) -> LiftOptions:
    """Return ``options`` with a look-ahead that suits a live source, where none is given."""
    if options.look_ahead is not None:
        return options
    plan = schedule(spec, options.overlap, options.every)
    return options if plan.blocks or spec.remembers else replace(options, look_ahead=min(LIVE_LOOK_AHEAD, plan.look_ahead))


def measured_mm(lifter: Lifter) -> dict[int, float]:
    """Return the MPJPE in mm by look-ahead that ``benchmarks/look_ahead.py`` recorded for these weights in this precision.

    Detected keypoints. Empty for weights and precisions that were not measured.
    """
    weights, precision = weights_sha256(lifter), lifter.spec.precision
    for path in sorted(resource("benchmarks", "results").glob("look_ahead_*.json")):
        report = json.loads(path.read_text())
        if weights and report.get("weights_sha256") == weights:
            rows = ((_ROW.fullmatch(name), row) for name, row in report["rows"].items())
            return {int(said[1]): float(row[precision]["detected"]["mpjpe"]) for said, row in rows if said and precision in row}
    return {}


def cost_mm(lifter: Lifter, look_ahead: int) -> float | None:
    """Return by how much a pose is worse that waits for ``look_ahead`` frames than one that waits for all of use.

    Between measured look-aheads by the logarithm. None where these weights were not measured.
    """
    measured = sorted(measured_mm(lifter).items())
    if not measured or not measured[0][0] <= look_ahead <= measured[-1][0]:
        return None
    over = next(place for place, (frames, _) in enumerate(measured) if frames >= look_ahead)
    (more, above), (fewer, below) = measured[over], measured[max(over - 1, 0)]
    share = math.log((look_ahead + 1) / (fewer + 1)) / math.log((more + 1) / (fewer + 1)) if more > fewer else 1.0
    return below + share * (above - below) - measured[-1][1]


def spoken(lifter: Lifter, options: LiftOptions, rate: float) -> str:
    """Return in a sentence how long poses wait, ``rate`` frames a second, and what that costs."""
    plan = schedule(lifter.spec, options.overlap, options.every, options.look_ahead)
    frames = plan.look_ahead
    waits = f"wait {frames / rate:.2f} s" if frames else "do not wait"
    wait = f"look-ahead of {frames} {'frame' if frames == 1 else 'frames'}: poses {waits}"
    cost = cost_mm(lifter, frames) if options.overlap else None
    if cost is None:
        return wait
    most = schedule(lifter.spec).look_ahead
    if frames == most:
        return f"{wait}, all that is of use"
    return f"{wait} and are off by {cost:.1f} mm more than those that wait {most / rate:.2f} s (mocap17, detected keypoints)"
