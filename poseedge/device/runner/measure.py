"""Distance from the reference poses, and time."""

import argparse
import time
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from poseedge.device.runner.bundle import Bundle
from poseedge.device.runner.words import note


def measure(runner: Any, bundle: Bundle, options: argparse.Namespace) -> List[Dict[str, Any]]:
    """Verify and time ``runner``, then once more as a CUDA graph where it can be captured."""
    rows = [measure_once(runner, bundle, options)]
    reason = runner.capture()
    if reason is None:
        rows.append(measure_once(runner, bundle, options))
    elif reason:
        note("no CUDA graph: " + reason)
    return rows


def measure_once(runner: Any, bundle: Bundle, options: argparse.Namespace) -> Dict[str, Any]:
    """Return one row: distance from the reference poses and time for one window."""
    poses = np.stack([runner.infer(window) for window in bundle.keypoints])
    distance_mm, passed = compare(poses, bundle.poses, bundle.limits)
    latency_ms, gpu_ms = time_windows(runner, bundle.keypoints, options.warmup, options.runs)
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
        "latency_ms": latency_ms,
        "gpu_ms": gpu_ms,
        "file_bytes": runner.artefact.stat().st_size,
    }


def compare(poses: Any, reference: Any, limits: Dict[str, float]) -> Tuple[Dict[str, Optional[float]], bool]:
    """Return mean, 99th percentile and maximum joint distance in mm, and whether they keep within ``limits``."""
    distance = 1000 * np.linalg.norm(poses.astype(np.float64) - reference, axis=-1)
    if not np.isfinite(distance).all():  # JSON knows no NaN
        return {"mean": None, "p99": None, "max": None}, False
    found = {"mean": float(distance.mean()), "p99": float(np.percentile(distance, 99)), "max": float(distance.max())}
    return dict(found), found["mean"] <= limits["mean_mm"] and found["p99"] <= limits["p99_mm"]


def time_windows(runner: Any, windows: Any, warmup: int, runs: int) -> Tuple[Dict[str, Any], Optional[Dict[str, Any]]]:
    """Time single windows: on the host from input to pose, and on the GPU if the runner can say."""
    host_ms, gpu_ms = [], []
    for run in range(warmup + runs):
        window = windows[run % len(windows)]
        start = time.perf_counter()
        runner.infer(window)
        elapsed_ms = 1000 * (time.perf_counter() - start)
        if run >= warmup:
            host_ms.append(elapsed_ms)
            gpu_ms.append(runner.gpu_ms())
    return summary(host_ms), None if gpu_ms[0] is None else summary(gpu_ms)


def summary(values: List[float]) -> Dict[str, Any]:
    """Return percentiles, mean and standard deviation of times in ms."""
    p50, p90, p99 = (float(value) for value in np.percentile(values, (50, 90, 99)))
    return {"p50": p50, "p90": p90, "p99": p99, "mean": float(np.mean(values)), "std": float(np.std(values)), "n": len(values)}
