"""Training windows as live use sees them: any camera, a virtual camera turned to the person, a detector's joints and their gaps.

Motion is the recorded one, also mixed: upper bodies and arms of one clip on the legs of another, trunks and bodies tilted, so
that more kinds of motion are seen than were recorded. What a window goes through then is what ``live/`` does to keypoints: COCO's
joints (with a synthetic face) become Human3.6M's, the picture turns to the person and zooms to one size, missing joints are
bridged. Measured in the project's live tables: a network that was trained on recorded cameras alone takes every camera for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from poseedge.data.keypoints import coco_to_h36m
from poseedge.data.types import PoseDataset
from poseedge.lifter import nearest_to_center
from poseedge.skeleton import LEFT, NUM_JOINTS, RIGHT
from poseedge.training.batch import Batch, ProcessShare, mirror_batch
from poseedge.training.views import Augmentation, ViewSampler, ancestor_matrix, turn_about_vertical

NECK, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER = 9, 10, 11, 14
ARMS = (11, 12, 13, 14, 15, 16)
UPPER_BODY = (7, 8, 9, 10, *ARMS)
# Of the middle of the ears from the neck, and of nose, eyes and ears from there: metres forwards, left, up.
EARS = (0.035, 0.0, 0.072)
FACE = ((0.100, 0.0, -0.030), (0.078, 0.031, 0.012), (0.078, -0.031, 0.012), (0.0, 0.072, 0.0), (0.0, -0.072, 0.0))
# Joints of Human3.6M in COCO's order behind the face.
BEHIND_FACE = (11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3)
# What a detector loses together: a wrist, a forearm, an ankle, a shank, of either side.
LOST = ((13,), (16,), (12, 13), (15, 16), (6,), (3,), (5, 6), (2, 3))


@dataclass(frozen=True)
class LiveUse:
    """How live windows are spread. Angles in degrees, lengths in metres."""

    share: float = 0.7  # of a batch; the rest is as in ``views``
    usual_elevation: tuple[float, float] = (-8.0, 22.0)  # of the camera, seen from the person
    unusual_elevation: tuple[float, float] = (-20.0, 45.0)
    usual: float = 0.6  # share of windows at a usual elevation
    distance: tuple[float, float] = (2.5, 15.0)
    roll_std: float = 4.0
    zoom_std: float = 0.05
    place_std: float = 0.03  # screen units
    person_size: float = 0.6203  # that the virtual camera zooms to: trunk and leg, screen units
    from_coco: float = 0.8  # share of windows whose trunk and head are estimated
    noisy: float = 0.7  # share of windows with the recorded detector's errors
    noise: tuple[float, float] = (0.5, 2.0)  # times as large
    lost: float = 1 / 3  # share of windows with lost joints
    mixed: float = 0.5  # share of windows with another clip's upper body or arms
    tilt_std: float = 12.0  # of trunk and body, in a third of the windows


class LiveSampler:
    """Draws batches of which ``live.share`` are live windows; a pure function of its generator. It may compute on a GPU."""

    def __init__(
        self,
        clean: PoseDataset,
        detected: PoseDataset,
        frames: int,
        known_frames: tuple[int, ...],
        live: LiveUse = LiveUse(),  # frozen
        device: torch.device | str = "cpu",
    ) -> None:
        self.views = ViewSampler(clean, detected, frames, known_frames, Augmentation())
        self.frames, self.known_frames, self.live, self.device = frames, known_frames, live, torch.device(device)
        self.windows = self.views.windows
        self.world, self.errors = self.views.world.to(device), self.views.errors.to(device)
        self.starts, self.ancestors = self.views.starts.to(device), ancestor_matrix().to(device)
        self.bones = torch.linalg.inv(self.ancestors)
        self.to_h36m = torch.stack([coco_matrix(axis) for axis in (0, 1)]).to(device)  # (2, 17, 17)

    def draw(self, step: int, size: int, share: ProcessShare) -> Batch:
        """Return this process's share of a batch."""
        return self.batch(size // share.world, share.generator(step))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw ``size`` windows; the same generator state gives the same batch."""
        live = round(size * self.live.share)
        parts = [part for part in (self.live_batch(live, generator) if live else None,) if part is not None]
        if live < size:
            parts.append(self.views.batch(size - live, generator))
        return Batch(*(torch.cat([part.to(self.device) for part in column]) for column in zip(*parts, strict=True)))

    def live_batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw ``size`` live windows."""
        draw = Draw(size, generator, self.device)
        index = self.cut(draw)
        points = self.motion(index, draw)
        body = torch.cat([points, faces(points, draw)], dim=2)  # (B, F, 22, 3): Human3.6M's joints, then the face
        seen = in_camera(body, draw, self.live)
        seen = seen @ aim(flat(seen[:, :, :NUM_JOINTS])).transpose(1, 2)[:, None]
        screen = flat(seen)
        joints = self.detected(screen, draw)
        joints = joints * (self.live.person_size / extent(joints))[:, None, None, None]
        joints = joints * (1 + self.live.zoom_std * draw.normal(1, 1, 1)) + self.live.place_std * draw.normal(1, 1, 2)
        joints = bridged(self.noisy(joints, index, draw), draw, self.live.lost)
        known = seen[:, list(self.known_frames), :NUM_JOINTS]
        root = known[:, :, 0]
        intrinsics = torch.zeros(size, 9, device=self.device)
        return mirror_batch(Batch(joints, known - root[:, :, None], root, intrinsics), draw.chance(0.5))

    def cut(self, draw: Draw) -> Tensor:
        """Return frames ``(B, F)`` of windows within single clips."""
        centre = draw.integer(len(self.world))
        clip = torch.searchsorted(self.starts, centre, right=True) - 1
        offsets = torch.arange(self.frames, device=self.device) - nearest_to_center(self.known_frames, self.frames)
        first, last = self.starts[clip][:, None], self.starts[clip + 1][:, None] - 1
        return torch.minimum(torch.maximum(centre[:, None] + offsets, first), last)

    def motion(self, index: Tensor, draw: Draw) -> Tensor:
        """Return world joints ``(B, F, 17, 3)``: recorded ones, turned, some mixed and tilted, on bodies of other sizes."""
        points = self.world[index]
        bones = self.bones @ points
        other = self.bones @ self.world[self.cut(draw)]
        other = other @ turn_about_vertical((heading(points) - heading(other)).reshape(-1)).reshape(*index.shape, 3, 3)
        arms, whole = draw.chance(self.live.mixed), draw.chance(0.5)
        taken = arms[:, None] & (among(ARMS, self.device) | (whole[:, None] & among(UPPER_BODY, self.device)))
        bones = torch.where(taken[:, None, :, None], other, bones)
        tilted = draw.chance(1 / 3)
        for joints in (UPPER_BODY, range(1, NUM_JOINTS)):
            turn = tilt(self.live.tilt_std * draw.normal() * tilted, draw)
            bones = torch.where(among(joints, self.device)[:, None], bones @ turn[:, None], bones)
        whole_body, groups = 1 + 0.04 * draw.normal(1), 1 + 0.04 * draw.normal(NUM_JOINTS)
        scale = whole_body * (groups + groups[:, SIDES]) / 2  # left and right alike
        return self.ancestors @ (bones * scale[:, None, :, None])

    def detected(self, screen: Tensor, draw: Draw) -> Tensor:
        """Return Human3.6M's joints ``(B, F, 17, 2)`` of the projected ones: as they are, or made of COCO's."""
        true, face = screen[:, :, :NUM_JOINTS], screen[:, :, NUM_JOINTS:]
        coco = torch.cat([face, true[:, :, list(BEHIND_FACE)]], dim=2)
        made = torch.stack([coco[..., axis] @ self.to_h36m[axis].T for axis in (0, 1)], dim=-1)
        return torch.where(draw.chance(self.live.from_coco)[:, None, None, None], made, true)

    def noisy(self, joints: Tensor, index: Tensor, draw: Draw) -> Tensor:
        """Add the recorded detector's errors of these frames, seen by some camera, turned and scaled."""
        error = self.errors[index, draw.integer(self.errors.shape[1])[:, None]]
        angle = draw.uniform(0, 2 * math.pi)
        low, high = self.live.noise
        size = draw.uniform(low, high) * draw.chance(self.live.noisy)
        turn = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], dim=-1).reshape(-1, 2, 2)
        return joints + size[:, None, None, None] * (error @ turn[:, None])


