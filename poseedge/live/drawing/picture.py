"""The whole picture: the video with the keypoints over it, beside it the people in 3D."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poseedge.live.detectors.cut import resized
from poseedge.live.detectors.person import Picture
from poseedge.live.drawing import ink
from poseedge.live.drawing.figures import distances_mm
from poseedge.live.drawing.scene import Figure, Scene, View

SIZE = (1280, 720)
_WIDEST = 0.62  # share of the picture that the video may take
_BACKGROUND: ink.Colour = (18, 20, 25)
_WORDS: ink.Colour = (226, 230, 238)
_QUIET: ink.Colour = (150, 158, 172)
_EDGE = 14


class PictureMaker:
    """Makes a picture for every frame of a source."""

    def __init__(
        self, source_size: tuple[int, int], view: View, title: str, size: tuple[int, int] = SIZE, against: str = ""
    ) -> None:
        """``source_size`` is the width and height of the frames; ``title`` stands over the 3D half, ``against`` below it."""
        self.size, self._against = size, against
        scale = min(size[1] / source_size[1], _WIDEST * size[0] / source_size[0])
        self._video_size = max(1, round(source_size[0] * scale)), max(1, round(source_size[1] * scale))
        self._scale = self._video_size[0] / source_size[0], self._video_size[1] / source_size[1]
        self._left = self._video_size[0]
        self._top = (size[1] - self._video_size[1]) // 2
        self._scene = Scene((size[0] - self._left, size[1]), view)
        self._title = title

    def shrunk(self, rgb: Picture) -> Picture:
        """Return a frame as large as it is shown: what is worth keeping of one that waits."""
        return resized(rgb, self._video_size)

    def draw(self, rgb: Picture, figures: Sequence[Figure], time_s: float, status: str = "") -> Picture:
        """Return the picture of one frame, ``shrunk`` or not; ``status`` stands below: frames per second, delay."""
        if rgb.shape[1::-1] != self._video_size:
            rgb = self.shrunk(rgb)
        picture = np.empty((self.size[1], self.size[0], 3), np.uint8)
        picture[:, : self._left] = _BACKGROUND
        video = picture[self._top : self._top + self._video_size[1], : self._left]
        video[...] = rgb
        thickness = max(2.0, self._video_size[1] / 160)
        for figure in figures:
            ink.skeleton(video, figure.keypoints_px * np.array(self._scale), figure.faint, thickness)
        picture[:, self._left :] = self._scene.draw(figures, time_s)
        self._label(picture, time_s, status, bool(figures))
        if self._against:
            self._label_against(picture, figures)
        return picture

    def _label(self, picture: Picture, time_s: float, status: str, anybody: bool) -> None:
        right, bottom = self.size[0] - _EDGE, self.size[1] - _EDGE
        minutes, seconds = divmod(time_s, 60)
        ink.text(picture, self._title, (self._left + _EDGE, 28), _WORDS, 0.55)
        ink.text(picture, f"{int(minutes)}:{seconds:05.2f}", (right, 28), _QUIET, right=True)
        if not anybody:
            ink.text(picture, "nobody in sight", (self._left + _EDGE, 78 if self._against else 53), _QUIET)
        left, right_side = ink.places(np.array([[self._left + _EDGE + 5, bottom - 5], [self._left + _EDGE + 68, bottom - 5]]))
        ink.dot(picture, left, 5, ink.LEFT_COLOUR)
        ink.text(picture, "left", (self._left + _EDGE + 17, bottom), _QUIET)
        ink.dot(picture, right_side, 5, ink.RIGHT_COLOUR)
        ink.text(picture, "right", (self._left + _EDGE + 80, bottom), _QUIET)
        if status:
            ink.text(picture, status, (right, bottom), _QUIET, right=True)

    def _label_against(self, picture: Picture, figures: Sequence[Figure]) -> None:
        """Say whose the thin skeletons are, and how far they are from the others: the mean over joints and people."""
        pairs = [(each.pose_m, each.against_m) for each in figures if each.pose_m is not None and each.against_m is not None]
        apart = f": {np.mean([distances_mm(*pair) for pair in pairs]):.1f} mm away" if pairs else ""
        (at,) = ink.places(np.array([[self._left + _EDGE + 5, 48]]))
        ink.dot(picture, at, 5, ink.AGAINST_COLOUR)
        ink.text(picture, self._against + apart, (self._left + _EDGE + 17, 53), _QUIET)
