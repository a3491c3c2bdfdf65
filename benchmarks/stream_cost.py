"""What a stream costs per frame: the network, and everything else that ``poseedge.Stream`` does, for one person and several.

``python -m benchmarks stream_cost BUNDLE``. One thread, one core; needs an idle machine for
its milliseconds, and any machine for the share that is not the network's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.options import BundleFolder, PageIfAny, Precisions, Results
from benchmarks.record import RESULTS, grid, machine_slug, record, versions
from benchmarks.scenes import Stand, pixels, with_face
from poseedge.arrays import Float32Array
from poseedge.backends.registry import load
from poseedge.bench.latency import pinned
from poseedge.bench.machine import busy, machine_facts
from poseedge.caches import CachedLifter, Memory
from poseedge.data.h36m import load_dataset
from poseedge.lifter import Lifter
from poseedge.live.stream import Stream
from poseedge.resources import resource
from poseedge.skeleton import NUM_JOINTS

SIZE = (1000, 1000)
PEOPLE = (1, 2, 5)
WARM = 200  # frames before the clock runs: the window fills


class Timed:
    """A lifter that keeps the time spent in it."""

    def __init__(self, lifter: Lifter) -> None:
        self._lifter, self.spent_s = lifter, 0.0
        self.spec, self.path = lifter.spec, lifter.path
        self.backend, self.provider, self.notes, self.cost = lifter.backend, lifter.provider, lifter.notes, lifter.cost

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        start = time.perf_counter()
        poses = self._lifter(keypoints)
        self.spent_s += time.perf_counter() - start
        return poses


class TimedSteps(Timed):
    """The same of a lifter that remembers."""

    def __init__(self, lifter: CachedLifter) -> None:
        super().__init__(lifter)
        self._steps, self.caches = lifter, lifter.caches

    def begin(self) -> Memory:
        """Return a memory whose steps are timed."""
        return Memory(self)

    def step(self, keypoints: Float32Array, caches: Sequence[Float32Array]) -> tuple[Float32Array, list[Float32Array]]:
        """Take a frame."""
        start = time.perf_counter()
        given = self._steps.step(keypoints, caches)
        self.spent_s += time.perf_counter() - start
        return given


class Idle(Timed):
    """The same lifter, which computes nothing: caches hold what the stream left in them."""

    def __call__(self, keypoints: Float32Array) -> Float32Array:
        return np.zeros((len(keypoints), len(self.spec.output_frames), NUM_JOINTS, 3), np.float32)


def timed_lifter(bundle: Path, precision: str, streaming: bool = True) -> Timed:
    """Open a bundle; ``streaming`` takes its streaming form, where it has one."""
    lifter = load(bundle, precision, stream=streaming)
    return TimedSteps(lifter) if isinstance(lifter, CachedLifter) else Timed(lifter)


def measure(
    bundle: BundleFolder,
    precision: Precisions = None,
    frames: Annotated[int, typer.Option(min=1, help="frames that are timed, for each number of people")] = 1000,
    results: Results = RESULTS,
    page: PageIfAny = None,
) -> None:
    """Time streams and record the table."""
    machine = machine_facts()  # once: afterwards this program itself is the load
    rows = []
    with pinned(1):
        for each in precision or ["fp32", "int8"]:
            lifter = timed_lifter(bundle, each)
            for people in PEOPLE:
                rows.append({"precision": each, "people": people, **timed(lifter, people, frames)})
                print(rows[-1], flush=True)
        rows += [{"precision": "none", "people": people, **timed(Idle(lifter), people, frames)} for people in PEOPLE]
    report = {"machine": machine, "note": busy(machine), "model": lifter.spec.model, "frames": frames, "rows": rows}
    record(results / f"stream_{lifter.spec.model}_{machine_slug(machine)}", report, markdown(report), page, "stream cost")


def timed(lifter: Timed, people: int, frames: int, look_ahead: int | None = None) -> dict[str, Any]:
    """Return milliseconds per frame: of ``push`` (median, 99th percentile), and per person of the network and of the rest.

    The rest of a frame is its push without what the network took in it: its median is the headline, beside its mean.
    """
    stream = Stream(lifter, SIZE, 50.0, look_ahead=look_ahead)
    motion = walks(people)
    pushes, network = np.empty(WARM + frames), np.empty(WARM + frames)
    for number in range(WARM + frames):
        row = {person: px[number % len(px)] for person, px in enumerate(motion)}
        before, start = lifter.spent_s, time.perf_counter()
        stream.push(row)
        pushes[number] = time.perf_counter() - start
        network[number] = lifter.spent_s - before
    pushes, network = 1000 * pushes[WARM:], 1000 * network[WARM:]
    own = (pushes - network) / people
    return {
        "p50_ms": float(np.median(pushes)),
        "p99_ms": float(np.percentile(pushes, 99)),
        "network_ms_per_person": float(np.median(network)) / people,
        "own_ms_per_person": float(np.median(own)),
        "own_p10_ms_per_person": float(np.percentile(own, 10)),
        "own_p90_ms_per_person": float(np.percentile(own, 90)),
        "own_mean_ms_per_person": float(own.mean()),
    }


def walks(people: int) -> list[Float32Array]:
    """Return the COCO keypoints of a person's motion in pixels for each person, played to and fro."""
    sequences = load_dataset(resource("calib_data", "mocap17-mini")).sequences
    found = []
    for sequence in sequences[-people:]:
        px = pixels(with_face(sequence, Stand(size=SIZE))).astype(np.float32)
        found.append(np.concatenate([px, px[-2:0:-1]]))
    return found


def markdown(report: dict[str, Any]) -> str:
    """Return the table."""
    heads = ["precision", "people", "p50, ms", "p99, ms", "network per person, ms", "**rest per person, ms**"]
    heads += ["its p10 to p90", "its mean", "frames per second"]
    rows = [
        [
            row["precision"],
            str(row["people"]),
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
            f"{row['network_ms_per_person']:.2f}",
            f"**{row['own_ms_per_person']:.3f}**",
            f"{row['own_p10_ms_per_person']:.3f} to {row['own_p90_ms_per_person']:.3f}",
            f"{row['own_mean_ms_per_person']:.3f}",
            f"{1000 / row['p50_ms']:.0f}",
        ]
        for row in report["rows"]
    ]
    said = [f"COCO keypoints at 50 Hz, all look-ahead, {report['frames']} frames of each; {versions(report['machine'])}"] + (
        [report["note"]] if report["note"] else []
    )
    return "\n".join([f"# Streams of {report['model']}, one core", "", " ".join(said), "", *grid(heads, rows)]) + "\n"


PROGRAM = measure
