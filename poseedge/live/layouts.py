"""The joints that detectors give, and what the 17 joints of Human3.6M are made of.

Every layout goes through COCO-17, so that one motion gives the same joints whatever detector layout it comes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from poseedge.data.keypoints import coco_scores_to_h36m, coco_to_h36m, middle
from poseedge.errors import DataError, nearest
from poseedge.live.types import Floats
from poseedge.skeleton import NUM_JOINTS

Trunk = Literal["fitted", "papers"]


@dataclass(frozen=True)
class Layout:
    """An order of joints; ``coco``: where in it those of COCO-17 stand, in COCO's order, None for Human3.6M's own."""

    joints: int
    coco: tuple[int, ...] | None


_FIRST_17 = tuple(range(17))
LAYOUTS: dict[str, Layout] = {
    "coco17": Layout(17, _FIRST_17),
    "openpose18": Layout(18, (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)),
    "body25": Layout(25, (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)),
    "halpe26": Layout(26, _FIRST_17),
    "halpe136": Layout(136, _FIRST_17),
    "wholebody133": Layout(133, _FIRST_17),
    "blazepose33": Layout(33, (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)),
    "h36m17": Layout(NUM_JOINTS, None),
}

COCO_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
)

TRUNK_JOINTS = {"spine": 7, "thorax": 8, "neck": 9, "head": 10}  # Human3.6M's number of each
FACE, SHOULDERS = slice(5), [5, 6]  # COCO's
_NOSE, _EYES, _EARS, _HIPS = 0, [1, 2], [3, 4], [11, 12]
_ABOVE = [TRUNK_JOINTS["neck"], TRUNK_JOINTS["head"]]  # which the face makes


@dataclass(frozen=True)
class TrunkWeights:
    """Spine, thorax, neck and head as weighted sums of points that COCO has; the weights of a joint sum to 1."""

    face: Floats  # (4, 5) of nose, middle of the eyes, of the ears, of the shoulders, of the hips
    no_face: Floats  # (4, 2) of the middles of shoulders and hips: where the face is not seen

    @classmethod
    def from_metadata(cls, stored: Mapping[str, Any]) -> TrunkWeights:
        """Return the weights that ``to_metadata`` wrote; raises ``DataError`` for anything else."""
        try:
            face = np.array([stored[joint]["face"] for joint in TRUNK_JOINTS], np.float32)
            no_face = np.array([stored[joint]["no_face"] for joint in TRUNK_JOINTS], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"expected trunk weights of {', '.join(TRUNK_JOINTS)}, found {stored!r}") from error
        sums = [*face.sum(axis=-1), *no_face.sum(axis=-1)] if face.ndim == no_face.ndim == 2 else [np.nan]
        if (face.shape, no_face.shape) != ((4, 5), (4, 2)) or not np.allclose(sums, 1, rtol=0, atol=5e-3):
            raise DataError(f"expected 5 and 2 trunk weights for each joint that sum to 1, found {stored!r}")
        return cls(face, no_face)

    def to_metadata(self) -> dict[str, dict[str, list[float]]]:
        """Return the weights as an artefact's metadata keeps them."""
        rows = zip(TRUNK_JOINTS, self.face, self.no_face, strict=True)
        return {joint: {"face": rounded(face), "no_face": rounded(no_face)} for joint, face, no_face in rows}


def rounded(weights: Floats) -> list[float]:
    """Return float32 weights as the short decimal numbers that they were."""
    return [round(float(weight), 6) for weight in weights]


# Least squares over mocap17's training subjects with a synthetic face and 15 mm of noise on every COCO joint: for the
# bundled networks, whose thorax, neck and head are CMU's.
FITTED = TrunkWeights.from_metadata(
    {
        "spine": {"face": [-0.049, -0.097, -0.026, 0.648, 0.523], "no_face": [0.43, 0.57]},
        "thorax": {"face": [0.016, -0.069, 0.185, 0.720, 0.148], "no_face": [0.89, 0.11]},
        "neck": {"face": [0.011, -0.169, 0.633, 0.559, -0.034], "no_face": [1.17, -0.17]},
        "head": {"face": [-0.398, 0.304, 1.025, 0.205, -0.136], "no_face": [1.44, -0.44]},
    }
)


def layout_named(name: str) -> Layout:
    """Return a layout by name; raises ``DataError`` with the nearest name."""
    if name not in LAYOUTS:
        raise DataError(f"unknown layout {name!r}", nearest(name, list(LAYOUTS)))
    return LAYOUTS[name]


def to_h36m(
    keypoints: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    layout: str,
    trunk: Trunk = "fitted",
    weights: TrunkWeights = FITTED,
) -> tuple[Floats, Floats]:
    """Return Human3.6M joints ``(N, 17, 2)`` and scores ``(N, 17)`` of keypoints ``(N, K, 2)`` and scores ``(N, K)``.

    Pixels, y down; NaN: missing, and stays missing, with score 0. ``trunk``: where spine, thorax, neck and head come
    from. ``fitted``: ``weights``, measured for the bundled networks; ``papers``: ``coco_to_h36m``, for published
    weights. Both take shoulders and hips alone, by ``weights``, where a joint of the face is missing. Joints that are
    Human3.6M's already stay as they are.
    """
    if layout_named(layout).coco is None:
        checked(keypoints, scores, layout)
        joints, confidence = np.array(keypoints, np.float32), np.array(scores, np.float32)
        confidence[np.isnan(joints).any(axis=-1)] = 0
        return joints, confidence
    return from_coco(*to_coco(keypoints, scores, layout), trunk, weights)


