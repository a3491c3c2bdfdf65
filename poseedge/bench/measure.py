"""Time, size and memory of artefacts, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from poseedge.arrays import Float64Array
from poseedge.backends.registry import backend_for, backends, load, opens
from poseedge.bench.entries import Subject
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
from poseedge.bench.machine import machine_facts
from poseedge.bench.memory import peak_rss
from poseedge.bench.report import Report
from poseedge.bench.results import Energy, Row
from poseedge.caches import CachedLifter
from poseedge.device.runner.sensors.energy import energy_per_pose, power_meter
from poseedge.device.runner.sensors.state import doubts, gpu_state
from poseedge.lifter import Cost, Lifter, random_keypoints
from poseedge.progress import Tell

ROUNDS = 100  # 800 calls: enough for a 99th percentile
BUDGET_S = 60.0  # heavy networks get fewer rounds


@dataclass(frozen=True)
class BenchSettings:
    """How to measure; ``rounds=None`` takes as many as fit a minute, at most 100."""

    threads: int = 1
    batch: int = 1
    rounds: int | None = None
    evicted: bool = False
    backend: str | None = None  # of those files that it opens; the usual one for the others
    energy_s: float = 0.0  # seconds to measure the energy of each for; 0: not


def measure_subjects(subjects: Sequence[Subject], settings: BenchSettings, progress: Tell) -> Report:
    """Load every subject, time them in turns in this process, then measure the memory of each in its own."""
    machine, before = machine_facts(), gpu_state()
    with pinned(settings.threads) as cores:
        lifters = [
            load(subject.path, threads=settings.threads, model=subject.model, backend=backend, settings=subject.settings)
            for subject, backend in zip(subjects, chosen_backends(subjects, settings.backend), strict=True)
        ]
        calls = {str(index): call_of(lifter, settings.batch) for index, lifter in enumerate(lifters)}
        rounds = settings.rounds or affordable_rounds(calls, BUDGET_S, ROUNDS)
        warm = alternate("warm caches", calls, rounds, None, progress)
        evicted = alternate("evicted caches", calls, rounds, CacheEvictor(), progress) if settings.evicted else {}
        after = gpu_state()
        energies, lacking = metered(calls, lifters, settings, progress)
    rows, notes = [], [*remarks_of(lifters), *doubts(before, after), *lacking]
    for index, (subject, lifter) in enumerate(zip(subjects, lifters, strict=True)):
        progress("memory", index, len(subjects))
        cost = lifter.cost()
        notes += [f"{subject.path.name}: no FLOPs, {cost.unknown}"] if cost.unknown else []
        found = row(subject, lifter, cost, settings, warm[str(index)], evicted.get(str(index)))
        rows.append(found.model_copy(update={"energy": energies.get(str(index))}))
    states = {"gpu_before": before, "gpu_after": after}
    return Report(machine, {**method(settings, rounds, cores), **states}, rows, notes)


def call_of(lifter: Lifter, batch: int) -> Candidate:
    """Return the call that is timed: ``batch`` windows, or one frame of a lifter that remembers."""
    keypoints = random_keypoints(lifter.spec, batch)
    return partial(lifter.begin().push, keypoints[0, 0]) if isinstance(lifter, CachedLifter) else partial(lifter, keypoints)


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


def chosen_backends(subjects: Sequence[Subject], name: str | None) -> list[str | None]:
    """Return, for each subject, ``name`` if that backend opens it, else None; raises if there are ONNX files and it opens none.

    Checkpoints and engines have one backend, and are timed beside the graphs in it.
    """
    if name is None:
        return [None] * len(subjects)
    fits = [name in backends() and opens(backends()[name], subject.path) for subject in subjects]
    unfit = [subject.path for subject, fit in zip(subjects, fits, strict=True) if not fit]
    graphs = [path for path in unfit if path.suffix == ".onnx"]
    for path in graphs or ([] if any(fits) else unfit[-1:]):
        backend_for(path, name)
    return [name if fit else None for fit in fits]


def remarks_of(lifters: Sequence[Lifter]) -> list[str]:
    """Return what lifters note of themselves, each remark once, with the files that it is about."""
    about: dict[str, list[str]] = {}
    for lifter in lifters:
        for note in (*lifter.notes, *getattr(lifter, "timed_as", ())):
            about.setdefault(f"{note} ({lifter.backend})", []).append(lifter.path.name)
    return [f"{', '.join(names)}: {note}" for note, names in about.items()]


def alternate(
    what: str, calls: dict[str, Candidate], rounds: int, before_call: Candidate | None, progress: Tell
) -> dict[str, Float64Array]:
    """Time ``calls`` and report progress between rounds."""
    done = iter(range(1, rounds + 1))
    progress(what, 0, rounds)
    return time_alternating(calls, Alternation(rounds), before_call, lambda: progress(what, next(done), rounds))


def row(
    subject: Subject, lifter: Lifter, cost: Cost, settings: BenchSettings, warm: Float64Array, evicted: Float64Array | None
) -> Row:
    """Put together all that is known of one subject; measures its memory."""
    return Row(
        artefact=str(subject.path),
        model=lifter.spec.model,
        precision=lifter.spec.precision,
        backend=lifter.backend,
        provider=lifter.provider,
        batch=settings.batch,
        threads=settings.threads,
        frames_in=lifter.spec.frames,
        frames_out=len(lifter.spec.output_frames),
        latency_ms=summary_ms(warm),
        latency_evicted_ms=None if evicted is None else summary_ms(evicted),
        flops=cost.flops,
        flops_without_attention=cost.flops_without_attention,
        params=cost.params if subject.params is None else subject.params,
        nodes=cost.nodes,
        file_bytes=cost.file_bytes,
        peak_rss_bytes=peak_rss(subject.path, settings.threads, settings.batch, lifter.backend, subject.model),
        mpjpe_mm=subject.mpjpe_mm,
        delta_mpjpe_mm=subject.delta_mpjpe_mm,
    )


def method(settings: BenchSettings, rounds: int, cores: list[int] | None) -> dict[str, Any]:
    """Return how the numbers were made, in words where a number would not tell."""
    schedule = Alternation(rounds)
    return {
        "latency": "host time of one call, NumPy keypoints in, NumPy poses out; nothing is clipped",
        "order": "all in one process, blocks in random order each round",
        "rounds": rounds,
        "settling_calls_per_block": schedule.settle,
        "timed_calls_per_block": schedule.calls,
        "threads": settings.threads,
        "pinned_cores": cores,
        "batch": settings.batch,
        "evicted_buffer_bytes": EVICTED_BYTES if settings.evicted else None,
        "input": "uniform random keypoints in [-0.5, 0.5], fixed seed",
        "flops": "matrix products and convolutions of one window, 2 per multiply-add, attention products included",
        "params": "of the source network if the bundle tells, else the weight elements that the file stores",
        "peak_rss": "of a fresh Python process that loads the file and lifts three times",
    }
