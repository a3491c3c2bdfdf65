"""COCO keypoints become what the demos of the lifting papers feed their networks."""

from __future__ import annotations

import numpy as np
import pytest

from poseedge.data.keypoints import coco_scores_to_h36m, coco_to_h36m, with_confidence
from poseedge.errors import DataError
from tests.support import golden

FACTS, STORED = golden.case("keypoints"), golden.arrays("keypoints")


def test_joints_equal_the_published_conversion() -> None:
    np.testing.assert_allclose(coco_to_h36m(STORED["coco"]), STORED["h36m"], rtol=FACTS["rtol"], atol=FACTS["atol"])


def test_scores_equal_the_published_conversion() -> None:
    np.testing.assert_allclose(coco_scores_to_h36m(STORED["coco_scores"]), STORED["h36m_scores"], rtol=FACTS["rtol"])


def test_a_frame_without_a_person_stays_zero() -> None:
    assert coco_to_h36m(STORED["coco"]).any(axis=(1, 2)).nonzero()[0].tolist() == FACTS["valid_frames"]


def test_leading_axes_are_free() -> None:
    coco = STORED["coco"][:8].reshape(2, 4, 17, 2)
    np.testing.assert_array_equal(coco_to_h36m(coco).reshape(8, 17, 2), coco_to_h36m(STORED["coco"][:8]))


def test_whole_pixels_are_accepted() -> None:
    rounded = STORED["coco"].round()
    np.testing.assert_array_equal(coco_to_h36m(rounded.astype(np.int64)), coco_to_h36m(rounded))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"found \(9, 17, 3\)"):
        coco_to_h36m(np.zeros((9, 17, 3)))
    with pytest.raises(DataError, match=r"found \(9, 133\)"):
        coco_scores_to_h36m(np.zeros((9, 133)))


def test_a_confidence_of_one_is_given_where_a_lifter_takes_one() -> None:
    keypoints = STORED["h36m"][:4]
    scored = with_confidence(keypoints, 3)
    np.testing.assert_array_equal(scored[..., :2], keypoints)
    assert (scored[..., 2] == 1).all()
    assert scored.dtype == keypoints.dtype


def test_keypoints_that_have_what_the_lifter_takes_stay_as_they_are() -> None:
    keypoints = STORED["h36m"][:4]
    assert with_confidence(keypoints, 2) is keypoints
    own = np.full((4, 17, 3), 0.5)
    assert with_confidence(own, 3) is own


def test_nothing_but_a_confidence_is_made_up() -> None:
    with pytest.raises(DataError, match="4 values per keypoint from 2"):
        with_confidence(np.zeros((1, 17, 2)), 4)
