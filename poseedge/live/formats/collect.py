"""What every reader fills: detections in the order of the file, which become the tracks of a clip."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.arrays import Float64Array
from poseedge.errors import DataError
from poseedge.live.formats import checks
from poseedge.live.json_lines import abridged, whole_number
from poseedge.live.tracks import UNKNOWN, link
from poseedge.live.types import Clip, Indices

MOST_FRAMES = 10_000_000  # from the first to the last: 46 hours at 60 Hz
MOST_FPS = 1e6
REGULAR = 0.1  # of a frame: times that are rounded to milliseconds still are
_NUMBERS = re.compile(r"[0-9]+")


class Detections:
    """People as a file lists them, in any order. Values are kept flat: a file of hours has millions of numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size: tuple[int, int] | None = None  # of the picture, where the source says it
        self.fps: float | None = None
        self._times: Float64Array | None = None  # (N, 2) frames and their times, where they are not regular
        self.layout: str | None = None
        self.normalized = False  # by the source's own word: 0 to 1 over the picture
        self._joints = 0
        self._first: int | None = None
        self._last: int | None = None
        self._frames, self._ids, self._values = array("q"), array("q"), bytearray()
        self._pictures: dict[int, int] = {}  # frame -> hash of the picture's name

    def frame(self, number: int) -> None:
        """Note a frame that the source covers, with people or without."""
        if abs(number) >= 2**53:
            raise DataError(f"{self.path}: frame number {number}", "frames are counted by whole numbers")
        self._first = number if self._first is None else min(self._first, number)
        self._last = number if self._last is None else max(self._last, number)

    def timed(self, times: Float64Array) -> None:
        """Note frames with their times ``(N, 2)``, in seconds, in the order of frames; N at least 2.

        Times that stand still or run backwards tell no more than the frame rate from first to last, if that.
        """
        (first, begin), (last, end) = times[[0, -1]].tolist()
        if end <= begin:
            return
        self.fps = (last - first) / (end - begin)
        off = times[:, 1] - begin - (times[:, 0] - first) / self.fps
        if (np.diff(times[:, 1]) > 0).all() and np.abs(off).max() * self.fps > REGULAR:
            self._times = times

    def picture(self, name: Any) -> int:
        """Return and note the frame that a picture's name or number stands for; no two names stand for one."""
        frame = frame_number(name, str(self.path))
        self.frame(frame)
        if self._pictures.setdefault(frame, hash(name)) != hash(name):
            hint = "lift the pictures of one camera at a time"
            raise DataError(f"{self.path}: {abridged(name)} is frame {frame}, and so is a picture of another name", hint)
        return frame

    def person(self, frame: int, keypoints: Any, scores: Any = None, id: int | None = None) -> None:
        """Add somebody: keypoints ``(K, 2)`` with scores ``(K,)`` or without, or ``(K, 3)`` with x, y and score, or so flat.

        None, NaN and (0, 0) say that a joint is missing. A person without joints is not added.
        """
        rows = self._rows(frame, keypoints, scores)
        self.frame(frame)
        if not len(rows):
            return
        if len(rows) != (self._joints or len(rows)):
            raise DataError(f"{self.path}: {self._joints} joints until frame {frame}, where a person has {len(rows)}")
        self._joints = len(rows)
        self._frames.append(frame)
        self._ids.append(UNKNOWN if id is None or id < 0 else id)  # OpenPose and its kin write -1
        self._values += rows.tobytes()

    def _rows(self, frame: int, keypoints: Any, scores: Any) -> npt.NDArray[np.float32]:
        """Return ``(K, 3)``."""
        try:
            found = np.asarray(keypoints, np.float32)
            if found.ndim == 1 and scores is None:
                found = found.reshape(-1, 3)
            given = found[:, 2] if scores is None and found.shape[1] == 3 else scores
            if found.ndim != 2 or found.shape[1] not in ((2, 3) if scores is None else (2,)):
                raise ValueError(f"shape {found.shape}")
            rows = np.ones((len(found), 3), np.float32)
            rows[:, :2] = found[:, :2]
            if given is not None:
                rows[:, 2] = np.asarray(given, np.float32)
        except (ValueError, TypeError, OverflowError, IndexError) as error:
            message = f"{self.path}: frame {frame}: expected x, y and score of each joint, found {abridged(keypoints)} ({error})"
            raise DataError(message) from error
        return rows

    def clip(self, layout: str | None, size: tuple[int, int] | None, fps: float | None) -> Clip:
        """Return everybody as tracks; ``layout``, ``size`` and ``fps`` come before what the file says.

        Scores above 1 (AlphaPose, SimCC) become 1, joints at (0, 0) missing.
        """
        if self._first is None or self._last is None or not self._frames:
            raise DataError(f"{self.path}: no people in it", "look at the detector's pictures, or lower its threshold")
        if self._last - self._first >= MOST_FRAMES:
            raise DataError(f"{self.path}: frames from {self._first} to {self._last}", "these are not the frames of one video")
        frames = np.frombuffer(self._frames, np.int64)
        values = np.frombuffer(self._values, np.float32).reshape(len(frames), -1, 3)
        order = np.argsort(frames, kind="stable")
        if (np.diff(order) != 1).any():
            frames, values = frames[order], values[order]
        keypoints, scores = values[..., :2], values[..., 2]
        missing = ~np.isfinite(keypoints).all(axis=-1) | (keypoints == 0).all(axis=-1)
        keypoints[missing] = np.nan
        scores[missing | np.isnan(scores)] = 0
        checks.scores(self.path, scores)
        np.clip(scores, 0, 1, out=scores)
        size, fps = size or self.size, fps if fps is not None else self.fps
        if fps is not None and not 0 < fps < MOST_FPS:
            raise DataError(f"{self.path}: {fps} frames per second", "give the video's frame rate with --fps")
        layout = checks.layout_of(self.path, keypoints, layout or self.layout)
        given, keypoints = keypoints, checks.pixels(self.path, keypoints, scores, size, self.normalized)
        scaled = keypoints is not given and not self.normalized
        there = ~missing.all(axis=-1)
        if not there.any():
            raise DataError(f"{self.path}: all joints are missing (zero or not a number)")
        ids = np.frombuffer(self._ids, np.int64)[order]
        if (ids == 0).all():  # nobody was tracked: AlphaPose without a tracker
            ids = np.full_like(ids, UNKNOWN)
        if not there.all():  # copies are spared where they can be: these are the largest arrays
            frames, keypoints, scores, ids = frames[there], keypoints[there], scores[there], ids[there]
        tracks = link(frames, keypoints, scores, ids, fps)
        covered = np.arange(self._first, self._last + 1)
        times = self._times_of(covered) if fps == self.fps else None  # another rate was asked for
        return Clip(self.path.name, layout, tracks, covered, size, fps, times, scaled=scaled)

    def _times_of(self, frames: Indices) -> Float64Array | None:
        """Return the times of frames, seconds from the first; None if regular, or if some lie outside of what is known."""
        if self._times is None or frames[0] < self._times[0, 0] or frames[-1] > self._times[-1, 0]:
            return None
        return np.asarray(np.interp(frames, *self._times.T) - self._times[0, 1])


