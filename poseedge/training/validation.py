"""The error of a network in training, on test subjects."""

from __future__ import annotations

from pathlib import Path

import torch

from poseedge.backends.torch import TorchLifter
from poseedge.data.types import PoseDataset
from poseedge.evaluation.predict import predict
from poseedge.evaluation.refine import refine_step
from poseedge.evaluation.score import score
from poseedge.int8.windows import calibration_windows
from poseedge.training.live_windows import LiveSampler
from poseedge.training.losses import mpjpe
from poseedge.training.objective import Objective, RefiningObjective
from poseedge.training.qat import QuantizedObjective

LIVE_BATCHES, LIVE_BATCH = 8, 128
INT8_WINDOWS, INT8_BATCH = 128, 16  # a batch calibrates itself; the largest networks need the memory


def errors_mm(
    objective: Objective, datasets: list[PoseDataset], every: int, threads: int, live: LiveSampler | None = None
) -> dict[str, float]:
    """Return MPJPE over every ``every``-th frame, one figure for each kind of keypoints: ``{"mpjpe_mm_gt": ...}``.

    With ``live``, what its windows give comes first: ``mpjpe_mm_live``.

    A refined pose knows the true depth of the root, as in the papers. For a network in quantization-aware training, what
    counts is how far INT8 moves the poses that it set out with, so that comes first: ``int8_mm``.
    """
    lifter = TorchLifter(objective.network, Path(), threads)
    refine = refine_step(objective.refine) if isinstance(objective, RefiningObjective) else None
    found = {}
    if isinstance(objective, QuantizedObjective):
        windows = calibration_windows(datasets, objective.network.frames, INT8_WINDOWS, channels=objective.network.in_channels)
        found["int8_mm"] = objective.distance_mm(windows, INT8_BATCH)
    if live is not None:
        found["mpjpe_mm_live"] = live_error_mm(objective, live)
    return found | {
        f"mpjpe_mm_{dataset.keypoints}": float(score(predict(lifter, dataset, every=every, refine=refine), every).mpjpe_mm)
        for dataset in datasets
    }


@torch.inference_mode()
def live_error_mm(objective: Objective, live: LiveSampler) -> float:
    """Return MPJPE over the same few live windows every time."""
    generator, errors = torch.Generator().manual_seed(0), []
    for _ in range(LIVE_BATCHES):
        pairs = objective(*live.live_batch(LIVE_BATCH, generator))
        errors.append(mpjpe(*pairs[0]))
    return 1000 * float(torch.stack(errors).mean())
