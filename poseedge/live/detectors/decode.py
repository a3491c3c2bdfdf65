"""From a network's tensors to keypoints in its input: a pure function for each way in which networks say where joints are."""

from __future__ import annotations

import numpy as np

from poseedge.arrays import AnyArray
from poseedge.live.detectors.person import overlap

Found = tuple[AnyArray, AnyArray, AnyArray]  # keypoints (N, K, 2), scores (N, K), boxes (N, 4) left, top, width, height

MIN_PERSON = 0.3  # a person of a lower score is not reported
MAX_OVERLAP = 0.65  # of two boxes that overlap more, the lower score goes


def simcc(along_x: AnyArray, along_y: AnyArray, size: tuple[int, int]) -> tuple[AnyArray, AnyArray]:
    """Decode SimCC (Li et al. 2022; RTMPose): scores along each axis, ``(K, X)`` and ``(K, Y)``, finer than pixels.

    Returns keypoints ``(K, 2)`` counted in pixels of the input of ``size`` (width, height), and scores ``(K,)``, the lower
    of both axes, as MMPose has it.
    """
    finer = np.array([along_x.shape[-1] / size[0], along_y.shape[-1] / size[1]], np.float32)
    places = np.stack([along_x.argmax(axis=-1), along_y.argmax(axis=-1)], axis=-1).astype(np.float32)
    return places / finer, np.minimum(along_x.max(axis=-1), along_y.max(axis=-1))


def heatmaps(maps: AnyArray, size: tuple[int, int], corners: bool) -> tuple[AnyArray, AnyArray]:
    """Decode heatmaps ``(K, H, W)``: the highest place, between pixels by a parabola through the logarithm.

    A Gaussian's logarithm is a parabola, so the step is exact for what these networks are trained on (Zhang et al. 2020).
    ``corners``: the corners' centres of heatmap and input coincide (UDP, Huang et al. 2020: ViTPose); otherwise a heatmap
    pixel is a whole number of input pixels (HRNet). Returns keypoints ``(K, 2)`` counted in pixels, and scores ``(K,)``.
    """
    count, height, width = maps.shape
    flat = maps.reshape(count, -1).argmax(axis=1)
    rows, columns = np.divmod(flat, width)
    joints = np.arange(count)
    heights = np.log(np.maximum(maps, 1e-6))
    x = columns + _summit(heights, joints, rows, columns, axis=1)
    y = rows + _summit(heights, joints, rows, columns, axis=0)
    edge = 1 if corners else 0
    scale = (size[0] - edge) / (width - edge), (size[1] - edge) / (height - edge)
    return np.stack([x * scale[0], y * scale[1]], axis=-1).astype(np.float32), maps[joints, rows, columns]


def _summit(heights: AnyArray, joints: AnyArray, rows: AnyArray, columns: AnyArray, axis: int) -> AnyArray:
    """Return how far from the highest pixel a parabola through it and its two neighbours has its summit, at most half."""
    step_row, step_column = (1, 0) if axis == 0 else (0, 1)
    last_row, last_column = heights.shape[1] - 1, heights.shape[2] - 1
    before = heights[joints, np.maximum(rows - step_row, 0), np.maximum(columns - step_column, 0)]
    after = heights[joints, np.minimum(rows + step_row, last_row), np.minimum(columns + step_column, last_column)]
    bend = 2 * heights[joints, rows, columns] - before - after
    place, last = (rows, last_row) if axis == 0 else (columns, last_column)
    inside = (place > 0) & (place < last) & (bend > 0)
    return np.where(inside, np.clip((after - before) / 2 / np.where(inside, bend, 1), -0.5, 0.5), 0)


def yolo_rows(rows: AnyArray) -> Found:
    """Decode YOLO-pose's candidates ``(5 + 3K, N)`` (v8, 11): box by centre, score, then x, y, score of each joint.

    People of too low a score and boxes that overlap a better one are left out.
    """
    rows = rows.T[rows[4] >= MIN_PERSON]
    boxes = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]], axis=1)
    kept = best_of_each(boxes, rows[:, 4])
    joints = rows[kept, 5:].reshape(len(kept), (rows.shape[1] - 5) // 3, 3)
    return joints[..., :2], joints[..., 2], boxes[kept]


def yolo_people(rows: AnyArray) -> Found:
    """Decode YOLO-pose with one answer per person, ``(N, 6 + 3K)`` (26, or exported with ``nms=True``).

    A row: left, top, right, bottom, score, class, then x, y, score of each joint.
    """
    rows = rows[rows[:, 4] >= MIN_PERSON]
    joints = rows[:, 6:].reshape(len(rows), (rows.shape[1] - 6) // 3, 3)
    return joints[..., :2], joints[..., 2], _by_size(rows[:, :4])


def rtmo(boxes: AnyArray, joints: AnyArray) -> Found:
    """Decode RTMO as MMDeploy exports it: ``boxes (N, 5)`` by corners with score, ``joints (N, K, 3)``."""
    sure = boxes[:, 4] >= MIN_PERSON
    return joints[sure, :, :2], joints[sure, :, 2], _by_size(boxes[sure, :4])


def movenet_people(rows: AnyArray, size: tuple[int, int]) -> Found:
    """Decode MoveNet MultiPose ``(6, 56)``: y, x, score of 17 joints, then top, left, bottom, right, score; 0 to 1."""
    rows = rows[rows[:, 55] >= MIN_PERSON]
    joints = rows[:, :51].reshape(len(rows), 17, 3)
    scale = np.array(size, np.float32)
    corners = rows[:, [52, 51, 54, 53]] * np.tile(scale, 2)
    return joints[..., 1::-1] * scale, joints[..., 2], _by_size(corners)


def _by_size(corners: AnyArray) -> AnyArray:
    return np.concatenate([corners[:, :2], corners[:, 2:4] - corners[:, :2]], axis=1)


def best_of_each(boxes: AnyArray, scores: AnyArray) -> list[int]:
    """Return which of ``boxes (N, 4)`` stay, best first, when each takes away those that overlap it."""
    order = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    while order:
        best = order.pop(0)
        kept.append(int(best))
        if order:
            shared = overlap(tuple(boxes[best]), boxes[order])
            order = [place for place, value in zip(order, shared, strict=True) if value <= MAX_OVERLAP]
    return kept