class Draw:
    """Random numbers, one or more for each of ``size`` windows, the same on every device."""

    def __init__(self, size: int, generator: torch.Generator, device: torch.device) -> None:
        self.size, self.generator, self.device = size, generator, device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(self.size, *shape, generator=self.generator)).to(self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.size, *shape, generator=self.generator).to(self.device)

    def integer(self, most: int) -> Tensor:
        return torch.randint(most, (self.size,), generator=self.generator).to(self.device)

    def chance(self, share: float) -> Tensor:
        return (torch.rand(self.size, generator=self.generator) < share).to(self.device)


SIDES = list(range(NUM_JOINTS))
for _left, _right in zip(LEFT, RIGHT, strict=True):
    SIDES[_left], SIDES[_right] = _right, _left


def among(joints: tuple[int, ...] | range, device: torch.device) -> Tensor:
    """Return ``(17,)`` flags of ``joints``."""
    flags = torch.zeros(NUM_JOINTS, dtype=torch.bool)
    flags[list(joints)] = True
    return flags.to(device)


def coco_matrix(axis: int) -> Tensor:
    """Return ``coco_to_h36m`` as a matrix ``(17, 17)``: it is linear in x (axis 0) and in y (axis 1)."""
    units = np.zeros((NUM_JOINTS, NUM_JOINTS, 2), np.float32)
    units[..., axis] = np.eye(NUM_JOINTS)
    return torch.from_numpy(coco_to_h36m(units)[..., axis].T.copy())


