"""Training windows as the papers cut them: recorded motion, once plain and once mirrored."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from poseedge.data.types import PoseDataset
from poseedge.data.windows import strided
from poseedge.errors import DataError
from poseedge.lifter import nearest_to_center
from poseedge.training.batch import MIRRORED_CAMERA, Batch, ProcessShare
from poseedge.training.batch import mirror as mirrored

Cut = Literal["centered", "consecutive"]
Mirror = Literal["both", "random", "none"]


class RecordedWindows:
    """Every window of a data set once per epoch, in an order drawn anew for each.

    ``cut`` says where windows lie: ``centered`` on every ``stride``-th frame (their known frame that is nearest to their
    centre stands on it), edge frames repeated, or ``consecutive``
    at a distance of ``stride`` (a sequence too short for one gives a single padded window). ``mirror`` doubles the
    epoch (``both``), or mirrors each window by chance. Windows are cut when drawn: memory holds each frame once plain, once
    mirrored.
    """

    def __init__(
        self, dataset: PoseDataset, frames: int, known_frames: tuple[int, ...], cut: Cut, stride: int | None, mirror: Mirror
    ) -> None:
        if not dataset.sequences:
            raise DataError(f"{dataset.name}: no sequences to train on", "which subjects train? docs/data.md")
        self.mirror = mirror
        self.known = torch.tensor(known_frames)
        stride = stride or (1 if cut == "centered" else frames)
        first, sequence, start = [], [], 0
        bounds = []
        for number, recording in enumerate(dataset.sequences):
            length = len(recording)
            first.append(start + first_frames(length, frames, cut, stride, nearest_to_center(known_frames, frames)))
            sequence.append(np.full(len(first[-1]), number))
            bounds.append((start, start + length - 1))
            start += length
        self.first = torch.from_numpy(np.concatenate(first))  # (windows,): frame numbers before clipping
        self.sequence = torch.from_numpy(np.concatenate(sequence))
        self.bounds = torch.tensor(bounds)  # (sequences, 2): first and last frame
        self.offsets = torch.arange(frames)
        self.keypoints = torch.from_numpy(np.concatenate([s.keypoints for s in dataset.sequences]).astype(np.float32))
        self.joints = torch.from_numpy(np.concatenate([s.joints_m for s in dataset.sequences]).astype(np.float32))
        self.intrinsics = torch.from_numpy(np.stack([s.camera.intrinsics for s in dataset.sequences]).astype(np.float32))
        self.plain = len(self.first)
        if mirror != "none":  # mirrored frames stand behind the plain ones, as sequences of their own
            self.first = torch.cat([self.first, self.first + start])
            self.sequence = torch.cat([self.sequence, self.sequence + len(bounds)])
            self.bounds = torch.cat([self.bounds, self.bounds + start])
            self.keypoints = torch.cat([self.keypoints, mirrored(self.keypoints)])
            self.joints = torch.cat([self.joints, mirrored(self.joints)])
            self.intrinsics = torch.cat([self.intrinsics, self.intrinsics * MIRRORED_CAMERA])
        self.windows = self.plain if mirror == "random" else len(self.first)

    def draw(self, step: int, size: int, share: ProcessShare) -> Batch:
        """Return this process's share of the ``size`` windows of ``step``; an epoch's last batch may be smaller."""
        rows = self.rows(step, size, share)
        if self.mirror == "random":
            rows = rows + self.plain * torch.randint(2, (len(rows),), generator=share.generator(step))
        return self.take(rows)

    def rows(self, step: int, size: int, share: ProcessShare) -> Tensor:
        """Return the windows of ``step`` that fall to this process; plain ones are counted first, mirrored ones follow."""
        per_epoch = -(-self.windows // size)
        epoch, place = divmod(step, per_epoch)
        order = self.order(epoch, share.seed)
        rows = order[place * size : (place + 1) * size]
        if missing := -len(rows) % share.world:  # all processes draw alike
            rows = torch.cat([rows, order[:missing]])
        return rows[share.rank :: share.world]

    def order(self, epoch: int, seed: int) -> Tensor:
        """Return the order of an epoch's windows, the same in all processes."""
        if (epoch, seed) != getattr(self, "_ordered", None):
            generator = torch.Generator().manual_seed(ProcessShare(seed).number(epoch, purpose=1))
            self._order, self._ordered = torch.randperm(self.windows, generator=generator), (epoch, seed)
        return self._order

    def take(self, rows: Tensor) -> Batch:
        """Cut the windows ``rows (B,)``."""
        sequence = self.sequence[rows]
        low, high = self.bounds[sequence].unbind(dim=1)
        index = torch.clamp(self.first[rows][:, None] + self.offsets, low[:, None], high[:, None])  # (B, F)
        joints = self.joints[index[:, self.known]]  # (B, K, 17, 3)
        root = joints[:, :, 0]
        return Batch(self.keypoints[index], joints - root[:, :, None], root, self.intrinsics[sequence])


def first_frames(length: int, frames: int, cut: Cut, stride: int, shown: int) -> np.ndarray:
    """Return where the windows of a sequence begin, before and after its ends too; ``shown`` is the frame that is centred."""
    if cut == "centered":
        return np.arange(0, length, stride) - shown
    windows = strided(length, frames, stride)
    count = max(len(windows), 1)
    return -((((count - 1) * stride + frames) - length) // 2) + stride * np.arange(count)
