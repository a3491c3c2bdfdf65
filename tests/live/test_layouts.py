"""Joints of every layout become the same joints of Human3.6M."""

from __future__ import annotations

import json

import numpy as np
import pytest

from poseedge.data.keypoints import coco_scores_to_h36m, coco_to_h36m
from poseedge.errors import DataError
from poseedge.live.layouts import COCO_NAMES, FITTED, LAYOUTS, TRUNK_JOINTS, Trunk, TrunkWeights, to_h36m
from tests.support import motion

TRUNK = list(TRUNK_JOINTS.values())
LIMBS = [joint for joint in range(17) if joint not in TRUNK]
COCO_LIKE = [name for name, layout in LAYOUTS.items() if layout.coco]


@pytest.mark.parametrize("trunk", ["fitted", "papers"])
@pytest.mark.parametrize("layout", COCO_LIKE)
def test_layouts_that_hold_the_same_joints_give_the_same_pose(layout: str, trunk: Trunk) -> None:
    expected = to_h36m(motion.coco(), motion.scores(), "coco17", trunk)
    for found, wanted in zip(to_h36m(*motion.in_layout(layout), layout, trunk), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


# By name: OpenPose's POSE_COCO_BODY_PARTS and POSE_BODY_25_BODY_PARTS, MediaPipe's PoseLandmark.
OPENPOSE_ARMS = "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist"
OPENPOSE_LEGS = "r_hip r_knee r_ankle l_hip l_knee l_ankle r_eye l_eye r_ear l_ear"
NAMES = {
    "openpose18": f"{OPENPOSE_ARMS} {OPENPOSE_LEGS}",
    "body25": f"{OPENPOSE_ARMS} mid_hip {OPENPOSE_LEGS} l_big_toe l_small_toe l_heel r_big_toe r_small_toe r_heel",
    "blazepose33": "nose l_eye_inner l_eye l_eye_outer r_eye_inner r_eye r_eye_outer l_ear r_ear l_mouth r_mouth l_shoulder "
    "r_shoulder l_elbow r_elbow l_wrist r_wrist l_pinky r_pinky l_index r_index l_thumb r_thumb l_hip r_hip l_knee r_knee "
    "l_ankle r_ankle l_heel r_heel l_foot r_foot",
}


@pytest.mark.parametrize("layout", NAMES)
def test_joints_stand_where_the_detector_names_them(layout: str) -> None:
    names = NAMES[layout].split()
    assert len(names) == LAYOUTS[layout].joints
    found = [names[joint].replace("l_", "left_").replace("r_", "right_") for joint in LAYOUTS[layout].coco or ()]
    assert found == list(COCO_NAMES)


def test_joints_of_human36m_stay_as_they_are() -> None:
    keypoints, scores = to_h36m(motion.joints(), motion.scores(), "h36m17")
    np.testing.assert_array_equal(keypoints, motion.joints())
    np.testing.assert_array_equal(scores, motion.scores())


def test_the_papers_trunk_is_that_of_the_demos() -> None:
    keypoints, scores = to_h36m(motion.coco(), motion.scores(), "coco17", "papers")
    np.testing.assert_allclose(keypoints, coco_to_h36m(motion.coco()), rtol=0, atol=2e-4)  # pixels
    np.testing.assert_allclose(scores, coco_scores_to_h36m(motion.scores()), rtol=1e-6)


def test_the_fitted_trunk_is_the_weighted_sum_of_face_shoulders_and_hips() -> None:
    coco = motion.coco().astype(np.float64)
    points = [coco[:, part].mean(axis=1) for part in ([0], [1, 2], [3, 4], [5, 6], [11, 12])]
    keypoints, _ = to_h36m(motion.coco(), motion.scores(), "coco17")
    for row, joint in enumerate(TRUNK):
        weights = FITTED.face[row].astype(np.float64)
        weights[-1] += 1 - weights.sum()  # rounded weights sum to 0.999
        expected = sum(weight * point for weight, point in zip(weights, points, strict=True))
        np.testing.assert_allclose(keypoints[:, joint], expected, atol=1e-3)
    np.testing.assert_array_equal(keypoints[:, LIMBS], coco_to_h36m(motion.coco())[:, LIMBS])


@pytest.mark.parametrize("trunk", ["fitted", "papers"])
@pytest.mark.parametrize("layout", ["coco17", "body25"])
def test_a_pose_does_not_change_with_its_place(layout: str, trunk: Trunk) -> None:
    keypoints, scores = motion.in_layout(layout)
    keypoints = np.concatenate([keypoints, keypoints])
    keypoints[0, LAYOUTS[layout].coco[0]] = np.nan  # type: ignore[index]  # a face that is not seen
    moved, _ = to_h36m(keypoints + 4000, np.concatenate([scores, scores]), layout, trunk)
    here, _ = to_h36m(keypoints, np.concatenate([scores, scores]), layout, trunk)
    np.testing.assert_allclose(moved - 4000, here, atol=5e-3)


@pytest.mark.parametrize("trunk", ["fitted", "papers"])
@pytest.mark.parametrize("hidden", range(5))
def test_shoulders_and_hips_alone_make_the_trunk_where_the_face_is_not_seen(hidden: int, trunk: Trunk) -> None:
    coco, scores = motion.coco().copy(), motion.scores()
    coco[3, hidden] = np.nan
    keypoints, confidence = to_h36m(coco, scores, "coco17", trunk)
    seen, _ = to_h36m(motion.coco(), scores, "coco17", trunk)
    shoulders, hips = coco[3, 5:7].mean(axis=0), coco[3, 11:13].mean(axis=0)
    for row, joint in enumerate(TRUNK):
        expected = FITTED.no_face[row, 0] * shoulders + FITTED.no_face[row, 1] * hips
        np.testing.assert_allclose(keypoints[3, joint], expected, atol=1e-3)
    np.testing.assert_allclose(confidence[3, 9:11], scores[3, 5:7].mean(), rtol=1e-6)
    others = [frame for frame in range(len(coco)) if frame != 3]
    np.testing.assert_array_equal(keypoints[others], seen[others])
    np.testing.assert_array_equal(keypoints[3, LIMBS], seen[3, LIMBS])


def test_a_missing_joint_stays_missing_with_all_that_is_made_of_it() -> None:
    coco = motion.coco().copy()
    coco[2, 9], coco[4, 12] = np.nan, np.nan  # left wrist, right hip
    keypoints, scores = to_h36m(coco, motion.scores(), "coco17")
    missing = np.asarray(np.isnan(keypoints).any(axis=-1))
    assert missing[2].nonzero()[0].tolist() == [13]
    assert missing[4].nonzero()[0].tolist() == [0, 1, *TRUNK]
    assert missing.sum() == 1 + 2 + len(TRUNK)
    assert (scores[missing] == 0).all()
    assert (scores[~missing] > 0).all()


def test_weights_come_back_from_an_artefacts_metadata() -> None:
    stored = json.loads(json.dumps(FITTED.to_metadata()))
    found = TrunkWeights.from_metadata(stored)
    np.testing.assert_array_equal(found.face, FITTED.face)
    np.testing.assert_array_equal(found.no_face, FITTED.no_face)
    assert stored["head"] == {"face": [-0.398, 0.304, 1.025, 0.205, -0.136], "no_face": [1.44, -0.44]}


def test_an_artefacts_weights_are_used() -> None:
    stored = FITTED.to_metadata()
    stored["neck"] = {"face": [1.0, 0, 0, 0, 0], "no_face": [0.5, 0.5]}
    keypoints, _ = to_h36m(motion.coco(), motion.scores(), "coco17", weights=TrunkWeights.from_metadata(stored))
    np.testing.assert_allclose(keypoints[:, 9], motion.coco()[:, 0], atol=1e-3)


@pytest.mark.parametrize(
    "neck",
    [None, {}, {"face": [1, 0, 0, 0], "no_face": [1, 0]}, {"face": [1] * 5, "no_face": [1, 0]}, {"face": 1, "no_face": 1}],
)
def test_damaged_weights_are_refused(neck: object) -> None:
    with pytest.raises(DataError, match="trunk weights"):
        TrunkWeights.from_metadata(FITTED.to_metadata() | {"neck": neck})


def test_joints_of_another_layout_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected body25 keypoints \(N, 25, 2\)"):
        to_h36m(motion.coco(), motion.scores(), "body25")
    with pytest.raises(DataError, match="unknown layout 'coco'") as caught:
        to_h36m(motion.coco(), motion.scores(), "coco")
    assert "did you mean 'coco17'" in caught.value.hint
