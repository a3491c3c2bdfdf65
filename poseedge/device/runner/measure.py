"""Distance from the reference poses, time, and energy."""

import argparse
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from poseedge.device.runner.bundle import Bundle
from poseedge.device.runner.sensors.energy import energy_per_pose, power_meter
from poseedge.device.runner.sensors.state import doubts, gpu_state
from poseedge.device.runner.timing import Clock, time_forms
from poseedge.device.runner.words import note


class Measured(NamedTuple):
    """What was found: a row for each form of the network, and how."""

    rows: List[Dict[str, Any]]
    method: Dict[str, Any]
    states: Dict[str, Any]  # of the GPU, before and after
    doubts: List[str]  # why the times say little
    energy: Optional[Dict[str, Any]]  # of the last form


def measure_run(runner: Any, bundle: Bundle, options: argparse.Namespace) -> Measured:
    """Verify and time ``runner``, as a CUDA graph too where it can be captured; then its energy where power can be read."""
    runner.choose_memory(bundle.keypoints[0])
    rows = [verified(runner, bundle)]
    reason = runner.capture()
    if reason is None:
        rows.append(verified(runner, bundle))
    elif reason:
        note("no CUDA graph: " + reason)
    forms = [Clock(runner, bundle.keypoints, row["cuda_graph"]) for row in rows]
    before = gpu_state()
    method = dict(time_forms(forms, options.runs, options.warmup, options.seconds), memory=runner.memory)
    after = gpu_state()
    for row, form in zip(rows, forms):  # noqa: B905  # Python 3.6
        row.update(form.summaries())
    found = doubts(before, after)
    if method["stable"] is False:
        found.append("the times had not become stable after {:.0f} s".format(method["warmup_s"]))
    for doubt in found:
        note(doubt)
    return Measured(rows, method, {"before": before, "after": after}, found, energy_of(runner, bundle, options.energy))


def verified(runner: Any, bundle: Bundle) -> Dict[str, Any]:
    """Return one row without times: the network as it runs now, and its distance from the reference poses."""
    poses = np.stack([runner.infer(window) for window in bundle.keypoints])
    distance_mm, passed = compare_poses(poses, bundle.poses, bundle.limits)
    return {
        "artefact": runner.artefact.name,
        "model": bundle.manifest.get("model"),
        "precision": bundle.precision,
        "backend": runner.backend,
        "provider": runner.provider,
        "batch": 1,
        "threads": runner.threads,
        "frames_out": poses.shape[1],
        "cuda_graph": runner.captured,
        "distance_mm": distance_mm,
        "passed": passed,
        "file_bytes": runner.artefact.stat().st_size,
    }


def energy_of(runner: Any, bundle: Bundle, seconds: float) -> Optional[Dict[str, Any]]:
    """Return the energy of the form that was captured last, None where it cannot be told or was not asked for."""
    if not seconds:
        return None
    window = bundle.keypoints[0]
    with power_meter() as meter:
        if meter is None:
            return None
        return energy_per_pose(meter, lambda: runner.infer(window), len(bundle.poses[0]), seconds)


def compare_poses(poses: Any, reference: Any, limits: Dict[str, float]) -> Tuple[Dict[str, Optional[float]], bool]:
    """Return mean, 99th percentile and maximum joint distance in mm, and whether they keep within ``limits``."""
    distance = 1000 * np.linalg.norm(poses.astype(np.float64) - reference, axis=-1)
    if not np.isfinite(distance).all():  # JSON knows no NaN
        return {"mean": None, "p99": None, "max": None}, False
    found = {"mean": float(distance.mean()), "p99": float(np.percentile(distance, 99)), "max": float(distance.max())}
    return dict(found), found["mean"] <= limits["mean_mm"] and found["p99"] <= limits["p99_mm"]