def heading(points: Tensor) -> Tensor:
    """Return the angle of the hips about the vertical, ``(B, F)``, of world joints or bones."""
    across = points[:, :, LEFT[0]] - points[:, :, RIGHT[0]]
    return torch.atan2(across[..., 1], across[..., 0])


def tilt(angle_deg: Tensor, draw: Draw) -> Tensor:
    """Return rotations ``(B, 3, 3)`` by ``angle_deg (B,)`` about random horizontal axes."""
    way, angle = draw.uniform(0, 2 * math.pi), torch.deg2rad(angle_deg)
    x, y, zero = way.cos(), way.sin(), torch.zeros_like(way)
    cross = torch.stack([zero, zero, y, zero, zero, -x, -y, x, zero], dim=-1).reshape(-1, 3, 3)
    sin, cos = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3, device=way.device) + sin * cross + (1 - cos) * cross @ cross


def faces(points: Tensor, draw: Draw) -> Tensor:
    """Return nose, eyes and ears ``(B, F, 5, 3)`` of world joints: a synthetic face on a head that turns a little.

    Between anthropometry and a four-view triangulation of detected faces; people differ by 12 mm.
    """
    up = unit(points[:, :, HEAD] - points[:, :, NECK])
    left = points[:, :, LEFT_SHOULDER] - points[:, :, RIGHT_SHOULDER]
    left = unit(left - (left * up).sum(-1, keepdim=True) * up)
    yaw = torch.deg2rad(20 * slow(points.shape[1], draw))[..., None]
    forward = torch.linalg.cross(left, up)
    forward, left = forward * yaw.cos() + left * yaw.sin(), left * yaw.cos() - forward * yaw.sin()
    axes = torch.stack([forward, left, up], dim=-2)  # (B, F, 3, 3)
    offsets = torch.tensor(FACE, device=points.device) + torch.tensor(EARS, device=points.device)
    return points[:, :, NECK, None] + (offsets + 0.012 * draw.normal(5, 3))[:, None] @ axes


def slow(frames: int, draw: Draw) -> Tensor:
    """Return a slow wave ``(B, frames)`` of about unit size."""
    time = torch.arange(frames, device=draw.device) / 50  # seconds
    return draw.normal(1) * torch.sin(draw.uniform(0.5, 3, 1) * time + draw.uniform(0, 2 * math.pi, 1))


