"""What a bundle's runner found on another machine, as the report of ``poseedge bench``."""

from __future__ import annotations

from typing import Any

from poseedge.backends.onnxruntime import CPU, rewritten
from poseedge.bench.latency import Alternation
from poseedge.bench.report import Report
from poseedge.bench.results import Row
from poseedge.bundle.reading import AGAIN, Bundle
from poseedge.contract import parsed
from poseedge.device.runner.engine.memory import memory_words
from poseedge.device.ssh import Outcome
from poseedge.errors import PoseedgeError
from poseedge.graph.flops import graph_cost

AS_WRITTEN = "Q/DQ ran as it is written; poseedge.load makes faster operators of it, and --target cpu writes such a file"
RUNS_PER_ROUND = Alternation(rounds=1).calls


def remote_report(bundle: Bundle, host: str, outcomes: dict[str, Outcome]) -> Report:
    """Return one report for all that ran; raises the first failure's words if nothing did."""
    ran = {precision: outcome.report for precision, outcome in outcomes.items() if outcome.report is not None}
    failures = {precision: outcome for precision, outcome in outcomes.items() if outcome.report is None}
    if not ran:
        precision, first = next(iter(failures.items()))
        raise PoseedgeError(f"{host}: {precision}: {first.failure}", first.hint)
    first_report = next(iter(ran.values()))
    machine, provider = first_report["machine"], first_report["rows"][0]["provider"]
    place = machine["board"] or machine.get("gpu") or machine["system"]
    mode = f", {machine['power_mode']}" if machine["power_mode"] else ""
    notes = [f"measured on {host} ({place}{mode}) with {provider}"]
    notes += [f"{precision} did not run: {outcome.failure}" for precision, outcome in failures.items()]
    for precision, report in ran.items():
        notes += engine_note(precision, report["engine"])
        if provider == CPU and rewritten(bundle.graph(precision)):
            notes.append(f"{precision}: {AS_WRITTEN}")
        memory = report["method"].get("memory")
        notes += [f"{precision}: {memory_words(memory)}"] if memory else []
        notes += [f"{precision}: times say little: {doubt}" for doubt in report.get("doubts", [])]
        notes += [] if report["passed"] else [f"{precision}: poses are NOT within the bundle's limits {report['limits']}"]
    return Report(
        machine={"host": host, **machine},
        method={
            **first_report["method"],
            "latency": first_report["method"]["latency_ms"],
            "threads": first_report["rows"][0]["threads"],
            "batch": 1,
            "timed_calls_per_block": RUNS_PER_ROUND,
        },
        rows=[row(bundle, precision, found) for precision, report in ran.items() for found in rows_of(report)],
        notes=notes,
        complete=not failures,
    )


def rows_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a runner's rows; the last form of the network is the one whose energy it measured."""
    *others, last = report["rows"]
    return [*others, {**last, "energy": report.get("energy")}]


def engine_note(precision: str, engine: dict[str, Any] | None) -> list[str]:
    """Return where the engine came from; ONNX Runtime has none."""
    if engine is None:
        return []
    if engine["build_s"] is None:
        return [f"{precision}: with the engine that an earlier run built there; --rebuild builds it anew"]
    return [f"{precision}: the engine was built there in {engine['build_s']:.1f} s"]


def row(bundle: Bundle, precision: str, found: dict[str, Any]) -> Row:
    """Return the runner's row, with what this machine knows of the graph."""
    graph = bundle.graph(precision)
    cost = graph_cost(graph)
    here = {
        "frames_in": bundle.manifest.frames,
        "latency_evicted_ms": None,
        "flops": cost.flops,
        "flops_without_attention": cost.flops_without_attention,
        "params": bundle.manifest.parameters,
        "nodes": cost.nodes,
        "peak_rss_bytes": None,
        "mpjpe_mm": None,
        "delta_mpjpe_mm": None,
    }
    told = {name: value for name, value in found.items() if name in Row.model_fields}
    return parsed(Row, {**here, **told, "artefact": str(graph)}, f"the report on {precision}", AGAIN)
