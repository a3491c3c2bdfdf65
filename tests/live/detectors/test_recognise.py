"""An ONNX file's outputs tell what detector it is, and its keypoints come back in the picture's pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.live.detectors import open_detector
from poseedge.live.detectors.person import Picture
from tests.live.detectors.networks import says, sees_spot_as_heatmap, sees_spot_as_simcc, spot

WIDE: Picture = np.zeros((360, 1280, 3), np.uint8)  # twice as large as a network's 640 pixels, and padded above and below


def person_in_input() -> tuple[np.ndarray, np.ndarray]:
    """Return joints (17, 3) in the middle of a 640-pixel input, and the box by corners with a score."""
    joints = np.stack([np.linspace(300, 340, 17), np.linspace(290, 350, 17), np.full(17, 0.8)], axis=1)
    return joints, np.array([300, 290, 340, 350, 0.9])


def assert_person_in_wide(path: Path, name: str) -> None:
    """Check for the person of ``person_in_input`` where it lies in ``WIDE``: twice as far from the padding's end."""
    detector = open_detector(path)
    (person,) = detector.detect(WIDE)
    assert (detector.name, detector.layout) == (name, "coco17")
    np.testing.assert_allclose(person.box, (600, 2 * (290 - 230), 80, 120))
    np.testing.assert_allclose(person.keypoints[[0, 16]], [(600, 120), (680, 240)], rtol=1e-5)
    np.testing.assert_allclose(person.scores, 0.8, rtol=1e-6)


def test_yolo_v8_and_11(tmp_path: Path) -> None:
    joints, box = person_in_input()
    rows = np.zeros((1, 56, 8400))
    rows[0, :5, 77], rows[0, 5:, 77] = (320, 320, 40, 60, box[4]), joints.ravel()
    assert_person_in_wide(says(tmp_path / "yolo11n-pose.onnx", [rows]), "yolo-pose")


def test_yolo_26(tmp_path: Path) -> None:
    joints, box = person_in_input()
    rows = np.zeros((1, 300, 57))
    rows[0, 0] = [*box, 0, *joints.ravel()]
    assert_person_in_wide(says(tmp_path / "yolo26n-pose.onnx", [rows]), "yolo-pose")


def test_rtmo(tmp_path: Path) -> None:
    joints, box = person_in_input()
    assert_person_in_wide(says(tmp_path / "rtmo.onnx", [box[None, None], joints[None, None]]), "rtmo")


def test_movenet_multipose(tmp_path: Path) -> None:
    joints, box = person_in_input()
    rows = np.zeros((1, 6, 56))
    rows[0, 0] = [*(joints[:, [1, 0, 2]] / [640, 640, 1]).ravel(), *(box[[1, 0, 3, 2]] / 640), box[4]]
    path = says(tmp_path / "multi.onnx", [rows], (1, 640, 640, 3), TensorProto.INT32)
    assert_person_in_wide(path, "movenet-multi")


def test_people_limits_how_many_are_given_best_first(tmp_path: Path) -> None:
    joints, box = person_in_input()
    better = joints + np.array([100, 0, 0.1])
    path = says(tmp_path / "rtmo.onnx", [np.stack([box, box])[None], np.stack([joints, better])[None]])
    assert len(open_detector(path).detect(WIDE)) == 2
    (person,) = open_detector(path, people=1).detect(WIDE)
    np.testing.assert_allclose(person.scores, 0.9, rtol=1e-6)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (sees_spot_as_simcc, "rtmpose"),
        (sees_spot_as_heatmap, "hrnet"),
        (lambda path: sees_spot_as_heatmap(path, attention=True), "vitpose"),
    ],
    ids=["rtmpose", "hrnet", "vitpose"],
)
def test_top_down_detector_finds_a_spot_where_it_is(write: object, name: str, tmp_path: Path) -> None:
    from poseedge.live.detectors.recognise import open_detector
    from poseedge.live.detectors.top_down import TopDown

    detector = open_detector(write(tmp_path / "detector.onnx"))  # type: ignore[operator]
    assert isinstance(detector, TopDown)
    assert (detector.name, detector.layout) == (name, "coco17")
    for at in [(400.0, 300.0), (431.0, 277.0), (380.5, 310.25)]:
        person = detector._place(spot((800, 600), at, spread=8), (300.0, 180.0, 200.0, 240.0))
        assert person is not None
        np.testing.assert_allclose(person.keypoints, np.tile(at, (17, 1)), atol=0.8)  # an input pixel is 1.3 wide


def test_layout_follows_the_number_of_joints(tmp_path: Path) -> None:
    halpe = says(tmp_path / "halpe.onnx", [np.zeros((1, 26, 384)), np.zeros((1, 26, 512))], (1, 3, 256, 192))
    whole = says(tmp_path / "whole.onnx", [np.zeros((1, 133, 576)), np.zeros((1, 133, 768))], (1, 3, 384, 288))
    assert [open_detector(path).layout for path in (halpe, whole)] == ["halpe26", "wholebody133"]


@pytest.mark.parametrize(
    "outputs",
    [
        [np.zeros((1, 84, 8400))],  # YOLO for boxes alone
        [np.zeros((1, 21, 64, 48))],  # hands
        [np.zeros((1, 17, 384)), np.zeros((1, 17, 384))],  # SimCC of another picture's shape
        [np.zeros((1, 1000))],
        [np.zeros((1, 8, 5)), np.zeros((1, 9, 17, 3))],
    ],
    ids=["boxes", "hands", "shape", "classes", "counts"],
)
def test_network_that_is_no_detector_is_refused(outputs: list[np.ndarray], tmp_path: Path) -> None:
    path = says(tmp_path / "other.onnx", outputs, (1, 3, 256, 192))
    with pytest.raises(ArtefactError, match=r"other\.onnx: outputs .* are no detector's known here") as refused:
        open_detector(path)
    assert "RTMPose" in refused.value.hint


def test_network_that_takes_no_picture_is_refused(tmp_path: Path) -> None:
    path = says(tmp_path / "lifter.onnx", [np.zeros((1, 1, 17, 3))], (1, 243, 17, 2))
    with pytest.raises(ArtefactError, match="expected one input with one RGB picture"):
        open_detector(path)


def test_missing_file_and_unknown_backend_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such detector"):
        open_detector(tmp_path / "none.onnx")
    with pytest.raises(PoseedgeError, match=r"no backend 'tensorrt-rt' for \.onnx files") as refused:
        open_detector(backend="tensorrt-rt")
    assert "did you mean 'tensorrt-rtx'?" in refused.value.hint


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x08 not a graph")
    with pytest.raises(ArtefactError, match="cannot load it"):
        open_detector(tmp_path / "cut.onnx")
