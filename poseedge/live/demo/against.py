"""A second network that lifts the same people, to be seen over the first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.lifter import Lifter
from poseedge.live.demo.look_ahead import for_live
from poseedge.live.drawing import distances_mm
from poseedge.live.options import LiftOptions
from poseedge.live.stream import People, PoseStream, Stream, StreamFrame
from poseedge.live.trained import trained_on
from poseedge.live.types import Lifted


class StreamPair:
    """Two streams that are shown the same keypoints, as one ``PoseStream``: gives a frame as soon as both have its poses.

    The second's are ``against``. People without ids are linked alike in both, since keypoints alone decide that.
    """

    def __init__(self, stream: PoseStream, against: PoseStream) -> None:
        self._stream, self._against = stream, against
        self._waiting = deque[StreamFrame](), deque[StreamFrame]()

    @property
    def look_ahead(self) -> int:
        """Frames of the network that a pose waits for: what the more patient of the two does."""
        return max(self._stream.look_ahead, self._against.look_ahead)

    @property
    def rate(self) -> float:
        """Frames of the first's network in a second."""
        return self._stream.rate

    def push(self, people: People, time_s: float | None = None, frame: int | None = None) -> list[StreamFrame]:
        """Take the next frame; return those that are final in both."""
        return self._paired(self._stream.push(people, time_s, frame), self._against.push(people, time_s, frame))

    def finish(self) -> list[StreamFrame]:
        """Return what is left."""
        return self._paired(self._stream.finish(), self._against.finish())

    def _paired(self, first: Iterable[StreamFrame], second: Iterable[StreamFrame]) -> list[StreamFrame]:
        """Pair frames: each stream gives every frame once, in order."""
        ones, others = self._waiting
        ones.extend(first)
        others.extend(second)
        return [ones.popleft()._replace(against=others.popleft().people) for _ in range(min(len(ones), len(others)))]


def open_stream(
    lifter: Lifter, against: Lifter | None, size: tuple[int, int], fps: float | None, layout: str, options: LiftOptions
) -> PoseStream:
    """Return what lifts live people with one network, or with two; each waits as ``for_live`` says."""
    one, *other = (
        Stream(each, size, fps, layout, trained_on(each), **asdict(for_live(options, each.spec)))
        for each in (lifter, against)
        if each is not None
    )
    return StreamPair(one, *other) if other else one


def title_of(meta: Mapping[str, Any]) -> str:
    """Return what a lifter is called in pictures: network and precision."""
    return f"{meta['model']} {meta['precision']}"


def about(lifter: Lifter) -> dict[str, Any]:
    """Return which lifter it is, for reports."""
    spec = lifter.spec
    return {"artefact": str(lifter.path), "model": spec.model, "precision": spec.precision, "backend": lifter.backend}


def clip_distances_mm(lifted: Lifted, against: Lifted) -> npt.NDArray[np.float64]:
    """Return the distances of all poses ``(N,)`` of a clip that both have."""
    both = lifted.seen & against.seen
    return distances_mm(lifted.poses_m[both], against.poses_m[both])


def stream_distances_mm(frames: Iterable[StreamFrame]) -> npt.NDArray[np.float64]:
    """Return the distances of all poses ``(N,)`` of a stream that both have."""
    pairs = [
        (posed.pose_m, frame.against[i].pose_m) for frame in frames for i, posed in frame.people.items() if i in frame.against
    ]
    return distances_mm(*(np.stack(poses) for poses in zip(*pairs, strict=True))) if pairs else np.zeros(0)


def compared(lifter: Lifter, apart_mm: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return what a report says of the other network; ``apart_mm`` ``(N,)`` are the distances of its poses."""
    spread = {"mean": float(apart_mm.mean()), "p99": float(np.percentile(apart_mm, 99))} if len(apart_mm) else None
    return {"against": {**about(lifter), "distance_mm": spread}}