def to_coco(keypoints: npt.NDArray[Any], scores: npt.NDArray[Any], layout: str) -> tuple[Floats, Floats]:
    """Return COCO's joints of a layout that holds them, ``(N, 17, 2)``, and their scores ``(N, 17)``: 0 where one is missing."""
    checked(keypoints, scores, layout)
    order = layout_named(layout).coco
    coco, given = np.asarray(keypoints[:, order], np.float32), np.asarray(scores[:, order], np.float32)
    return coco, np.where(np.isnan(coco).any(axis=-1), np.float32(0), given)


def from_coco(
    coco: Floats, given: Floats, trunk: Trunk = "fitted", weights: TrunkWeights = FITTED, shares: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return Human3.6M joints and scores, as ``to_h36m`` does, of what ``to_coco`` returns.

    ``shares``: of the formula with a face, for each frame, where missing joints of it were filled in; neck and head then have
    score 0. None: all of it where all of the face is seen, else nothing.
    """
    whole = ~np.isnan(coco).any(axis=(1, 2))
    if shares is None:
        shares = 1 - np.isnan(coco[:, FACE]).any(axis=(1, 2)).astype(np.float32)
    plain = whole & (shares == 1)
    if plain.all():
        joints, confidence = from_whole_coco(np.concatenate([coco, given[..., None]], axis=-1), trunk, weights)
    else:
        joints, confidence = _by_formula(coco, given, trunk, weights, shares)
        seen = np.concatenate([coco[plain], given[plain, :, None]], axis=-1)
        joints[plain], confidence[plain] = from_whole_coco(seen, trunk, weights)
    guessed = (given[:, FACE] == 0).any(axis=1) & (shares > 0)
    confidence[np.ix_(guessed, _ABOVE)] = 0
    confidence[np.isnan(joints).any(axis=-1)] = 0
    return joints, confidence


def from_whole_coco(keypoints: Floats, trunk: Trunk, weights: TrunkWeights = FITTED) -> tuple[Floats, Floats]:
    """Return Human3.6M joints ``(N, 17, 2)`` and scores ``(N, 17)`` of COCO's with scores ``(N, 17, 3)``, where all were seen.

    One product with a matrix for each.
    """
    count = len(keypoints)
    matrix = _MATRICES[trunk] if weights is FITTED else _matrix(trunk, weights)
    found = matrix @ keypoints.reshape(count, 3 * NUM_JOINTS, 1)
    return found[:, : 2 * NUM_JOINTS].reshape(count, NUM_JOINTS, 2), found[:, 2 * NUM_JOINTS :, 0]


def from_whole_frame(keypoints: Floats, trunk: Trunk) -> tuple[Floats, Floats]:
    """Return what ``from_whole_coco`` does of one frame ``(17, 3)``: the same to the bit, sooner."""
    found = _MATRICES[trunk].dot(keypoints.ravel())
    return found[: 2 * NUM_JOINTS].reshape(NUM_JOINTS, 2), found[2 * NUM_JOINTS :]


def _matrix(trunk: Trunk, weights: TrunkWeights) -> Floats:
    """Return the matrix ``(51, 51)`` from COCO's joints (u, v, score) to those of Human3.6M (u, v) and then their scores.

    They depend linearly on them.
    """
    units = np.eye(3 * NUM_JOINTS, dtype=np.float32).reshape(-1, NUM_JOINTS, 3)
    places, scores = _by_formula(units[..., :2], units[..., 2], trunk, weights, np.ones(len(units), np.float32))
    return np.ascontiguousarray(np.concatenate([places.reshape(len(units), -1), scores], axis=1).T)


def _by_formula(coco: Floats, given: Floats, trunk: Trunk, weights: TrunkWeights, shares: Floats) -> tuple[Floats, Floats]:
    joints, confidence = coco_to_h36m(coco), coco_scores_to_h36m(given)
    own = list(TRUNK_JOINTS.values())
    shoulders, hips = middle(coco, SHOULDERS), middle(coco, _HIPS)
    if trunk == "fitted":
        points = np.stack([coco[:, _NOSE], middle(coco, _EYES), middle(coco, _EARS), shoulders], axis=1)
        joints[:, own] = _weighted(points, hips, weights.face[:, :4])
    rows = np.flatnonzero(shares < 1)
    if len(rows):
        without = _weighted(shoulders[rows, None], hips[rows], weights.no_face[:, :1])
        share = shares[rows, None, None]
        joints[rows[:, None], own] = np.where(share > 0, share * joints[rows[:, None], own] + (1 - share) * without, without)
        unseen = np.flatnonzero(shares == 0)
        confidence[unseen[:, None], _ABOVE] = given[unseen][:, SHOULDERS].mean(axis=1)[:, None]
    return np.asarray(joints, np.float32), np.asarray(confidence, np.float32)


def checked(keypoints: npt.NDArray[Any], scores: npt.NDArray[Any], layout: str) -> None:
    """Raise ``DataError`` unless keypoints ``(N, K, 2)`` and scores ``(N, K)`` are of this layout."""
    known = layout_named(layout)
    if keypoints.shape[1:] != (known.joints, 2) or scores.shape != keypoints.shape[:2]:
        found = f"found {keypoints.shape} and {scores.shape}"
        raise DataError(f"expected {layout} keypoints (N, {known.joints}, 2) with scores (N, {known.joints}), {found}")


def _weighted(points: Floats, hips: Floats, weights: Floats) -> Floats:
    """Return ``(N, 4, 2)``: sums of points ``(N, P, 2)`` seen from the hips, whose weight is what is left to 1.

    Rounded weights would shift a pose with its place in the picture.
    """
    return np.asarray(hips[:, None] + weights @ (points - hips[:, None]), np.float32)


_MATRICES: dict[Trunk, Floats] = {trunk: _matrix(trunk, FITTED) for trunk in ("fitted", "papers")}
