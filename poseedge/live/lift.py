"""Lift all people of a clip: keypoints in, poses out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

import poseedge
from poseedge.backends.registry import load
from poseedge.caches import CachedLifter
from poseedge.errors import DataError
from poseedge.evaluation import predict
from poseedge.lifter import Lifter
from poseedge.live.formats import read_clip
from poseedge.live.layouts import Trunk, from_coco, layout_named, to_coco, to_h36m
from poseedge.live.options import LiftOptions, setup
from poseedge.live.person import Posed, RunSetup, Sighting, TrackedPerson, WindowStep
from poseedge.live.tracks import select
from poseedge.live.trained import TrainedOn, bundled_network, trained_on
from poseedge.live.types import Clip, Floats, Indices, Lifted, Track
from poseedge.live.unseen.face import Face, completed
from poseedge.live.unseen.gaps import Faults, are_clean, gate
from poseedge.live.view import TRUNK_AND_LEG
from poseedge.skeleton import JOINT_NAMES, NUM_JOINTS

BATCH_FRAMES = 16_000  # of all windows that wait to be lifted together
BLOCK = 4096  # frames that are worked on together, so that hours of them take no more memory than their poses
MOST_BYTES = 8 * 2**30  # of the poses of a clip
_BYTES_OF_A_JOINT = 3 * 4 + 2 * 4 + 4 + 1


def lift(
    source: Clip | str | Path,
    lifter: Lifter | str | Path | None = None,
    *,
    precision: str | None = None,
    format: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    person: Literal["largest"] | int | None = None,
    **choices: Any,
) -> Lifted:
    """Return the 3D poses of all people in a keypoint file or folder, or in a ``Clip``.

    ``lifter``: what ``poseedge.load`` returns, or what it takes, by default the bundled NanoHTNet in INT8; ``precision`` chooses
    within a bundle. ``format``, ``layout``, ``size`` (width and height of the picture) and ``fps`` are asked for where the file
    does not tell; ``person`` keeps one person alone. ``choices``: see ``LiftOptions``. Raises ``DataError`` for input that
    cannot be used.
    """
    if not isinstance(source, Clip):
        source = read_clip(Path(source), format, layout, size, fps)
    if lifter is None or isinstance(lifter, str | Path):
        lifter = load(lifter or bundled_network(), precision, stream=True)
    return lift_clip(lifter, select(source, person), LiftOptions(**choices), trained_on(lifter))


def lift_clip(
    lifter: Lifter,
    clip: Clip,
    options: LiftOptions = LiftOptions(),  # noqa: B008  # frozen
    trained: TrainedOn = TrainedOn(),  # noqa: B008
    advance: Callable[[int], None] = lambda _: None,
) -> Lifted:
    """Return the poses of all people of ``clip``; ``advance`` is told of frames that were read.

    Raises ``DataError`` if the size of the picture is unknown, or the frame rate, where the network has more than one frame.
    """
    lacks_rate = clip.fps is None and lifter.spec.frames > 1
    if clip.size is None:
        said, both = (", nor its frame rate", " --fps 30") if lacks_rate else ("", "")
        raise DataError(f"{clip.name}: does not say how large the picture is{said}", f"say it: --size 1920x1080{both}")
    if lacks_rate:
        known = f"{lifter.spec.model} knows motion at {trained.fps:g} Hz"
        raise DataError(f"{clip.name}: does not say its frame rate, and {known}", "say it: --fps 30")
    fps = clip.fps or trained.fps
    shared = setup(options, lifter.spec, trained, clip.size, fps)
    trunk = options.trunk or trained.trunk
    lifted = _empty(clip, fps)
    people = []
    for number, track in enumerate(clip.tracks):
        times = lifted.times_s[track.frames - clip.frames[0]]
        people.append(_Follower(TrackedPerson(shared, number), track.frames, sightings(track, times, clip.layout, trunk)))
    coming = deque(sorted((each for each in people if len(each.frames)), key=lambda each: int(each.frames[0])))
    there: list[_Follower] = []
    queue: list[WindowStep] = []
    for frame, time in _rows(clip.frames, lifted.times_s):
        while coming and coming[0].frames[0] <= frame:
            there.append(coming.popleft())
        for follower in there:
            queue += follower.take(frame, time)
        there = [follower for follower in there if not follower.gone]
        if len(queue) * lifter.spec.frames >= BATCH_FRAMES:
            _settle(lifter, queue, options.flip, lifted)
        advance(1)
    for follower in there:
        queue += follower.person.finish()
    _settle(lifter, queue, options.flip, lifted)
    if options.height_m is not None:
        lifted = sized(lifted, options.height_m)
    faults = {str(track.id): _spoken(follower.person.faults) for track, follower in zip(clip.tracks, people, strict=True)}
    return replace(lifted, meta={**_meta(lifter, clip, options, trained, shared), "faults": faults})


def sightings(track: Track, times: npt.NDArray[np.float64], layout: str, trunk: Trunk) -> Iterator[Sighting]:
    """Yield a track's Human3.6M joints frame by frame, some thousands of frames being made at a time.

    ``times``: of the track's frames, in seconds.
    """
    face = Face()
    for start in range(0, len(track.frames), BLOCK):
        part = slice(start, start + BLOCK)
        keypoints, scores = gate(track.keypoints[part], track.scores[part]), track.scores[part]
        if layout_named(layout).coco is None:
            joints, scores = to_h36m(keypoints, scores, layout)
        else:
            coco, scores = to_coco(keypoints, scores, layout)
            coco, shares = completed(coco, times[part], face)
            joints, scores = from_coco(coco, scores, trunk, shares=shares)
        clean = are_clean(joints, scores)
        yield from map(Sighting, track.frames[part].tolist(), times[part].tolist(), joints, scores, clean.tolist())


def _rows(frames: Indices, times: npt.NDArray[np.float64]) -> Iterator[tuple[int, float]]:
    """Yield numbers and times of frames; lists of all of them would take as much memory as a fifth of the poses."""
    for start in range(0, len(frames), BLOCK):
        part = slice(start, start + BLOCK)
        yield from zip(frames[part].tolist(), times[part].tolist(), strict=True)


def lift_steps(lifter: Lifter, steps: Sequence[WindowStep], flip: bool) -> list[Floats | None]:
    """Return the poses of each step's window, all lifted together, or frame by frame if ``lifter`` remembers.

    None for a step without a window.
    """
    if lifter.spec.remembers:
        cached = cast(CachedLifter, lifter)  # asking a protocol whether it is kept takes 10 us
        return [
            None if s.window is None else s.span.remembered(cached, flip, s.corrections).lift(s.window, s.first) for s in steps
        ]
    if len(steps) == 1 and steps[0].window is not None:
        return [predict.lift_windows(lifter, steps[0].window[None], flip)[0]]
    windows = [step.window for step in steps if step.window is not None]
    if not windows:
        return [None] * len(steps)
    lifted = iter(predict.lift_windows(lifter, np.stack(windows), flip))
    return [None if step.window is None else next(lifted) for step in steps]


def sized(lifted: Lifted, height_m: float) -> Lifted:
    """Return the poses with each person as tall as said: told from trunk and legs, which a stoop does not shorten."""
    poses = lifted.poses_m.copy()
    for person, seen in zip(poses, lifted.seen, strict=True):
        if seen.any():
            parts = [slice(start, start + BLOCK) for start in range(0, len(seen), BLOCK)]
            lengths = np.concatenate([trunk_and_leg(person[part][seen[part]]) for part in parts])
            person *= height_m * TRUNK_AND_LEG / float(np.median(lengths))
    return replace(lifted, poses_m=poses)


def trunk_and_leg(poses_m: Floats) -> npt.NDArray[np.float64]:
    """Return the length of the trunk and the mean leg of poses ``(N, 17, 3)``, metres."""
    joint = {name: poses_m[:, number].astype(np.float64) for number, name in enumerate(JOINT_NAMES)}
    trunk = joint["left_shoulder"] + joint["right_shoulder"] - joint["left_hip"] - joint["right_hip"]
    bones = [
        joint[f"{side}_{a}"] - joint[f"{side}_{b}"] for side in ("left", "right") for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    lengths = [np.linalg.norm(vector, axis=-1) for vector in (trunk, *bones)]
    return np.asarray(sum(lengths) / 2)


@dataclass
class _Follower:
    """A person, and the frames of the clip in which somebody saw it."""

    person: TrackedPerson
    frames: Indices
    sightings: Iterator[Sighting]
    at: int = 0

    @property
    def gone(self) -> bool:
        """Whether nothing will come any more."""
        return self.at == len(self.frames) and self.person.idle

    def take(self, frame: int, time: float) -> list[WindowStep]:
        if self.at == len(self.frames) or self.frames[self.at] != frame:
            return self.person.miss(frame, time)
        self.at += 1
        return self.person.see(next(self.sightings))


def _settle(lifter: Lifter, queue: list[WindowStep], flip: bool, lifted: Lifted) -> None:
    """Lift the queue's windows and put the poses that become final into ``lifted``."""
    for step, poses in zip(queue, lift_steps(lifter, queue, flip), strict=True):
        for posed in step.span.settle(step, poses):
            _put(lifted, step.span.number, posed)
    queue.clear()


