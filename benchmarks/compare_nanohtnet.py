"""NanoHTNet as exported by poseedge against eager PyTorch, the naive export, and the floor of its products.

``python -m benchmarks compare_nanohtnet build/nanohtnet weights/nanohtnet.pth``
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.floor import floor_call, write_floor
from benchmarks.naive import export_naive, naive_call, published_form
from benchmarks.options import Results
from benchmarks.record import RESULTS, grid, machine_slug, record, versions
from poseedge.arrays import Float32Array
from poseedge.backends.registry import load
from poseedge.backends.torch import TorchLifter
from poseedge.bench.latency import Alternation, CacheEvictor, Candidate, pinned, summary_ms, time_alternating
from poseedge.bench.machine import busy, machine_facts
from poseedge.bundle.reading import Bundle, open_bundle
from poseedge.errors import PoseedgeError
from poseedge.files import sha256_of
from poseedge.lifter import random_keypoints
from poseedge.models import load_checkpoint
from poseedge.models.nanohtnet import NanoHTNet

PUBLISHED, EAGER, NAIVE, FLOOR = "PyTorch eager, published form", "PyTorch eager", "naive ONNX", "floor"
TOLERANCE_M = 1e-4  # between the float32 forms
ROUNDS = 100
THREADS = 1


def compare(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder made from the checkpoint.")],
    checkpoint: Annotated[Path, typer.Argument(help="NanoHTNet checkpoint.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of 8 timed calls for each.")] = ROUNDS,
    results: Results = RESULTS,
) -> None:
    """Time all forms in one process and record the table."""
    report = measure(open_bundle(bundle), checkpoint, rounds)
    name = f"nanohtnet_{machine_slug(report['machine'])}_{report['method']['target']}"
    record(results / name, report, markdown(report))
    if warning := busy(report["machine"]):
        print(f"\nnote: {warning}; run it again on an idle one")


def measure(bundle: Bundle, checkpoint: Path, rounds: int) -> dict[str, Any]:
    """Return ``machine``, ``method`` and one row for each form, timed in turns with warm and with evicted caches."""
    machine = machine_facts()
    with tempfile.TemporaryDirectory() as folder, pinned(THREADS) as cores:
        calls, differences = prepare(bundle, checkpoint, Path(folder))
        warm = time_alternating(calls, Alternation(rounds))
        evicted = time_alternating(calls, Alternation(rounds), CacheEvictor())
    latencies = {name: (summary_ms(warm[name]).model_dump(), summary_ms(evicted[name]).model_dump()) for name in calls}
    rows = [
        {
            "form": name,
            "latency_ms": latency,
            "latency_evicted_ms": latency_evicted,
            "ratio_to_naive": latency["p50"] / latencies[NAIVE][0]["p50"],
            "ratio_to_naive_evicted": latency_evicted["p50"] / latencies[NAIVE][1]["p50"],
            "speedup_over_eager": latencies[PUBLISHED][0]["p50"] / latency["p50"],
            "max_difference_m": differences.get(name),
        }
        for name, (latency, latency_evicted) in latencies.items()
    ]
    schedule = Alternation(rounds)
    method = {
        "rounds": rounds,
        "settling_calls_per_block": schedule.settle,
        "timed_calls_per_block": schedule.calls,
        "threads": THREADS,
        "pinned_cores": cores,
        "batch": 1,
        "target": bundle.manifest.target.name,
        "checkpoint_sha256": sha256_of(checkpoint),
        "graph_sha256": {precision: sha256_of(bundle.graph(precision)) for precision in bundle.precisions},
    }
    return {"machine": machine, "method": method, "rows": rows}


def prepare(bundle: Bundle, checkpoint: Path, folder: Path) -> tuple[dict[str, Candidate], dict[str, float]]:
    """Return one callable for each form, and how far its poses are from eager PyTorch's, metres.

    Raises ``PoseedgeError`` if a float32 form is not the same network.
    """
    network = load_checkpoint(checkpoint, "nanohtnet")
    assert isinstance(network, NanoHTNet)
    eager = TorchLifter(network, checkpoint, THREADS)
    keypoints = random_keypoints(eager.spec, 1)
    export_naive(network, folder / "naive.onnx")
    write_floor(bundle.graph("fp32"), folder / "floor.onnx")
    lifts: dict[str, Callable[[], Float32Array]] = {EAGER: partial(eager, keypoints)}
    lifts[PUBLISHED] = partial(TorchLifter(published_form(network), checkpoint, THREADS), keypoints)
    lifts[NAIVE] = naive_call(network, folder / "naive.onnx", keypoints, THREADS)
    lifts |= {name_of(p): partial(load(bundle.graph(p), threads=THREADS), keypoints) for p in bundle.precisions}
    expected = eager(keypoints)
    differences = {name: float(np.abs(lift() - expected).max()) for name, lift in lifts.items()}
    for name in (PUBLISHED, NAIVE, name_of("fp32")):
        if differences[name] > TOLERANCE_M:
            raise PoseedgeError(
                f"{name} is {differences[name]:.1e} m from eager PyTorch, {TOLERANCE_M:.0e} m are allowed",
                f"was {bundle.folder} exported from {checkpoint}?",
            )
    return {**lifts, FLOOR: floor_call(folder / "floor.onnx", THREADS)}, differences


def name_of(precision: str) -> str:
    """Return the row's name of an exported graph."""
    return f"poseedge {precision}"


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a readable table."""
    machine, method = report["machine"], report["method"]
    columns = [
        *("form", "p50", "p90", "p99", "ratio", "times faster than eager"),
        *("evicted p50", "evicted ratio", "largest difference, m"),
    ]
    rows = []
    for row in report["rows"]:
        latency, difference = row["latency_ms"], row["max_difference_m"]
        rows.append(
            [
                row["form"],
                *(f"{latency[p]:.3f}" for p in ("p50", "p90", "p99")),
                f"{row['ratio_to_naive']:.2f}",
                f"{row['speedup_over_eager']:.1f}",
                f"{row['latency_evicted_ms']['p50']:.3f}",
                f"{row['ratio_to_naive_evicted']:.2f}",
                "-" if difference is None else f"{difference:.1e}",
            ]
        )
    lines = [
        f"# NanoHTNet: one window, one thread, target {method['target']}",
        "",
        versions(machine),
        *([f"Note: {warning}."] if (warning := busy(machine)) else []),
        f"{method['rounds']} rounds; each gives every form {method['settling_calls_per_block']} untimed and "
        f"{method['timed_calls_per_block']} timed calls, in random order.",
        "Times in ms, medians unless named; ratio: to the naive export, below 1 is faster; eager: the published form.",
        "",
        *grid(columns, rows),
    ]
    return "\n".join(lines) + "\n"


PROGRAM = compare
