"""Each decoder finds the keypoints that made-up tensors were written with."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.live.detectors import decode

SIZE = (192, 256)  # width and height of a top-down network's input


def test_simcc_reads_places_finer_than_pixels_and_the_lower_score() -> None:
    along_x, along_y = np.zeros((17, 384), np.float32), np.zeros((17, 512), np.float32)
    for joint in range(17):
        along_x[joint, 2 * (10 + joint) + 1], along_y[joint, 2 * (200 - joint)] = 0.9, 0.5
    keypoints, scores = decode.simcc(along_x, along_y, SIZE)
    np.testing.assert_allclose(keypoints, [(10 + joint + 0.5, 200 - joint) for joint in range(17)])
    np.testing.assert_allclose(scores, 0.5)


@pytest.mark.parametrize(("corners", "scale"), [(False, (4.0, 4.0)), (True, (191 / 47, 255 / 63))])
def test_heatmaps_find_the_summit_of_a_gaussian_between_pixels(corners: bool, scale: tuple[float, float]) -> None:
    truth = np.random.default_rng(3).uniform([5, 5], [42, 58], (17, 2))
    columns, rows = np.arange(48), np.arange(64)[:, None]
    away = (columns - truth[:, 0, None, None]) ** 2 + (rows - truth[:, 1, None, None]) ** 2
    keypoints, scores = decode.heatmaps(0.8 * np.exp(-away / (2 * 2**2)), SIZE, corners)
    np.testing.assert_allclose(keypoints, truth * scale, atol=1e-3)
    assert ((scores > 0.7) & (scores <= 0.8)).all()


def test_heatmap_with_its_summit_on_the_edge_stays_there() -> None:
    maps = np.zeros((17, 64, 48), np.float32)
    maps[:, 0, 47] = 1
    keypoints, _ = decode.heatmaps(maps, SIZE, corners=False)
    np.testing.assert_array_equal(keypoints, np.tile([47 * 4, 0], (17, 1)))


def joints(at: float) -> np.ndarray:
    """17 joints as x, y, score."""
    return np.stack([np.full(17, at), np.full(17, at + 1), np.full(17, 0.7)], axis=1)


def test_yolo_keeps_the_best_of_boxes_that_overlap_and_drops_the_unsure() -> None:
    rows = np.zeros((56, 8400), np.float32)
    people = {10: (100, 200, 50, 80, 0.8), 11: (102, 201, 50, 80, 0.9), 4000: (400, 300, 60, 60, 0.5), 8000: (300, 90, 9, 9, 0.2)}
    for place, box in people.items():
        rows[:5, place], rows[5:, place] = box, joints(place).ravel()
    keypoints, scores, boxes = decode.yolo_rows(rows)
    np.testing.assert_allclose(boxes, [(77, 161, 50, 80), (370, 270, 60, 60)])
    np.testing.assert_allclose(keypoints[:, 0], [(11, 12), (4000, 4001)])
    np.testing.assert_allclose(scores, 0.7)


def test_yolo_with_one_answer_per_person_reads_corners() -> None:
    rows = np.zeros((300, 57), np.float32)
    rows[0] = [10, 20, 110, 220, 0.9, 0, *joints(50).ravel()]
    rows[1] = [10, 20, 110, 220, 0.1, 0, *joints(60).ravel()]
    keypoints, scores, boxes = decode.yolo_people(rows)
    np.testing.assert_allclose(boxes, [(10, 20, 100, 200)])
    np.testing.assert_allclose(keypoints, joints(50)[None, :, :2])
    np.testing.assert_allclose(scores, [joints(50)[:, 2]])


def test_rtmo_reads_corners_and_joints() -> None:
    boxes = np.array([[1, 2, 11, 22, 0.6], [0, 0, 5, 5, 0.29]], np.float32)
    keypoints, scores, found = decode.rtmo(boxes, np.stack([joints(5), joints(6)]))
    np.testing.assert_allclose(found, [(1, 2, 10, 20)])
    np.testing.assert_allclose(keypoints, joints(5)[None, :, :2])
    np.testing.assert_allclose(scores, [[0.7] * 17])


def test_movenet_multipose_reads_y_before_x_in_shares_of_the_picture() -> None:
    rows = np.zeros((6, 56), np.float32)
    rows[2, :51] = np.stack([np.full(17, 0.25), np.full(17, 0.5), np.full(17, 0.9)], axis=1).ravel()
    rows[2, 51:] = 0.1, 0.2, 0.5, 0.6, 0.8  # top, left, bottom, right, score
    keypoints, scores, boxes = decode.movenet_people(rows, (320, 256))
    np.testing.assert_allclose(keypoints, np.tile([160, 64], (1, 17, 1)))
    np.testing.assert_allclose(scores, [[0.9] * 17], rtol=1e-6)
    np.testing.assert_allclose(boxes, [(64, 25.6, 128, 102.4)], rtol=1e-5)


def test_no_candidate_is_nobody() -> None:
    for found in (
        decode.yolo_rows(np.zeros((56, 8400), np.float32)),
        decode.yolo_people(np.zeros((300, 57), np.float32)),
        decode.rtmo(np.zeros((0, 5), np.float32), np.zeros((0, 17, 3), np.float32)),
    ):
        assert [part.shape for part in found] == [(0, 17, 2), (0, 17), (0, 4)]
