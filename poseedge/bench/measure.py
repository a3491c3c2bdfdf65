"""Time, accuracy, size and memory of artefacts, one row each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import Float64Array
from poseedge.backends.registry import backends, load
from poseedge.backends.torch import torch_threads
from poseedge.bench.accuracy import LiftedMotions, PosedClip, accuracy, clip_of, posed
from poseedge.bench.entries import Subject, on_backends
from poseedge.bench.latency import (
    EVICTED_BYTES,
    Alternation,
    CacheEvictor,
    Candidate,
    affordable_rounds,
    pinned,
    summary_ms,
    time_alternating,
)
from poseedge.bench.layers import layer_costs
from poseedge.bench.machine import OtherWork, machine_facts
from poseedge.bench.memory import call_on, fresh
from poseedge.bench.motion import affordable_frames, first_frames, keypoint_windows, open_motion
from poseedge.bench.ratios import block_medians, ratio_of
from poseedge.bench.report import Report
from poseedge.bench.results import BY_PERCENT, Accuracy, ColdStart, Energy, LayerCost, Row
from poseedge.data.mistakes import warnings_of
from poseedge.data.types import PoseDataset
from poseedge.device.runner.sensors.energy import energy_per_pose, power_meter
from poseedge.device.runner.sensors.state import doubts, gpu_state
from poseedge.errors import PoseedgeError
from poseedge.evaluation.overlap import default_every
from poseedge.files import sha256_of
from poseedge.lifter import Cost, Lifter, random_keypoints
from poseedge.progress import Tell

ROUNDS = 100  # 800 calls: enough for a 99th percentile
BUDGET_S = 60.0  # heavy networks get fewer rounds
CALLS = Alternation(rounds=1).calls
Timed = dict[int, Float64Array]  # latencies, seconds, by the subject's place


@dataclass(frozen=True)
class BenchSettings:
    """How to measure; ``rounds=None`` takes as many as fit a minute, at most 100."""

    threads: int = 1
    batch: int = 1
    rounds: int | None = None
    evicted: bool = False
    backend: str | Sequence[str] | None = None  # those of files that they open; the usual one for the others
    energy_s: float = 0.0  # seconds to measure the energy of each for; 0: not
    more_threads: tuple[int, ...] = ()  # to time with, too
    more_batches: tuple[int, ...] = ()
    data: Path | None = None  # motion to time and test on; default: the bundled sample
    keypoints: str = "gt"
    frames: int | None = None  # of each motion to test on; 0: do not test; None: as many as that takes a minute at most
    layers: bool = False
    unasked: tuple[str, ...] = ()  # backends that nobody named: what one of them cannot open is left out with a remark

    @property
    def points(self) -> list[tuple[int, int]]:
        """Threads and windows a call, the main ones first."""
        threads = dict.fromkeys((self.threads, *self.more_threads))
        return [(count, batch) for count in threads for batch in dict.fromkeys((self.batch, *self.more_batches))]

    @property
    def backends(self) -> list[str]:
        """Names of the backends that were asked for."""
        return [self.backend] if isinstance(self.backend, str) else list(self.backend or [])


@dataclass
class Findings:
    """What was found of one subject beside its times."""

    accuracy: Accuracy | None = None
    energy: Energy | None = None
    evicted: Float64Array | None = None
    rss: int | None = None
    cold: ColdStart | None = None


@dataclass
class BenchRun:
    """One measurement: the subjects, and what is told as it goes."""

    subjects: list[Subject]
    settings: BenchSettings
    motion: PoseDataset
    progress: Tell
    notes: list[str] = field(default_factory=list)
    baseline: int = 0  # place of the subject that ratios are to
    rounds: int = 0  # at the main point
    cores: list[int] | None = None
    others: float | None = None
    clip: PosedClip | None = None


def measure_subjects(subjects: Sequence[Subject], settings: BenchSettings, progress: Tell) -> Report:
    """Load every subject, time them in turns in this process, test them, then start each in a process of its own."""
    machine, before = machine_facts(), gpu_state()
    chosen = on_backends(subjects, settings.backends)
    work = BenchRun(chosen, settings, open_motion(settings.data, settings.keypoints), progress)
    for threads in dict.fromkeys(count for count, _ in settings.points):
        with pinned(threads):
            pass  # raises before any work if there are not as many cores
    rows: list[Row] = []
    for threads in dict.fromkeys(count for count, _ in settings.points):
        rows += timed_rows(work, threads, before)
    states = {"gpu_before": before, "gpu_after": gpu_state()}
    machine["others_share"] = work.others
    return Report(machine, {**method(work, rows), **states}, rows, work.notes, clip=work.clip)


def timed_rows(work: BenchRun, threads: int, before: dict[str, Any]) -> list[Row]:
    """Return the rows for a number of threads: for each number of windows a call, one for each subject."""
    settings, main = work.settings, threads == work.settings.threads
    batches = [batch for count, batch in settings.points if count == threads]
    settled = torch_threads(threads) if sys.modules.get("torch") else nullcontext()  # not anew at every call
    with pinned(threads) as cores, settled:
        lifters = opened(work, threads)
        graphs = [place for place, lifter in enumerate(lifters) if not lifter.backend.startswith("torch")]
        work.baseline = graphs[0] if graphs else 0  # PyTorch has the column of its own
        watch = OtherWork(cores)
        timed = {batch: timed_calls(work, lifters, threads, batch) for batch in batches}
        work.others = max([share for share in (work.others, watch.share()) if share is not None], default=None)
        found = [Findings() for _ in lifters]
        if main:
            work.cores = cores
            work.notes += remarks_of(lifters) + fixed_batches(lifters, batches)
            find_at_main(work, lifters, found, before)
    if main:
        find_fresh(work, lifters, found)
    costs = [lifter.cost() for lifter in lifters]
    rows = []
    for batch in batches:
        here = found if main and batch == settings.batch else [Findings() for _ in lifters]
        for place, (subject, lifter, cost) in enumerate(zip(work.subjects, lifters, costs, strict=True)):
            if cost.unknown and here is found:
                work.notes.append(f"{subject.path.name}: no FLOPs, {cost.unknown}")
            made = result_row(subject, lifter, cost, (threads, batch), timed[batch][place], here[place])
            blocks, baseline = (block_medians(timed[batch][each], CALLS) for each in (place, work.baseline))
            profile = layers_of(work, lifter) if settings.layers and here is found else None
            rows.append(made.model_copy(update={"ratio": ratio_of(blocks, baseline), "fps": work.motion.fps, "layers": profile}))
    return rows


def layers_of(work: BenchRun, lifter: Lifter) -> list[LayerCost] | None:
    """Return what each layer costs; where that fails, a remark says so, and what was measured before is kept."""
    try:
        return layer_costs(lifter)
    except (PoseedgeError, OSError, ValueError) as error:
        work.notes.append(f"{lifter.path.name}: layers were not timed: {error}".replace("\n", "; "))
        return None


def opened(work: BenchRun, threads: int) -> list[Lifter]:
    """Open all subjects; those that a backend cannot open which nobody asked for are left out from here on."""
    kept, lifters = [], []
    for subject in work.subjects:
        backend = subject.backend
        try:
            lifter = load(subject.path, threads=threads, model=subject.model, backend=backend, settings=subject.settings)
        except PoseedgeError as error:
            if backend is None or backend not in work.settings.unasked or backends()[backend].usual:
                raise
            work.notes.append(f"left out: {error.message}")
        else:
            kept.append(subject)
            lifters.append(lifter)
    work.subjects = kept
    return lifters


def calls_of(work: BenchRun, lifters: Sequence[Lifter], batch: int) -> dict[str, Candidate]:
    """Return one call of each lifter on real keypoints."""
    return {str(place): call_of(lifter, batch, work.motion) for place, lifter in enumerate(lifters)}


def timed_calls(work: BenchRun, lifters: Sequence[Lifter], threads: int, batch: int) -> Timed:
    """Time all lifters in turns."""
    settings, calls = work.settings, calls_of(work, lifters, batch)
    main = (threads, batch) == settings.points[0]
    rounds = settings.rounds or affordable_rounds(calls, BUDGET_S / len(settings.points), ROUNDS)
    work.rounds = rounds if main else work.rounds
    where = "warm caches" if main else f"batch {batch}, threads {threads}"
    return alternate(where, calls, rounds, None, work.progress)


def find_at_main(work: BenchRun, lifters: list[Lifter], found: list[Findings], before: dict[str, Any]) -> None:
    """Find what is found with the lifters at hand: times with emptied caches, energy, accuracy."""
    settings, calls = work.settings, calls_of(work, lifters, work.settings.batch)
    if settings.evicted:
        evicted = alternate("evicted caches", calls, work.rounds, CacheEvictor(), work.progress)
        for place, latency in evicted.items():
            found[place].evicted = latency
    work.notes += doubts(before, gpu_state())
    if settings.energy_s:
        energies, lacking = metered(calls, lifters, settings, work.progress)
        work.notes += lacking
        for key, energy in energies.items():
            found[int(key)].energy = energy
    if settings.frames != 0:
        measure_accuracy(work, lifters, found)


def measure_accuracy(work: BenchRun, lifters: list[Lifter], found: list[Findings]) -> None:
    """Lift the same motions with all lifters and compare."""
    costs = [(lifter.spec, lifter.cost().flops) for lifter in lifters]
    motion = first_frames(work.motion, work.settings.frames or affordable_frames(work.motion, costs))
    windows = dict.fromkeys((lifter.spec.frames, lifter.spec.known_fps) for lifter in lifters)
    work.notes += dict.fromkeys(note for frames, fps in windows for note in warnings_of(motion, frames, fps))
    everything: dict[int, LiftedMotions] = {}
    for place, lifter in enumerate(lifters):
        work.progress("accuracy", place, len(lifters))
        everything[place] = posed(lifter, motion, f"{lifter.path.name} on {lifter.backend}")
    references = {place: reference_place(lifters, place) for place in everything}
    for place, reference in references.items():
        found[place].accuracy = accuracy(everything[place], None if reference is None else everything[reference], motion)
    work.notes += changes_by_the_bundle(work.subjects, references)
    work.clip = clip_of(everything, references, motion)


def changes_by_the_bundle(subjects: Sequence[Subject], references: dict[int, int | None]) -> list[str]:
    """Say whose change of MPJPE is told by its bundle, for want of a reference here."""
    lacking = [subjects[place] for place, reference in references.items() if reference is None]
    told = [subject.path.name for subject in lacking if subject.delta_mpjpe_mm is not None]
    return [f"{', '.join(dict.fromkeys(told))}: change is as the bundle tells it, measured at the export"] if told else []


def reference_place(lifters: Sequence[Lifter], place: int) -> int | None:
    """Return which lifter the one at ``place`` is compared with: PyTorch, else the first float32 one, of the same weights."""
    alike = [number for number, other in enumerate(lifters) if same_network(lifters[place], other)]
    float32 = [number for number in alike if lifters[number].spec.precision == "fp32"]
    return next((number for number in alike if lifters[number].backend == "torch"), float32[0] if float32 else None)


def same_network(one: Lifter, other: Lifter) -> bool:
    """Say whether two lifters are one network, as far as their artefacts tell."""
    alike = (one.spec.model, one.spec.frames) == (other.spec.model, other.spec.frames)
    weights = {weights_of(one), weights_of(other)} - {""}
    return alike and len(weights) < 2


def weights_of(lifter: Lifter) -> str:
    """Return the hash of the checkpoint that a lifter is, or came from; empty if that is not known."""
    return sha256_of(lifter.path) if lifter.backend.startswith("torch") else lifter.spec.weights_sha256


def find_fresh(work: BenchRun, lifters: list[Lifter], found: list[Findings]) -> None:
    """Start each in processes of its own."""
    settings = work.settings
    for place, (subject, lifter) in enumerate(zip(work.subjects, lifters, strict=True)):
        work.progress("cold start", place, len(lifters))
        told = fresh(subject.path, settings.threads, settings.batch, lifter.backend, subject.model, subject.settings)
        found[place].rss = told.peak_rss_bytes
        found[place].cold = ColdStart(
            start_ms=told.start_ms, load_ms=told.load_ms, first_ms=told.first_ms, total_ms=told.total_ms, n=told.n
        )


def call_of(lifter: Lifter, batch: int, motion: PoseDataset | None = None) -> Candidate:
    """Return the call that is timed: ``batch`` windows of ``motion``, or as many frames of a lifter that remembers."""
    spec = lifter.spec
    keypoints = random_keypoints(spec, batch) if motion is None else keypoint_windows(motion, spec, batch)
    return call_on(lifter, keypoints)


def metered(
    calls: dict[str, Candidate], lifters: Sequence[Lifter], settings: BenchSettings, progress: Tell
) -> tuple[dict[str, Energy], list[str]]:
    """Return the energy of each candidate, and why there is none where it was asked for."""
    if not settings.energy_s:
        return {}, []
    found: dict[str, Energy] = {}
    with power_meter() as meter:
        if meter is None:
            return {}, ["no energy: nothing tells power here (INA3221, tegrastats, nvidia-smi)"]
        for index, (key, lifter) in enumerate(zip(calls, lifters, strict=True)):
            progress("energy", index, len(lifters))
            poses = settings.batch * len(lifter.spec.output_frames)
            told = energy_per_pose(meter, calls[key], poses, settings.energy_s)
            if told is not None:
                found[key] = Energy(**told)
    return found, []


def fixed_batches(lifters: Sequence[Lifter], batches: Sequence[int]) -> list[str]:
    """Say which graphs take a batch in several calls, one after the other."""
    names = [lifter.path.name for lifter in lifters if lifter.spec.batch and max(batches) > lifter.spec.batch]
    said = "the batch is fixed, so more windows are lifted one call after the other"
    return [f"{', '.join(dict.fromkeys(names))}: {said}"] if names else []


def remarks_of(lifters: Sequence[Lifter]) -> list[str]:
    """Return what lifters note of themselves, each remark once, with the files that it is about."""
    about: dict[str, list[str]] = {}
    for lifter in lifters:
        for note in (*lifter.notes, *getattr(lifter, "timed_as", ())):
            about.setdefault(f"{note} ({lifter.backend})", []).append(lifter.path.name)
    return [f"{', '.join(names)}: {note}" for note, names in about.items()]


def alternate(what: str, calls: dict[str, Candidate], rounds: int, before_call: Candidate | None, progress: Tell) -> Timed:
    """Time ``calls`` and report progress between rounds."""
    done = iter(range(1, rounds + 1))
    progress(what, 0, rounds)
    times = time_alternating(calls, Alternation(rounds), before_call, lambda: progress(what, next(done), rounds))
    return {int(place): latency for place, latency in times.items()}


def result_row(
    subject: Subject, lifter: Lifter, cost: Cost, point: tuple[int, int], latency: Float64Array, found: Findings
) -> Row:
    """Put together all that is known of one subject by itself, at one number of threads and windows."""
    spec, known, blocks = lifter.spec, found.accuracy, block_medians(latency, CALLS)
    quantiles = np.percentile(latency * 1e3, np.linspace(0, 100, BY_PERCENT))
    return Row(
        artefact=str(subject.path),
        model=spec.model,
        precision=spec.precision,
        backend=lifter.backend,
        provider=lifter.provider,
        batch=point[1],
        threads=point[0],
        frames_in=spec.frames,
        frames_out=len(spec.output_frames),
        latency_ms=summary_ms(latency),
        latency_evicted_ms=None if found.evicted is None else summary_ms(found.evicted),
        flops=cost.flops,
        flops_without_attention=cost.flops_without_attention,
        params=cost.params if subject.params is None else subject.params,
        nodes=cost.nodes,
        file_bytes=cost.file_bytes,
        peak_rss_bytes=found.rss,
        mpjpe_mm=known.mpjpe_mm if known else subject.mpjpe_mm,
        delta_mpjpe_mm=known.delta_mpjpe_mm if known and known.reference else subject.delta_mpjpe_mm,
        energy=found.energy,
        blocks_ms=[float(value) for value in blocks * 1e3],
        quantiles_ms=[float(value) for value in quantiles],
        every=default_every(spec),
        cold=found.cold,
        accuracy=known,
        weights_sha256=weights_of(lifter) or None,
    )


def method(work: BenchRun, rows: Sequence[Row]) -> dict[str, Any]:
    """Return how the numbers were made, in words where a number would not tell."""
    settings, schedule = work.settings, Alternation(work.rounds)
    tested = next((found.accuracy for found in rows if found.accuracy), None)
    return {
        "latency": "host time of one call, NumPy keypoints in, NumPy poses out; nothing is clipped",
        "order": "all in one process, blocks in random order each round",
        "rounds": work.rounds,
        "settling_calls_per_block": schedule.settle,
        "timed_calls_per_block": schedule.calls,
        "threads": settings.threads,
        "all_threads": list(dict.fromkeys(threads for threads, _ in settings.points)),
        "pinned_cores": work.cores,
        "batch": settings.batch,
        "batches": list(dict.fromkeys(batch for _, batch in settings.points)),
        "evicted_buffer_bytes": EVICTED_BYTES if settings.evicted else None,
        "input": f"keypoints ({work.motion.keypoints}) of {work.motion.name}: windows spread evenly over its test motions",
        "ratio": f"to {rows[work.baseline].label}: median over rounds of block against block; 95 % by bootstrap over rounds",
        "accuracy": f"{tested.frames} frames of {tested.dataset}, {tested.keypoints} keypoints, one camera" if tested else None,
        "frames_per_motion": settings.frames,
        "flops": "matrix products and convolutions of one window, 2 per multiply-add, attention products included",
        "params": "of the source network if the bundle tells, else the weight elements that the file stores",
        "peak_rss": "of a fresh Python process that loads the file and lifts three times",
        "cold_start": "of such a process, from its start to its first poses; files in the page cache",
    }
