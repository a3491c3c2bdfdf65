"""What an evaluation finds, as ``--json`` prints it and a bundle's manifest keeps it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, PlainSerializer

from poseedge.contract import Contract, Count, Table

Millimetres = Annotated[float, Field(gt=0)]


class Limits(Table):
    """How far an artefact may be from the one it came from, and how many times as much it may jitter.

    A limit that is not known is an error, wherever it stands: it would not be kept.
    """

    delta_mpjpe_mm: Millimetres
    mean_mm: Millimetres
    p99_mm: Millimetres
    jitter_ratio: float | None = Field(default=None, gt=0)  # holds where jitter can be told: on consecutive frames


# Limits where they are stated beside a result: a limit that is not asked for is not written.
StatedLimits = Annotated[Limits, PlainSerializer(lambda limits: limits.model_dump(exclude_none=True))]


class Errors(Contract):
    """Errors against the ground truth; ``action_mean_*`` is the unweighted mean over actions."""

    mpjpe_mm: float
    p_mpjpe_mm: float
    mpjve_mm: float | None  # needs consecutive frames
    action_mean_mpjpe_mm: float
    action_mean_p_mpjpe_mm: float


class ActionErrors(Contract):
    """Errors on one kind of motion."""

    mpjpe_mm: float
    p_mpjpe_mm: float
    n_mpjpe_mm: float
    mpjve_mm: float | None  # needs consecutive frames
    frames: Count


class Score(Errors):
    """Errors against the ground truth, by action and joint, too."""

    frames: Count
    n_mpjpe_mm: float
    action_mean_n_mpjpe_mm: float
    action_mean_mpjve_mm: float | None
    pck_percent: float
    auc_percent: float
    by_action: dict[str, ActionErrors]
    by_joint_mm: dict[str, float]

    @property
    def errors(self) -> Errors:
        """What is kept of it in short."""
        return Errors(**{name: getattr(self, name) for name in Errors.model_fields})


class Distance(Contract):
    """How far joints are from those of another artefact, over all frames and the 16 joints that are not the root."""

    mean: float
    p99: float
    max: float


class Jitter(Contract):
    """Mean second difference over consecutive frames, millimetres per frame squared, of both artefacts."""

    this: float
    against: float


class Parity(Contract):
    """How far an artefact's poses are from another's; ``mpjpe_mm`` is the other's error."""

    mpjpe_mm: float
    delta_mpjpe_mm: float
    distance_mm: Distance
    jitter_mm: Jitter | None
    by_joint_mm: dict[str, float]
    limits: StatedLimits | None
    passed: bool | None  # None without limits


class Compared(Parity):
    """The parity of an evaluation, with the name of what was compared with."""

    against: str


class OverlapCompared(Contract):
    """Poses averaged over overlapping windows, which the scores are of, beside those of one window alone."""

    every: Count  # frames from one window to the next
    jitter_mm: float | None  # of the average, per frame squared; needs consecutive frames
    alone_jitter_mm: float | None
    alone_mpjpe_mm: float


class Evaluation(Score):
    """What ``poseedge eval --json`` prints."""

    left_out: ClassVar[frozenset[str]] = frozenset({"overlap", "parity", "plots"})

    artefact: str
    backend: str
    precision: str
    dataset: str
    keypoints: str
    flip: bool
    protocol: str
    p2_batch: Count
    refine: str | None
    warnings: list[str] = Field(default_factory=list)
    overlap: OverlapCompared | None = None  # with ``--overlap``
    parity: Compared | None = None
    plots: list[str] | None = None