def pictures(path: Path, suffix: str) -> Iterator[tuple[int, Path]]:
    """Return frame and file of each picture of a folder, in the order of frames; a file alone is frame 0."""
    if path.is_file():
        yield 0, path
        return
    files = sorted((frame_number(file.name, str(file)), file) for file in folder_files(path, suffix))
    for (frame, file), (following, other) in zip(files, [*files[1:], (None, path)], strict=True):
        if frame == following:
            raise DataError(f"{path}: {file.name} and {other.name} are both frame {frame}", "give a folder for each camera")
        yield frame, file


def folder_files(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder that end so, hidden ones left out."""
    return [file for file in folder.iterdir() if file.suffix.lower() == suffix and not file.name.startswith(".")]


def picture_size(values: Iterable[Any], path: Path) -> tuple[int, int]:
    """Return width and height as a source states them."""
    numbers = [whole_number(value, f"{path}: picture size") for value in values]
    if len(numbers) != 2 or not all(1 <= number < 2**20 for number in numbers):
        raise DataError(f"{path}: expected a picture size (width, height), found {numbers}")
    return numbers[0], numbers[1]


def frame_number(name: Any, where: str) -> int:
    """Return the frame that a picture's name or number stands for: "10.jpg", "clip_000000000010_keypoints.json", 10."""
    if not isinstance(name, str):
        return whole_number(name, where)
    numbers = _NUMBERS.findall(name.replace("\\", "/").rsplit("/", 1)[-1].split(".")[0])
    if not numbers:
        raise DataError(
            f"{where}: no frame number in the name {abridged(name)}", "name pictures and files by their frame: 12.jpg"
        )
    if len(numbers[-1]) > 15:
        raise DataError(f"{where}: frame number {numbers[-1]:.40}", "frames are counted by whole numbers")
    return int(numbers[-1])
