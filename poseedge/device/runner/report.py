"""What was found, for a machine and for a person."""

import platform
from typing import Any, Dict, List, Optional

import numpy as np

from poseedge.device.runner.bundle import FORMAT, Bundle
from poseedge.device.runner.engine.memory import memory_words
from poseedge.device.runner.machine import RELEASE_FILE, board, first_line, power_mode
from poseedge.device.runner.measure import Measured

ENERGY = (
    "energy: {gross_j_per_window:.4f} J per window ({net_j_per_window:.4f} above rest), {gross_j_per_pose:.4f} J per pose; "
    "{mean_w:.2f} W, at rest {idle_w:.2f} W, of {of}"
)


def make_report(bundle: Bundle, runner: Any, found: Measured) -> Dict[str, Any]:
    """Return everything that was found, for a person's table and for a machine."""
    machine = {"board": board(), "l4t": first_line(RELEASE_FILE), "power_mode": power_mode()}
    machine.update({"python": platform.python_version(), "numpy": np.__version__, "system": platform.platform()})
    machine.update(runner.machine)
    return {
        "format": FORMAT,
        "bundle": {"model": bundle.manifest.get("model"), "config": bundle.manifest.get("config")},
        "graph": {"file": bundle.graph.name, "sha256": bundle.manifest["files"][bundle.graph.name]},
        "machine": machine,
        "engine": runner.details,
        "method": {
            "windows": len(bundle.keypoints),
            "runs": found.rows[0]["latency_ms"]["n"],
            **found.method,
            "latency_ms": "host clock, one window from input array to pose array, synchronised each run",
            "gpu_ms": "CUDA events around the network, without the copies",
        },
        "limits": bundle.limits,
        "rows": found.rows,
        "states": found.states,
        "doubts": found.doubts,
        "energy": found.energy,
        "passed": all(row["passed"] for row in found.rows),
    }


def format_table(report: Dict[str, Any]) -> str:
    """Return the report as a person reads it."""
    machine, first, limits = report["machine"], report["rows"][0], report["limits"]
    place = machine["board"] or machine.get("gpu") or machine["system"]
    text = ["{} {}, {}, on {}".format(first["model"], first["precision"], first["provider"], place)]
    head = ("mean mm", "p99 mm", "max mm", "host p50 ms", "host p99 ms", "gpu p50 ms", "gpu p99 ms")
    text.append(" " * 13 + "".join("{:>13}".format(word) for word in head))
    text.append(table_line("limit", [limits["mean_mm"], limits["p99_mm"]]))
    for row in report["rows"]:
        distance, host, gpu = row["distance_mm"], row["latency_ms"], row["gpu_ms"] or {}
        values = [distance["mean"], distance["p99"], distance["max"], host["p50"], host["p99"], gpu.get("p50"), gpu.get("p99")]
        text.append(table_line("CUDA graph" if row["cuda_graph"] else "plain", values))
    verdict = "within the limits" if report["passed"] else "NOT within the limits"
    text.append("poses of {} sample windows: {}".format(report["method"]["windows"], verdict))
    if report["method"]["memory"] is not None:
        text.append("memory: " + memory_words(report["method"]["memory"]))
    if report["energy"] is not None:
        text.append(ENERGY.format(**report["energy"]))
    text += ["times say little: " + doubt for doubt in report["doubts"]]
    return "\n".join(text)


def table_line(label: str, values: List[Optional[float]]) -> str:
    """Format one line of the table."""
    cells = ("-" if value is None else "{:.4f}".format(value) for value in values)
    return "  {:<11}".format(label) + "".join("{:>13}".format(cell) for cell in cells)
