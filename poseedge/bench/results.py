"""What a benchmark finds, as ``poseedge bench --json`` prints it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from poseedge.contract import Contract, Count, Positive


class Timing(Contract):
    """Percentiles, mean and standard deviation of ``n`` calls, milliseconds; nothing is clipped."""

    p50: float
    p90: float
    p99: float
    mean: float
    std: float
    n: Count


class PoseDistance(Contract):
    """How far poses are from a bundle's reference, millimetres; None where they are not finite."""

    mean: float | None
    p99: float | None
    max: float | None


class Energy(Contract):
    """What lifting windows one after the other takes; gross is all that was metered, net is without what is taken at rest."""

    of: str  # what the power is of: a rail, a sum of rails, a graphics card
    idle_w: float
    mean_w: float
    peak_w: float
    seconds: float
    windows: Positive
    gross_j_per_window: float
    net_j_per_window: float
    gross_j_per_pose: float
    net_j_per_pose: float


class Row(Contract):
    """One artefact; times are for warm caches unless named otherwise."""

    artefact: str
    model: str
    precision: str
    backend: str
    provider: str
    batch: Positive
    threads: Positive | None  # None on a GPU
    frames_in: Positive
    frames_out: Positive
    latency_ms: Timing
    latency_evicted_ms: Timing | None
    flops: Count | None
    flops_without_attention: Count | None
    params: Count | None
    nodes: Count | None
    file_bytes: Count
    peak_rss_bytes: Count | None
    mpjpe_mm: float | None
    delta_mpjpe_mm: float | None
    gpu_ms: Timing | None = None  # of the network alone, by the GPU's own clock
    cuda_graph: bool = False
    distance_mm: PoseDistance | None = None  # from the bundle's reference poses
    passed: bool | None = None  # whether that is within the bundle's limits
    energy: Energy | None = None  # where it was asked for and power can be read

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.artefact.replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def per_frame_ms(self) -> float:
        """Median latency for each pose that comes out."""
        return self.latency_ms.p50 / (self.batch * self.frames_out)


class ReportRow(Row):
    """A row beside the others: ``speedup`` is against PyTorch on the same model, None without PyTorch."""

    latency_per_frame_ms: float
    speedup: float | None


class BenchReport(Contract):
    """The whole document; ``machine`` and ``method`` say what the rows hold for, those of another machine in its own words."""

    machine: dict[str, Any]
    method: dict[str, Any]
    rows: list[ReportRow]
    notes: list[str] = Field(default_factory=list)