def in_camera(body: Tensor, draw: Draw, live: LiveUse) -> Tensor:
    """Return world points as a camera sees them that looks at the person: ``(B, F, K, 3)``, x right, y down, z forward."""
    usual, odd = draw.uniform(*live.usual_elevation), draw.uniform(*live.unusual_elevation)
    elevation = torch.deg2rad(torch.where(draw.chance(live.usual), usual, odd))
    azimuth, roll = draw.uniform(0, 2 * math.pi), torch.deg2rad(live.roll_std * draw.normal())
    low, high = (math.log(metres) for metres in live.distance)
    forward = -torch.stack(
        [elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin()], dim=-1
    )  # from the camera to the person
    vertical = torch.tensor([0.0, 0.0, 1.0], device=body.device).expand_as(forward)
    right = unit(torch.linalg.cross(forward, vertical))
    down = torch.linalg.cross(forward, right)
    cos, sin = roll.cos()[:, None], roll.sin()[:, None]
    rows = torch.stack([cos * right + sin * down, cos * down - sin * right, forward], dim=1)  # (B, 3, 3)
    middle = body[:, :, :NUM_JOINTS].mean(dim=(1, 2))
    origin = middle - draw.uniform(low, high).exp()[:, None] * forward
    return (body - origin[:, None, None]) @ rows.transpose(1, 2)[:, None]


def aim(screen: Tensor) -> Tensor:
    """Return the rotation ``(B, 3, 3)`` of a level camera that looks at the person: as ``live.view`` turns it."""
    middle = screen.mean(dim=2).median(dim=1).values
    ahead = unit(torch.cat([middle, torch.ones_like(middle[:, :1])], dim=-1))
    down = torch.tensor([0.0, 1.0, 0.0], device=screen.device).expand_as(ahead)
    right = unit(torch.linalg.cross(down, ahead))
    return torch.stack([right, torch.linalg.cross(ahead, right), ahead], dim=1)


def extent(screen: Tensor) -> Tensor:
    """Return the 90th percentile over a window of trunk and longer leg, ``(B,)``: as ``live.view`` measures size."""
    trunk = screen[:, :, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(2) - screen[:, :, [LEFT[0], RIGHT[0]]].mean(2)
    legs = [screen[:, :, list(side[:3])].diff(dim=2).norm(dim=-1).sum(-1) for side in (LEFT, RIGHT)]
    return torch.quantile(trunk.norm(dim=-1) + torch.maximum(*legs), 0.9, dim=1)


def bridged(joints: Tensor, draw: Draw, share: float) -> Tensor:
    """Lose some joints for a while in ``share`` of the windows, and bridge the gap by a straight line, as ``live`` does."""
    frames = joints.shape[1]
    groups = torch.stack([among(group, joints.device) for group in LOST])
    lost = groups[draw.integer(len(LOST))] & draw.chance(share)[:, None]  # (B, 17)
    length = draw.uniform(math.log(3), math.log(max(frames / 5, 4))).exp()[:, None]
    start = draw.uniform(-frames / 10, frames)[:, None].floor()
    frame = torch.arange(frames, device=joints.device)[None]
    inside = (frame > start) & (frame < start + length)
    first = start.clamp(0, frames - 1).long()
    last = (start + length).ceil().clamp(0, frames - 1).long()
    part = ((frame - start) / length).clamp(0, 1)[..., None, None]
    rows = torch.arange(len(joints), device=joints.device)
    line = joints[rows, first[:, 0]][:, None] * (1 - part) + joints[rows, last[:, 0]][:, None] * part
    return torch.where((inside[:, :, None] & lost[:, None])[..., None], line, joints)


def flat(points: Tensor) -> Tensor:
    """Return camera points ``(..., 3)`` on the plane at depth one."""
    return points[..., :2] / points[..., 2:].clamp_min(0.1)


def unit(vectors: Tensor) -> Tensor:
    """Return vectors of length one."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-9)
