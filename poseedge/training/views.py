"""Endless training windows: recorded motion, seen anew.

Each window is a real stretch of motion and a real camera of the data set; augmentation turns the scene about the
vertical, varies the body's bone lengths, and mirrors. Half of the windows carry the errors of the detected keypoints,
taken over from the recording as they are (same frames), so that one network serves clean and detected input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from poseedge.data.cameras import camera_to_world, conjugate, rotate
from poseedge.data.types import PoseDataset, PoseSequence
from poseedge.errors import DataError
from poseedge.lifter import nearest_to_center
from poseedge.skeleton import NUM_JOINTS, PARENTS
from poseedge.training.batch import Batch, ProcessShare, mirror_batch

# Bones that grow together: left and right alike, the two hips, the trunk.
_BONE_GROUP = (0, 1, 2, 3, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 7, 8, 9)


@dataclass(frozen=True)
class Augmentation:
    """How far a training window may depart from the recording."""

    recorded: float = 0.25  # share of windows left at their recorded heading and body
    detected: float = 0.5  # share of windows with detector errors
    size_std: float = 0.04  # of the whole body
    bone_std: float = 0.04  # of each bone group


class ViewSampler:
    """Draws windows of ``frames`` whose ``known_frames`` have a pose; state is the generator alone."""

    def __init__(
        self, clean: PoseDataset, detected: PoseDataset, frames: int, known_frames: tuple[int, ...], augmentation: Augmentation
    ) -> None:
        pairs = matched(clean, detected)
        clips: dict[tuple[str, str], list[tuple[PoseSequence, PoseSequence]]] = {}
        for pair in pairs:
            clips.setdefault((pair[0].subject, pair[0].action), []).append(pair)
        if len({len(views) for views in clips.values()}) != 1:
            raise DataError(f"{clean.name}: its clips are seen by differing numbers of cameras", "train on subjects with one rig")
        self.frames, self.known_frames, self.augmentation = frames, known_frames, augmentation

        world, errors, starts, rotations, centers, intrinsics = [], [], [0], [], [], []
        for views in clips.values():
            first = views[0][0]
            world.append(camera_to_world(first.joints_m, first.camera))
            errors.append(np.stack([noisy.keypoints - exact.keypoints for exact, noisy in views], axis=1))
            starts.append(starts[-1] + len(first))
            cameras = [exact.camera for exact, _ in views]
            axes = np.eye(3, dtype=np.float32)
            rotations.append(np.stack([rotate(conjugate(c.orientation)[None], axes) for c in cameras]))
            centers.append(np.stack([c.translation for c in cameras]))
            intrinsics.append(np.stack([c.intrinsics for c in cameras]))
        self.world = torch.from_numpy(np.concatenate(world).astype(np.float32))  # (N, 17, 3)
        self.errors = torch.from_numpy(np.concatenate(errors))  # (N, cameras, 17, 2)
        self.starts = torch.tensor(starts)
        self.rotations = torch.from_numpy(np.stack(rotations))  # (clips, cameras, 3, 3): row vectors, world to camera
        self.centers = torch.from_numpy(np.stack(centers))  # (clips, cameras, 3)
        self.intrinsics = torch.from_numpy(np.stack(intrinsics))  # (clips, cameras, 9)
        self.ancestors = ancestor_matrix()
        self.windows = len(self.world) * self.rotations.shape[1]

    def draw(self, step: int, size: int, share: ProcessShare) -> Batch:
        """Return this process's share of a batch."""
        return self.batch(size // share.world, share.generator(step))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw ``size`` windows; the same generator state gives the same batch."""
        centre = torch.randint(len(self.world), (size,), generator=generator)
        clip = torch.searchsorted(self.starts, centre, right=True) - 1
        offsets = torch.arange(self.frames) - nearest_to_center(self.known_frames, self.frames)
        index = torch.clamp(centre[:, None] + offsets, self.starts[clip][:, None], self.starts[clip + 1][:, None] - 1)
        camera = torch.randint(self.rotations.shape[1], (size,), generator=generator)
        recorded = torch.rand(size, generator=generator) < self.augmentation.recorded

        heading = torch.rand(size, generator=generator) * (2 * math.pi) * ~recorded
        turn = turn_about_vertical(heading) @ self.rotations[clip, camera]  # (B, 3, 3)
        body = self.reshape_body(recorded, generator)
        points = torch.einsum("bjk,bfkc->bfjc", body, self.world[index])
        offset = (self.centers[clip, camera][:, None, :] @ self.rotations[clip, camera])[:, None]
        points = (points.reshape(size, -1, 3) @ turn).reshape(points.shape) - offset  # camera axes
        keypoints = project_batch(points, self.intrinsics[clip, camera])

        angle = torch.rand(size, generator=generator) * (2 * math.pi) * ~recorded
        noisy = torch.rand(size, generator=generator) < self.augmentation.detected
        error = self.errors[index, camera[:, None]] * noisy[:, None, None, None]  # (B, F, 17, 2)
        cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
        u, v = error.unbind(-1)
        keypoints = keypoints + torch.stack([cos * u - sin * v, sin * u + cos * v], dim=-1)

        known = points[:, list(self.known_frames)]
        root = known[:, :, 0]
        mirrored = torch.rand(size, generator=generator) < 0.5
        return mirror_batch(Batch(keypoints, known - root[:, :, None], root, self.intrinsics[clip, camera]), mirrored)

    def reshape_body(self, recorded: Tensor, generator: torch.Generator) -> Tensor:
        """Per window a ``(17, 17)`` matrix that scales the bones of world joints and keeps feet near the floor."""
        size = len(recorded)
        groups = 1 + self.augmentation.bone_std * torch.randn(size, max(_BONE_GROUP) + 1, generator=generator)
        whole = 1 + self.augmentation.size_std * torch.randn(size, 1, generator=generator)
        scale = torch.where(recorded[:, None], torch.ones(()), whole * groups)[:, list(_BONE_GROUP)].clone()
        scale[:, 0] = (scale[:, 2] + scale[:, 3]) / 2  # the pelvis rises with the legs
        return torch.einsum("ja,ba,ak->bjk", self.ancestors, scale, torch.linalg.inv(self.ancestors))


def matched(clean: PoseDataset, detected: PoseDataset) -> list[tuple[PoseSequence, PoseSequence]]:
    """Match the sequences of two readings of one data set."""
    noisy = {s.name: s for s in detected.sequences}
    try:
        return [(s, noisy[s.name]) for s in clean.sequences]
    except KeyError as error:
        raise DataError(
            f"{detected.name} {detected.keypoints}: no sequence {error}, which {clean.keypoints} has",
            "load both kinds of keypoints from one folder and select the same subjects",
        ) from error


def ancestor_matrix() -> Tensor:
    """Return ``(17, 17)`` with ``joints = A @ bones``, where a bone is a joint minus its parent, the root itself."""
    matrix = torch.eye(NUM_JOINTS)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            matrix[joint] += matrix[parent]
    return matrix


def turn_about_vertical(angle: Tensor) -> Tensor:
    """Rotations ``(B, 3, 3)`` about world z, for row vectors."""
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([cos, sin, zero, -sin, cos, zero, zero, zero, one], dim=-1).reshape(-1, 3, 3)


def project_batch(points: Tensor, intrinsics: Tensor) -> Tensor:
    """``data.cameras.project`` for ``(B, F, 17, 3)`` points and ``(B, 9)`` intrinsics, in torch."""
    focal, center, radial, tangential = (intrinsics[:, None, None, a:b] for a, b in ((0, 2), (2, 4), (4, 7), (7, 9)))
    plane = torch.clamp(points[..., :2] / points[..., 2:], -1, 1)
    r2 = (plane**2).sum(dim=-1, keepdim=True)
    scale = 1 + (radial * torch.cat([r2, r2**2, r2**3], dim=-1)).sum(dim=-1, keepdim=True)
    shift = (tangential * plane).sum(dim=-1, keepdim=True)
    return (plane * (scale + shift) + tangential * r2) * focal + center