def _put(lifted: Lifted, person: int, posed: Posed) -> None:
    at = person, posed.frame - int(lifted.frames[0])
    lifted.poses_m[at], lifted.seen[at], lifted.filled[at] = posed.pose_m, True, posed.filled
    lifted.keypoints_px[at], lifted.scores[at] = posed.keypoints_px, posed.scores


def _empty(clip: Clip, fps: float) -> Lifted:
    shape = len(clip.tracks), len(clip.frames)
    if (needed := shape[0] * shape[1] * NUM_JOINTS * _BYTES_OF_A_JOINT) > MOST_BYTES:
        raise DataError(
            f"{clip.name}: poses of {shape[0]} people over {shape[1]} frames would take {needed / 2**30:.0f} GiB",
            "lift one of them: --person largest, or an id",
        )
    return Lifted(
        poses_m=np.full((*shape, NUM_JOINTS, 3), np.nan, np.float32),
        frames=clip.frames,
        times_s=(clip.frames - clip.frames[:1]) / fps if clip.times_s is None else clip.times_s,
        ids=np.array([track.id for track in clip.tracks], np.int64),
        seen=np.zeros(shape, np.bool_),
        filled=np.zeros((*shape, NUM_JOINTS), np.bool_),
        keypoints_px=np.full((*shape, NUM_JOINTS, 2), np.nan, np.float32),
        scores=np.zeros((*shape, NUM_JOINTS), np.float32),
        meta={},
    )


