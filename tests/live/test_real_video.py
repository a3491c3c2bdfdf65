"""From real video to 3D, against what four calibrated cameras see. For those who ask for it:

    pip download --no-deps pose2sim==0.10.49
    POSE2SIM_WHEEL=pose2sim-0.10.49-py3-none-any.whl pytest -s tests/live/test_real_video.py

The truth is the four views' own keypoints, triangulated: the bundled detector's errors are in it (they reproject 15 px off, a
thigh's length varies by 4 %). One clip of 100 frames of an unusual motion says whether something broke, not how good it is.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest

import poseedge as product
from poseedge.live.demo.offline import Detection
from poseedge.live.detectors import open_detector
from poseedge.live.lift import lift_clip
from poseedge.live.options import LiftOptions
from poseedge.live.trained import trained_on
from poseedge.live.types import Clip
from poseedge.live.video import open_source
from poseedge.metrics import p_mpjpe
from poseedge.resources import resource

cv2 = pytest.importorskip("cv2")
WHEEL = os.environ.get("POSE2SIM_WHEEL")
pytestmark = pytest.mark.skipif(WHEEL is None, reason="needs the wheel of pose2sim in POSE2SIM_WHEEL")

FOLDER = "Pose2Sim/Demo_SinglePerson"
LIMBS = {1: 12, 2: 14, 3: 16, 4: 11, 5: 13, 6: 15, 11: 5, 12: 7, 13: 9, 14: 6, 15: 8, 16: 10}  # Human3.6M's, COCO's
JUDGED = [0, *LIMBS]


@dataclass(frozen=True)
class Camera:
    """Of a Qualisys calibration file."""

    projection: np.ndarray  # (3, 4) world to camera axes, metres
    intrinsics: np.ndarray  # (3, 3)
    distortion: list[float]

    @classmethod
    def read(cls, entry: ElementTree.Element) -> Camera:
        """Qualisys' cameras look along -z with y up, and it states focal lengths in 64ths of a pixel."""
        turn, lens = (dict(found.attrib) for name in ("transform", "intrinsic") if (found := entry.find(name)) is not None)
        rotation = np.diag([1.0, -1, -1]) @ [[float(turn[f"r{row}{column}"]) for column in "123"] for row in "123"]
        place = np.array([float(turn[axis]) for axis in "xyz"]) / 1000
        fx, fy, cx, cy = (float(lens[f"{what}{axis}"]) / 64 for what in ("focalLength", "centerPoint") for axis in "UV")
        distortion = [float(lens[f"{kind}Distortion{number}"]) for kind in ("radial", "tangental") for number in (1, 2)]
        projection = np.hstack([rotation, -(rotation @ place)[:, None]])
        return cls(projection, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), distortion)

    def rays(self, keypoints: np.ndarray) -> np.ndarray:
        """Return pixels ``(..., 2)`` as points at depth 1, without the lens's distortion."""
        points = keypoints.reshape(-1, 1, 2).astype(np.float64)
        return np.asarray(cv2.undistortPoints(points, self.intrinsics, np.array(self.distortion))).reshape(keypoints.shape)


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Camera, Clip]]:
    """Return the four cameras with the keypoints that the bundled detector finds in their videos."""
    folder = tmp_path_factory.mktemp("pose2sim")
    with zipfile.ZipFile(str(WHEEL)) as wheel:
        wheel.extractall(folder, [name for name in wheel.namelist() if name.startswith(FOLDER) and "intrinsics" not in name])
    root = ElementTree.parse(folder / FOLDER / "calibration" / "Calib.qca.txt").getroot()
    found = []
    for number, entry in enumerate(root.findall("cameras/camera"), start=1):
        video = folder / FOLDER / "videos" / f"cam{number:02d}.mp4"
        found.append((Camera.read(entry), Detection(open_source(str(video)), open_detector()).run(lambda _: None)))
    return found


@pytest.fixture(scope="module")
def truth(cameras: list[tuple[Camera, Clip]]) -> np.ndarray:
    """Return COCO's joints in the world, (100, 17, 3) metres, by linear triangulation weighted by the scores."""
    tracks = [clip.tracks[0] for _, clip in cameras]
    rays = np.stack([camera.rays(track.keypoints) for (camera, _), track in zip(cameras, tracks, strict=True)])
    weights = np.stack([track.scores for track in tracks])[..., None, None]
    projections = np.stack([camera.projection for camera, _ in cameras])
    rows = rays[..., None] * projections[:, None, None, 2:3] - projections[:, None, None, :2]
    systems = np.moveaxis(weights * rows, 0, 2).reshape(*rays.shape[1:3], -1, 4)
    points = np.linalg.svd(systems)[2][..., -1, :]
    return np.asarray(points[..., :3] / points[..., 3:])


def test_every_camera_sees_the_person_in_every_frame(cameras: list[tuple[Camera, Clip]], truth: np.ndarray) -> None:
    assert [[len(track.frames) for track in clip.tracks] for _, clip in cameras] == [[100]] * 4
    thigh = np.linalg.norm(truth[:, 12] - truth[:, 14], axis=-1)
    assert 0.38 < thigh.mean() < 0.48
    assert thigh.std() < 0.025


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("network", ["nanohtnet", "nanohtnet_live.pth"])
def test_poses_are_near_what_four_cameras_see(
    cameras: list[tuple[Camera, Clip]], truth: np.ndarray, network: str, flip: bool
) -> None:
    """Means over the cameras, 12 limb joints and the pelvis, nothing known of the camera: P-MPJPE, and MPJPE in its axes."""
    lifter = product.load(resource("weights", network))
    errors = []
    for camera, clip in cameras:
        lifted = lift_clip(lifter, clip, LiftOptions(flip=flip), trained_on(lifter))
        seen = truth @ camera.projection[:, :3].T
        target = np.zeros((100, 17, 3))
        target[:, 0] = seen[:, [11, 12]].mean(axis=1)
        target[:, list(LIMBS)] = seen[:, list(LIMBS.values())]
        target -= target[:, :1].copy()
        poses = lifted.poses_m[0].astype(np.float64)
        assert lifted.seen.all()
        errors.append((np.linalg.norm(poses - target, axis=-1)[:, JUDGED].mean(), p_mpjpe(poses[:, JUDGED], target[:, JUDGED])))
    mpjpe_mm, p_mpjpe_mm = 1000 * np.mean(errors, axis=0)
    print(f"{network}, {flip=}: MPJPE {mpjpe_mm:.1f} mm, P-MPJPE {p_mpjpe_mm:.1f} mm")
    assert mpjpe_mm < 130
    assert p_mpjpe_mm < 80
