"""What a benchmark finds, as ``poseedge bench --json`` prints it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from poseedge.contract import Contract, Count, Positive

FORMAT = 2  # of the document; 1 had no number, no blocks and no measured accuracy
BY_PERCENT = 101  # quantiles of a distribution, from the fastest call to the slowest


class Timing(Contract):
    """Percentiles, mean and standard deviation of ``n`` calls, milliseconds; nothing is clipped."""

    p50: float
    p90: float
    p99: float
    mean: float
    std: float
    n: Count


class Ratio(Contract):
    """How long a row takes where the baseline takes 1: the median over rounds of block against block in the same round.

    ``low`` to ``high`` is the 95 % confidence interval of a bootstrap over rounds, None where there are too few of them;
    ``halves`` are the first and the second half of the rounds by themselves.
    """

    value: float
    low: float | None
    high: float | None
    halves: list[float]


class ColdStart(Contract):
    """From nothing to the first poses in a fresh process, milliseconds; medians of ``n`` processes, files in the page cache."""

    start_ms: float  # until Python runs and has imported the loader
    load_ms: float
    first_ms: float  # the first call
    total_ms: float
    n: Positive


class PoseDistance(Contract):
    """How far poses are from a bundle's reference, millimetres; None where they are not finite."""

    mean: float | None
    p99: float | None
    max: float | None


class Accuracy(Contract):
    """What the artefact's poses are worth, measured on ``frames`` frames of ``dataset``, millimetres.

    ``distance``, ``by_joint_mm`` and the jitter ratios are against the reference, the same network in float32, and None without
    one. Jitter is the mean second difference, mm per frame squared: of one pose a frame, and of the mean of overlapping windows,
    which is what ``poseedge lift`` gives.
    """

    dataset: str
    keypoints: str
    frames: Positive
    reference: str | None
    mpjpe_mm: float
    delta_mpjpe_mm: float | None
    overlap_mpjpe_mm: float
    delta_overlap_mpjpe_mm: float | None
    jitter_mm: float | None
    overlap_jitter_mm: float | None
    true_jitter_mm: float | None  # of the people themselves
    jitter_ratio: float | None
    overlap_jitter_ratio: float | None
    distance: PoseDistance | None
    by_joint_mm: dict[str, float] | None


class LayerCost(Contract):
    """A node of the graph that the runtime made, its mean time, and the ONNX nodes that it stands for."""

    name: str
    kind: str
    mean_ms: float
    share: float
    nodes: list[str]


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
    ratio: Ratio | None = None  # to the first artefact of the run, at the same batch and threads
    blocks_ms: list[float] = Field(default_factory=list)  # median of each block, in the order of the rounds
    quantiles_ms: list[float] = Field(default_factory=list)  # 0 to 100 %
    every: Positive | None = None  # frames from one window to the next where windows overlap as in ``poseedge lift``
    fps: float | None = None  # of the motion that a second is taken of
    cold: ColdStart | None = None
    accuracy: Accuracy | None = None
    layers: list[LayerCost] | None = None  # where it was asked for
    weights_sha256: str | None = None  # of the checkpoint that it is, or came from; None where it does not tell

    def same_network(self, other: Row) -> bool:
        """Say whether two rows are one network, timed at the same batch and threads, as far as they tell."""
        settings = [(row.model, row.frames_in, row.frames_out, row.batch, row.threads) for row in (self, other)]
        return settings[0] == settings[1] and len({self.weights_sha256, other.weights_sha256} - {None}) < 2

    @property
    def label(self) -> str:
        """How a row is called in a sentence or a chart."""
        graph = " as a CUDA graph" if self.cuda_graph else ""
        return f"{self.name} on {self.backend}{graph}"

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.artefact.replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def per_frame_ms(self) -> float:
        """Median latency for each pose that comes out."""
        return self.latency_ms.p50 / (self.batch * self.frames_out)

    @property
    def per_window_ms(self) -> float:
        """Median latency for each window: what a forward costs."""
        return self.latency_ms.p50 / self.batch

    @property
    def per_live_frame_ms(self) -> float | None:
        """What a frame costs where windows overlap as they do in ``poseedge lift``."""
        return None if self.every is None else self.per_window_ms / self.every

    @property
    def per_second_ms(self) -> float | None:
        """What a second of motion costs, windows overlapping."""
        return None if self.per_live_frame_ms is None or self.fps is None else self.per_live_frame_ms * self.fps

    @property
    def windows_per_s(self) -> float:
        """Throughput."""
        return 1000 / self.per_window_ms


class ReportRow(Row):
    """A row beside the others: ``speedup`` is against PyTorch on the same model, None without PyTorch.

    ``pareto``: no other row is both faster and nearer to the truth; None where its error is not known.
    """

    latency_per_frame_ms: float
    latency_per_live_frame_ms: float | None = None
    latency_per_second_ms: float | None = None
    throughput_windows_per_s: float | None = None
    speedup: float | None
    pareto: bool | None = None


class Advice(Contract):
    """What to ship on this machine, and why; ``artefact`` is None where nothing keeps the limits."""

    artefact: str | None
    precision: str | None
    backend: str | None
    sentence: str


class Moved(Contract):
    """How one artefact moved since an earlier report; ``moved`` is now divided by then, ``low`` to ``high`` its 95 % interval."""

    label: str
    batch: Positive
    threads: Positive | None
    then_ms: float
    now_ms: float
    moved: float
    low: float | None
    high: float | None
    ratio_then: float | None
    ratio_now: float | None
    mpjpe_moved_mm: float | None
    failed: bool

    @property
    def called(self) -> str:
        """The artefact, with windows a call and threads where these are not one."""
        counts = [(self.batch, "batch {}"), (self.threads or 1, "{} threads")]
        return ", ".join([self.label, *(words.format(count) for count, words in counts if count > 1)])


class ComparedReport(Contract):
    """What moved since the report ``against``."""

    against: str
    fail_above: float | None
    rows: list[Moved]
    gone: list[str]
    new: list[str]
    notes: list[str]
    passed: bool


class BenchReport(Contract):
    """The whole document; ``machine`` and ``method`` say what the rows hold for, those of another machine in its own words."""

    format: Positive = 1
    created: str | None = None
    machine: dict[str, Any]
    method: dict[str, Any]
    rows: list[ReportRow]
    notes: list[str] = Field(default_factory=list)
    recommendation: Advice | None = None  # where it was asked for
    compared: ComparedReport | None = None  # where it was asked for
