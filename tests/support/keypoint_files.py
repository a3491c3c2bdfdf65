"""Keypoint files as their programs write them; the source of each form stands with its writer.

Every writer takes, for each frame, the people in it as (id, keypoints (K, 2), scores (K,)), and the frames' numbers.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseedge.live.types import Clip, Track
from tests.support import motion
from tests.support.folders import as_object

Person = tuple[int, npt.NDArray[Any], npt.NDArray[Any]]
People = dict[int, list[Person]]  # by frame


def flat(person: Person) -> list[float]:
    return [float(value) for value in np.column_stack(person[1:]).ravel()]


def alphapose(path: Path, people: People, **extra: Any) -> Path:
    """AlphaPose alphapose/utils/pPose_nms.py write_json; pictures of a video are named by ``str(i) + '.jpg'``."""
    entries = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": flat(person), "score": 2.9, "idx": person[0]} | extra
        for frame, inside in people.items()
        for person in inside
    ]
    return dump(path / "alphapose-results.json", entries)


def alphapose_pictures(path: Path, people: People, form: str = "cmu") -> Path:
    """The same function with ``--format cmu`` or ``open``: pictures without people are absent here too."""
    bodies, joints = {"cmu": ("bodies", "joints"), "open": ("people", "pose_keypoints_2d")}[form]
    pictures = {
        f"{frame}.jpg": {"version": "AlphaPose v0.3", bodies: [{joints: flat(person)} for person in inside]}
        for frame, inside in people.items()
        if inside
    }
    return dump(path / "alphapose-results.json", pictures)


def openpose(path: Path, people: People, stem: str = "video") -> Path:
    """OpenPose doc/02_output.md; a file per frame, also for frames without people."""
    folder = path / "json"
    folder.mkdir()
    hands: dict[str, list[float]] = {f"{part}_keypoints_2d": [] for part in ("face", "hand_left", "hand_right")}
    for frame, inside in people.items():
        found = [{"person_id": [-1], "pose_keypoints_2d": flat(person), **hands} for person in inside]
        dump(folder / f"{stem}_{frame:012}_keypoints.json", {"version": 1.3, "people": found})
    return folder


def coco_results(path: Path, people: People) -> Path:
    """COCO's results format, https://cocodataset.org/#format-results, keypoint detection."""
    entries = [
        {"image_id": frame, "category_id": 1, "keypoints": flat(person), "score": 0.9}
        for frame, inside in people.items()
        for person in inside
    ]
    return dump(path / "results.json", entries)


def mmpose_instances(inside: list[Person]) -> list[dict[str, Any]]:
    """MMPose mmpose/structures/utils.py split_instances; the box stands in a tuple of one list."""
    return [
        {
            "keypoints": person[1].astype(float).tolist(),
            "keypoint_scores": person[2].astype(float).tolist(),
            "bbox": [[0.0, 1.0, 2.0, 3.0]],
            "bbox_score": 0.9,
        }
        for person in inside
    ]


def mmpose_video(path: Path, people: People) -> Path:
    """MMPose mmpose/apis/inferencers/base_mmpose_inferencer.py, visualize and postprocess of a video."""
    entries = [{"frame_id": frame, "instances": mmpose_instances(inside)} for frame, inside in people.items()]
    return dump(path / "video.json", entries)


def mmpose_demo(path: Path, people: People) -> Path:
    """MMPose demo/topdown_demo_with_mmdet.py with --save-predictions: tabs, meta_info before."""
    entries = [{"frame_id": frame, "instances": mmpose_instances(inside)} for frame, inside in people.items()]
    content = {"meta_info": {"dataset_name": "coco", "keypoint_id2name": {"0": "nose"}}, "instance_info": entries}
    (path / "results_video.json").write_text(json.dumps(content, indent="\t"))
    return path / "results_video.json"


def mmpose_pictures(path: Path, people: People) -> Path:
    """The inferencer on a folder of pictures: a list of instances each."""
    folder = path / "predictions"
    folder.mkdir()
    for frame, inside in people.items():
        dump(folder / f"{frame}.json", mmpose_instances(inside))
    return folder


