"""A small data set cut out of a large one for calibration: short clips of every kind of motion, cameras in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import AnyArray
from poseedge.data.h36m import available_keypoints, dataset_name, layout_member, load_dataset, rig_path
from poseedge.data.mistakes import warnings_of
from poseedge.data.mpi_inf_3dhp import is_3dhp
from poseedge.data.rig import read_rig
from poseedge.data.types import PoseDataset
from poseedge.data.writer import write_dataset
from poseedge.errors import DataError
from poseedge.progress import Stage, silent

Cuts = dict[str, dict[str, slice]]  # the frames that are taken, by subject and action
FRAMES, TAKES = 250, 3  # of each clip; of each kind of motion and subject


def cut_calibration_set(
    source: Path,
    target: Path,
    name: str,
    frames: int = FRAMES,
    takes: int = TAKES,
    seed: int | None = None,
    stage: Stage = silent,
    warn: Callable[[list[str]], None] = lambda _: None,
) -> dict[str, Any]:
    """Write data set ``name`` to ``target``; return what was written.

    ``warn`` is told what cannot be right about the data, and if its frame rate is not the usual one of networks.

    Of each training subject and each kind of motion up to ``takes`` clips of at most ``frames`` frames, values
    unchanged. Cameras take turns over the subjects, each subject as many as it takes to use all. Without ``seed`` clips
    are spread evenly over a kind's takes and cut from their middle, with it both are drawn. All kinds of keypoints are
    taken along.
    """
    if is_3dhp(source):
        raise DataError(f"{source}: MPI-INF-3DHP comes without cameras", "calibrate with --calib on another data set")
    of = dataset_name(source)
    checked = read_all_keypoints(source, stage)
    kinds = list(checked)
    subjects = next(iter(checked.values())).train
    warn(next(filter(None, (warnings_of(dataset, frames) for dataset in checked.values())), []))
    rig, random = read_rig(rig_path(source, of)), np.random.default_rng(seed) if seed is not None else None
    positions = layout_member(source / f"data_3d_{of}.npz", "positions_3d")
    cuts = {
        s: {a: cut_frames(len(positions[s][a]), frames, random) for a in chosen_actions(positions[s], takes, random)}
        for s in subjects
    }
    cameras = {s: turns(len(rig.cameras[s]), number, len(cuts)) for number, s in enumerate(cuts)}
    motion = {s: {a: stored(positions[s][a][part]) for a, part in clips.items()} for s, clips in cuts.items()}
    tracks = {kind: cut_tracks(source / f"data_2d_{of}_{kind}.npz", cuts, cameras) for kind in kinds}
    facts = {
        "name": name,
        "fps": rig.fps,
        "train": list(cuts),
        "test": [],
        "cameras": {s: [rig.entries[s][c] for c in own] for s, own in cameras.items()},
        "origin": rig.origin or f"excerpt of {of}",
    }
    write_dataset(target, name, motion, tracks, facts)
    ids = {s: [rig.cameras[s][c].id for c in own] for s, own in cameras.items()}
    return {"folder": str(target), "name": name, "keypoints": kinds, **counts(cuts, ids), "seed": seed}


def read_all_keypoints(source: Path, stage: Stage) -> dict[str, PoseDataset]:
    """Return the data set by kind of keypoints; raises ``DataError`` for what is wrong before anything is cut."""
    found, kinds = {}, available_keypoints(source)
    with stage("read keypoints", len(kinds)) as advance:
        for kind in kinds:
            found[kind] = load_dataset(source, kind)
            advance(1)
    if not found or not found[kinds[0]].train:
        lacking = "training subjects" if found else "2D keypoints"
        raise DataError(f"{source}: no {lacking}", "poseedge data check says more")
    return found


def cut_tracks(path: Path, cuts: Cuts, cameras: dict[str, list[int]]) -> dict[str, dict[str, list[AnyArray]]]:
    """Return the clips of a file of keypoints by subject and action, as the chosen cameras see them."""
    views = layout_member(path, "positions_2d")
    return {s: {a: [stored(views[s][a][c][part]) for c in cameras[s]] for a, part in clips.items()} for s, clips in cuts.items()}


def counts(cuts: Cuts, cameras: dict[str, list[str]]) -> dict[str, Any]:
    """Return what was cut, in numbers; ``cameras``: the names of each subject's."""
    clips = [(s, a, part) for s, actions in cuts.items() for a, part in actions.items()]
    return {
        "subjects": list(cuts),
        "clips": len(clips),
        "frames": sum(part.stop - part.start for _, _, part in clips),  # of motion, cameras not counted
        "by_action": Counter(a.split(" ")[0] for _, a, _ in clips),
        "by_camera": Counter(camera for s, _, _ in clips for camera in cameras[s]),
    }


def chosen_actions(actions: dict[str, Any], takes: int, random: np.random.Generator | None) -> list[str]:
    """Return up to ``takes`` actions of each kind of motion, evenly spaced or drawn."""
    kinds: dict[str, list[str]] = {}
    for action in sorted(actions):
        kinds.setdefault(action.split(" ")[0], []).append(action)
    return [found[i] for found in kinds.values() for i in spread(len(found), takes, random)]


def spread(count: int, takes: int, random: np.random.Generator | None) -> list[int]:
    """Return up to ``takes`` of ``count`` numbers, ascending."""
    if random is None:
        return sorted({int(x) for x in np.linspace(0, count - 1, takes)})
    return sorted(int(i) for i in random.choice(count, min(takes, count), replace=False))


def turns(cameras: int, number: int, subjects: int) -> list[int]:
    """Return the cameras that see subject ``number`` of ``subjects``: together they see through all."""
    share = -(-cameras // subjects)
    return [(number * share + i) % cameras for i in range(share)]


def cut_frames(length: int, frames: int, random: np.random.Generator | None) -> slice:
    """Return which frames of a clip are taken: the middle ones, or from a drawn start."""
    room = max(0, length - frames)
    start = room // 2 if random is None else int(random.integers(room + 1))
    return slice(start, min(start + frames, length))


def stored(array: AnyArray) -> AnyArray:
    """Return a part as files hold it: Fortran-ordered, which compresses better."""
    return np.asfortranarray(array)