def _meta(lifter: Lifter, clip: Clip, options: LiftOptions, trained: TrainedOn, shared: RunSetup) -> dict[str, Any]:
    """Return how the poses came about."""
    return {
        "source": clip.name,
        "layout": clip.layout,
        "artefact": str(lifter.path),
        "model": lifter.spec.model,
        "precision": lifter.spec.precision,
        "backend": lifter.backend,
        "view": options.view,
        "trunk": options.trunk or trained.trunk,
        "overlap": options.overlap,
        "every": shared.plan.every,
        "look_ahead": shared.plan.look_ahead,
        "flip": options.flip or lifter.spec.flip == "inside",
        "smooth": options.smooth,
        "focal_px": options.focal_px,
        "camera_pitch_deg": options.camera_pitch_deg,
        "camera_roll_deg": options.camera_roll_deg,
        "height_m": options.height_m,
        "fps": clip.fps,
        "network_fps": shared.rate,
        "size": list(clip.size or ()),
        "scaled": clip.scaled,
        "axes": "camera",
        "version": poseedge.__version__,
    }


def _spoken(faults: Faults) -> dict[str, Any]:
    """Return what was thrown out, by name."""
    by_joint = {
        key: {name: count for name, count in zip(JOINT_NAMES, counts.tolist(), strict=True) if count}
        for key, counts in (("lacking", faults.lacking), ("held", faults.held))
    }
    return {"swapped": faults.swapped, "jumped": faults.jumped, "ended": faults.ended, **by_joint}
