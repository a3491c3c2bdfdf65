"""How fast a test split is evaluated, with ONNX Runtime and with PyTorch, and whether memory stays flat meanwhile.

poseedge export --model nanohtnet --free-batch --precision fp32 --output build/nanohtnet-free
python -m benchmarks evaluation_speed build/nanohtnet-free weights/nanohtnet.pth --data mocap17/
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.options import Data, Results
from benchmarks.record import RESULTS, grid, machine_slug, record, versions
from poseedge.arrays import Float32Array
from poseedge.backends.backend import Opening
from poseedge.backends.registry import load
from poseedge.backends.torch import TorchLifter
from poseedge.bench.latency import pinned
from poseedge.bench.machine import busy, machine_facts
from poseedge.data.sources import open_dataset
from poseedge.data.types import PoseDataset
from poseedge.evaluation.predict import CHUNK, predict
from poseedge.evaluation.score import score
from poseedge.lifter import Cost, Lifter, LifterSpec
from poseedge.skeleton import NUM_JOINTS

INTERVAL_S = 0.1  # between two looks at memory
SETTLED = 0.1  # share of the run after which memory has to be flat


@dataclass
class Nothing:
    """A lifter that computes nothing: what is left is reading windows, and that is all the loop does beside lifting."""

    spec: LifterSpec
    path: Path = Path("nothing")
    backend: str = "none"
    provider: str = "none"
    notes: tuple[str, ...] = ()

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        return np.zeros((len(keypoints), len(self.spec.output_frames), NUM_JOINTS, 3), np.float32)

    def cost(self) -> Cost:
        return Cost(0, 0, 0, 0, 0)


@dataclass
class Memory:
    """Resident bytes of this process over a run, and how many frames were done when each was read."""

    frames: int = 0
    samples: list[tuple[int, int]] = field(default_factory=list)

    def advance(self, count: int) -> None:
        self.frames += count

    def look(self) -> None:
        self.samples.append((self.frames, resident_bytes()))

    def growth(self) -> dict[str, int]:
        """Return resident bytes once a tenth of the frames is done, at the end, and the most in between."""
        settled = [size for done, size in self.samples if done >= SETTLED * self.frames]
        return {"settled_bytes": settled[0], "end_bytes": settled[-1], "most_bytes": max(settled), "samples": len(settled)}


def resident_bytes() -> int:
    """Return what this process holds in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def watched() -> Iterator[Memory]:
    """Look at memory from another thread for the length of the block."""
    memory, over = Memory(), threading.Event()

    def watch() -> None:
        while not over.wait(INTERVAL_S):
            memory.look()

    thread = threading.Thread(target=watch, daemon=True)
    memory.look()
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()
        memory.look()


def evaluation_speed(
    bundle: Annotated[Path, typer.Argument(help="Bundle with a free batch.")],
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint that it was made from.")],
    data: Data,
    keypoints: Annotated[str, typer.Option(help="2D keypoints.")] = "gt",
    torch_every: Annotated[int, typer.Option(min=1, help="PyTorch takes every n-th frame only.")] = 1,
    results: Results = RESULTS,
) -> None:
    """Evaluate the test split with both and record frames per second and memory."""
    report = measure(bundle, checkpoint, open_dataset(data, keypoints), torch_every)
    record(results / f"evaluation_{machine_slug(report['machine'])}", report, markdown(report))


def measure(bundle: Path, checkpoint: Path, dataset: PoseDataset, torch_every: int) -> dict[str, Any]:
    """Return ``machine``, ``method`` and one row for each form, evaluated one after the other on one thread."""
    machine, test = machine_facts(), dataset.of(dataset.test)
    warm_up = replace(test, sequences=test.sequences[:1])
    with pinned(1) as cores:
        onnx, torch = load(bundle), TorchLifter.from_checkpoint(checkpoint, Opening())
        rows = []
        for name, lifter, every in (
            ("no network", Nothing(onnx.spec), 1),
            ("ONNX Runtime", onnx, 1),
            ("PyTorch", torch, torch_every),
        ):
            predict(lifter, warm_up, every=max(1, len(warm_up.sequences[0]) // CHUNK))
            rows.append({"form": name, **run(lifter, test, every)})
    method = {
        "threads": 1,
        "pinned_cores": cores,
        "windows_per_call": CHUNK,
        "dataset": dataset.name,
        "keypoints": dataset.keypoints,
        "test_subjects": list(dataset.test),
        "memory_looked_at_every_s": INTERVAL_S,
        "free_batch": onnx.spec.batch is None,
    }
    return {"machine": machine, "method": method, "rows": rows}


def run(lifter: Lifter, dataset: PoseDataset, every: int) -> dict[str, Any]:
    """Evaluate once: frames, seconds with and without scoring, MPJPE, memory."""
    with watched() as memory:
        start, cpu = time.perf_counter(), time.process_time()
        found = predict(lifter, dataset, every=every, advance=memory.advance)
        lifted, used = time.perf_counter(), time.process_time() - cpu
    result = score(found, every)
    return {
        "frames": memory.frames,
        "every": every,
        "predict_s": lifted - start,
        "predict_cpu_s": used,
        "score_s": time.perf_counter() - lifted,
        "frames_per_s": memory.frames / (lifted - start),
        "frames_per_cpu_s": memory.frames / used,
        "mpjpe_mm": result.mpjpe_mm,
        "predictions_bytes": sum(p.poses_m.nbytes for p in found),
        "memory": memory.growth(),
    }


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a Markdown page."""
    by_name = {row["form"]: row for row in report["rows"]}
    per_frame = {name: 1 / row["frames_per_cpu_s"] for name, row in by_name.items()}
    table = [
        [
            *(name, f"{row['frames']:,}", f"{row['predict_s']:.1f}", f"{row['frames_per_s']:,.0f}"),
            f"{row['frames_per_cpu_s']:,.0f}",
            f"{per_frame['PyTorch'] / per_frame[name]:.2f}x" if name != "no network" else "-",
            f"{100 * per_frame['no network'] / per_frame[name]:.1f} %",
            f"{row['mpjpe_mm']:.3f}" if name != "no network" else "-",
            *(f"{row['memory'][key] / 1e6:.1f}" for key in ("settled_bytes", "end_bytes", "most_bytes")),
            f"{row['predictions_bytes'] / 1e6:.1f}",
        ]
        for name, row in by_name.items()
    ]
    columns = ["", "frames", "s", "frames/s", "per CPU second", "vs PyTorch", "reading windows", "MPJPE"]
    columns += ["MB at 10 %", "at the end", "at most", "results"]
    method = report["method"]
    return "\n".join(
        [
            "# Evaluation speed",
            "",
            f"{method['dataset']}, subjects {', '.join(method['test_subjects'])}, {method['keypoints']} keypoints; one thread, "
            f"{method['windows_per_call']} windows per call, the same loop (`poseedge.evaluation.predict`) for all.",
            "",
            *grid(columns, table),
            "",
            '"No network" is the loop with a lifter that returns zeros: reading windows is this share of each other run. '
            "Ratios are of CPU time, which other programs on the machine change less than wall time. Resident memory was looked "
            f"at every {method['memory_looked_at_every_s']} s; *results* are the predicted poses, "
            "which are kept for scoring and are all that may grow.",
            "",
            *([f"Wall times are too long: {warning}.", ""] if (warning := busy(report["machine"])) else []),
            versions(report["machine"]),
            "",
        ]
    )


PROGRAM = evaluation_speed