def ultralytics_people(inside: list[Person], size: tuple[int, int] = (1, 1), ids: bool = True) -> list[dict[str, Any]]:
    """Ultralytics ultralytics/engine/results.py summary."""
    return [
        {"name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 0.0, "y1": 0.0, "x2": 1.0, "y2": 1.0}}
        | ({"track_id": person[0]} if ids else {})
        | {
            "keypoints": {
                "x": (person[1][:, 0].astype(float) / size[0]).tolist(),
                "y": (person[1][:, 1].astype(float) / size[1]).tolist(),
                "visible": person[2].astype(float).tolist(),
            }
        }
        for person in inside
    ]


def every_frame(people: People) -> list[list[Person]]:
    """Return the people of all frames from 0 on, as files without frame numbers need them."""
    return [people.get(frame, []) for frame in range(max(people) + 1)]


def ultralytics_list(path: Path, people: People) -> Path:
    """``[result.summary() for result in model.track(...)]``."""
    return dump(path / "results.json", [ultralytics_people(inside) for inside in every_frame(people)])


def ultralytics_strings(path: Path, people: People) -> Path:
    """``[result.to_json() for result in model(...)]``, without a tracker."""
    return dump(
        path / "results.json", [json.dumps(ultralytics_people(inside, ids=False), indent=2) for inside in every_frame(people)]
    )


def ultralytics_lines(path: Path, people: People) -> Path:
    """One ``to_json`` after the other."""
    lines = [json.dumps(ultralytics_people(inside)) for inside in every_frame(people)]
    (path / "results.jsonl").write_text("\n".join(lines))
    return path / "results.jsonl"


def ultralytics_folder(path: Path, people: People, size: tuple[int, int] = (1, 1)) -> Path:
    """A file of ``to_json`` for each picture."""
    folder = path / "frames"
    folder.mkdir()
    for frame, inside in people.items():
        dump(folder / f"clip2_{frame}.json", ultralytics_people(inside, size))
    return folder


def ultralytics_txt(path: Path, people: People, size: tuple[int, int], ids: bool = True, confidence: bool = True) -> Path:
    """The same file's save_txt: ``%g`` of everything, no file where nobody is, appended to what is there."""
    folder = path / "labels"
    folder.mkdir(exist_ok=True)
    for frame, inside in people.items():
        for person in inside:
            joints = np.column_stack([person[1].astype(float) / size, person[2]])
            row = [0, 0.5, 0.5, 0.2, 0.6, *joints.ravel(), *([0.9] if confidence else []), *([person[0]] if ids else [])]
            with (folder / f"walk2_{frame}.txt").open("a") as stream:
                stream.write(("%g " * len(row)).rstrip() % tuple(row) + "\n")
    return folder


def videopose3d_inferred(path: Path, people: People, size: tuple[int, int]) -> Path:
    """VideoPose3D inference/infer_video_d2.py: numpy made ``(T, 2)`` objects of its lists."""
    frames = every_frame(people)
    keypoints, boxes = np.empty((len(frames), 2), object), np.empty((len(frames), 2), object)
    for frame, inside in enumerate(frames):
        found = [np.concatenate([person[1].T, np.zeros((1, len(person[2]))), person[2][None]]) for person in inside]
        keypoints[frame] = [[], np.array(found, np.float32) if found else []]
        boxes[frame] = [[], np.zeros((len(inside), 5), np.float32) if inside else []]
    metadata = {"w": size[0], "h": size[1]}
    target, segments = path / "walk.mp4.npz", np.full(len(frames), None)
    np.savez_compressed(target, boxes=boxes, segments=segments, keypoints=keypoints, metadata=as_object(metadata))
    return target


def videopose3d_custom(path: Path, keypoints: npt.NDArray[Any], size: tuple[int, int], layout: str = "coco") -> Path:
    """VideoPose3D data/prepare_data_2d_custom.py: one person, every frame."""
    metadata = {
        "layout_name": layout,
        "num_joints": 17,
        "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
        "video_metadata": {"walk.mp4": {"w": size[0], "h": size[1]}},
    }
    target = path / "data_2d_custom_walk.npz"
    np.savez_compressed(target, positions_2d=as_object({"walk.mp4": {"custom": [keypoints]}}), metadata=as_object(metadata))
    return target


def jsonlines(path: Path, people: People, fps: float = 25) -> Path:
    """DESIGN of ``poseedge stream``; frames in any order."""
    lines = [
        {
            "frame": frame,
            "time": frame / fps,
            "people": [{"id": person[0], "keypoints": np.column_stack(person[1:]).astype(float).tolist()} for person in inside],
        }
        for frame, inside in people.items()
    ]
    (path / "stream.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[::2] + lines[1::2]))
    return path / "stream.jsonl"


def table(path: Path, people: People, delimiter: str = ",", names: Sequence[str] = ()) -> Path:
    """A spreadsheet's csv: numbered joints, or named."""
    joints = len(next(inside for inside in people.values() if inside)[0][1])
    columns = [f"{name}_{axis}" for name in names for axis in ("x", "y", "score")] if names else []
    columns = columns or [f"{axis}{joint}" for joint in range(joints) for axis in "xys"]
    rows = [
        [frame, person[0], *("" if np.isnan(value) else f"{value:.9g}" for value in np.column_stack(person[1:]).ravel())]
        for frame, inside in people.items()
        for person in inside
    ]
    with (path / "keypoints.csv").open("w", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([["frame", "id", *columns], *rows])
    return path / "keypoints.csv"


def array(path: Path, people: People) -> Path:
    """``(T, P, K, 3)``, nobody as zeros."""
    most = max(map(len, people.values()))
    joints = len(next(inside for inside in people.values() if inside)[0][1])
    values = np.zeros((len(people), most, joints, 3), np.float32)
    for row, inside in enumerate(people.values()):
        for number, person in enumerate(inside):
            values[row, number] = np.column_stack(person[1:])
    np.save(path / "keypoints.npy", values)
    return path / "keypoints.npy"


def array_with_frames(path: Path, people: People) -> Path:
    """The same as npz, with the frames beside and ids where all people are of one order."""
    values = np.load(array(path, people))
    np.savez_compressed(path / "keypoints.npz", keypoints=values[..., :2], scores=values[..., 2], frames=np.array(list(people)))
    return path / "keypoints.npz"


def dump(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def write(path: Path, text: str, name: str = "keypoints.json") -> Path:
    (path / name).write_text(text)
    return path / name


def saved(path: Path, array: Any) -> Path:
    np.save(path / "keypoints.npy", array)
    return path / "keypoints.npy"


def one_person(frames: int = 5, start: int = 0) -> People:
    """Return one person of the sample data, who has id 1."""
    return {start + row: [(1, motion.coco()[row], motion.scores()[row])] for row in range(frames)}


def only(clip: Clip) -> Track:
    """Return the one track of a clip."""
    (track,) = clip.tracks
    return track
