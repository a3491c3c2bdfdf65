"""Which detector an ONNX file is, told by what the network says of a black picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.errors import ArtefactError
from poseedge.live.detectors import decode
from poseedge.live.detectors.following import Find
from poseedge.live.detectors.movenet import MoveNet
from poseedge.live.detectors.network import Outputs, PictureNetwork, shape_text
from poseedge.live.detectors.one_shot import OneShot
from poseedge.live.detectors.person import Detector, Picture
from poseedge.live.detectors.top_down import TopDown
from poseedge.resources import resource

Shape = tuple[int, ...]
BUNDLED = ("weights", "detectors", "movenet_lightning.onnx")
LAYOUTS = {17: "coco17", 26: "halpe26", 133: "wholebody133"}  # number of joints to layout
_YOLO, _YOLO_PEOPLE = 5 + 3 * 17, 6 + 3 * 17  # values per candidate, and per person


@dataclass(frozen=True)
class Kind:
    """A kind of detector: how its outputs look, and what makes one of it."""

    name: str
    fits: Callable[[Sequence[Shape], tuple[int, int]], bool]  # outputs' shapes, input's width and height
    make: Callable[[_Request], Detector]


@dataclass(frozen=True)
class _Request:
    network: PictureNetwork
    outputs: Outputs
    people: int | None
    thorough: bool
    finder: Callable[[], Find]


def open_detector(
    path: Path | None = None,
    people: int | None = None,
    threads: int = 1,
    backend: str | None = None,
    thorough: bool = False,
) -> Detector:
    """Return the detector that the ONNX file ``path`` is, the bundled MoveNet Lightning without one.

    ``people``: how many to find; without it one, or everybody where the network sees the whole picture at once.
    ``thorough``: the pictures do not follow each other. Raises ``ArtefactError`` for networks that are no such detector.
    """
    network = PictureNetwork(path or resource(*BUNDLED), threads, backend)
    outputs = network.trial()
    found = [tuple(output.shape) for output in outputs]
    for kind in KINDS:
        if kind.fits(found, network.size):

            def finder() -> Find:
                return MoveNet(PictureNetwork(resource(*BUNDLED), threads, backend)).find

            return kind.make(_Request(network, outputs, people, thorough, finder))
    raise ArtefactError(
        f"{path}: outputs {shape_text(outputs)} for a {network.size[0]} x {network.size[1]} picture are no detector's known here",
        f"Known: {', '.join(kind.name for kind in KINDS)}; people's keypoints, not boxes alone",
    )


def _is_movenet(found: Sequence[Shape], size: tuple[int, int]) -> bool:
    return list(found) == [(1, 1, 17, 3)]


def _is_movenet_people(found: Sequence[Shape], size: tuple[int, int]) -> bool:
    return list(found) == [(1, 6, 56)]


def _is_simcc(found: Sequence[Shape], size: tuple[int, int]) -> bool:
    if len(found) != 2 or any(len(shape) != 3 for shape in found):
        return False
    (one, joints, along_x), (two, same, along_y) = found
    return one == two == 1 and joints == same and joints in LAYOUTS and along_x * size[1] == along_y * size[0]


def _is_heatmap(found: Sequence[Shape], size: tuple[int, int]) -> bool:
    if len(found) != 1 or len(found[0]) != 4:
        return False
    one, joints, height, width = found[0]
    return one == 1 and joints in LAYOUTS and width * size[1] == height * size[0]


def _is_yolo(found: Sequence[Shape], size: tuple[int, int]) -> bool:
    cells = sum((size[0] // stride) * (size[1] // stride) for stride in (8, 16, 32))
    return list(found) == [(1, _YOLO, cells)]


def _is_yolo_people(found: Sequence[Shape], size: tuple[int, int]) -> bool:
    return len(found) == 1 and len(found[0]) == 3 and (found[0][0], found[0][2]) == (1, _YOLO_PEOPLE)


def _is_rtmo(found: Sequence[Shape], size: tuple[int, int]) -> bool:
    if [len(shape) for shape in found] != [3, 4]:
        return False
    boxes, joints = found
    return boxes[:2] == joints[:2] and boxes[0] == 1 and boxes[2] == 5 and joints[2:] == (17, 3)


def _movenet(request: _Request) -> Detector:
    return MoveNet(request.network, request.people or 1, request.thorough)


def _top_down(name: str, request: _Request, decoder: Any) -> Detector:
    layout, people = LAYOUTS[request.outputs[0].shape[1]], request.people or 1
    return TopDown(name, layout, request.network, decoder, request.finder(), people, request.thorough)


def _simcc(request: _Request) -> Detector:
    return _top_down("rtmpose", request, lambda outputs, size: decode.simcc(outputs[0][0], outputs[1][0], size))


def _heatmap(request: _Request) -> Detector:
    corners = has_attention(request.network.path)
    name = "vitpose" if corners else "hrnet"
    return _top_down(name, request, lambda outputs, size: decode.heatmaps(outputs[0][0], size, corners))


def has_attention(path: Path) -> bool:
    """Say whether the graph at ``path`` has a softmax, as ViTPose has and HRNet has not: their heatmaps look alike."""
    import onnx

    return any(node.op_type == "Softmax" for node in onnx.load(path, load_external_data=False).graph.node)


def _unit(picture: Picture) -> npt.NDArray[Any]:
    return picture.astype(np.float32) / np.float32(255)


def _blue_first(picture: Picture) -> npt.NDArray[Any]:
    return picture[..., ::-1]  # RTMO is trained on pictures as OpenCV reads them


def _as_it_is(picture: Picture) -> npt.NDArray[Any]:
    return picture


def _one_shot(name: str, prepare: Callable[[Picture], npt.NDArray[Any]], fill: int, decoder: Any) -> Any:
    return lambda request: OneShot(name, request.network, decoder, prepare, fill, request.people)


_GREY = 114  # beside the picture, in Ultralytics' and MMPose's pipelines
KINDS = (
    Kind("MoveNet", _is_movenet, _movenet),
    Kind(
        "MoveNet MultiPose",
        _is_movenet_people,
        _one_shot("movenet-multi", _as_it_is, 0, lambda out, size: decode.movenet_people(out[0][0], size)),
    ),
    Kind("RTMPose (SimCC)", _is_simcc, _simcc),
    Kind("HRNet or ViTPose (heatmaps)", _is_heatmap, _heatmap),
    Kind("YOLO-pose (v8, 11)", _is_yolo, _one_shot("yolo-pose", _unit, _GREY, lambda out, _: decode.yolo_rows(out[0][0]))),
    Kind(
        "YOLO-pose (26)",
        _is_yolo_people,
        _one_shot("yolo-pose", _unit, _GREY, lambda out, _: decode.yolo_people(out[0][0])),
    ),
    Kind("RTMO", _is_rtmo, _one_shot("rtmo", _blue_first, _GREY, lambda out, _: decode.rtmo(out[0][0], out[1][0]))),
)
