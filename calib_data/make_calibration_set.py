"""Cut ``mocap17-calib`` out of ``mocap17``: short clips of every kind of motion of the training subjects, one camera each.

    python calib_data/make_calibration_set.py path/to/mocap17 calib_data/mocap17-calib

Values are copied unchanged; the same input gives the same files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.data.npz import read_npz

NAME = "mocap17-calib"
FRAMES = 250  # of each clip, from its middle
TAKES = 3  # of each kind of motion and subject


def main(source: Path, target: Path) -> None:
    """Write the data set ``target``."""
    positions = read_npz(source / "data_3d_mocap17.npz")["positions_3d"]
    rig = json.loads((source / "cameras_mocap17.json").read_text())
    chosen = {subject: spread(sorted(positions[subject])) for subject in rig["train"]}
    target.mkdir(parents=True, exist_ok=True)
    motion = {s: {a: middle(positions[s][a]) for a in actions} for s, actions in chosen.items()}
    np.savez_compressed(target / f"data_3d_{NAME}.npz", positions_3d=boxed(motion))
    for kind in ("gt", "detected"):
        content = read_npz(source / f"data_2d_mocap17_{kind}.npz")
        tracks = {
            s: {a: [middle(content["positions_2d"][s][a][camera % 4])] for a in actions}
            for camera, (s, actions) in enumerate(chosen.items())
        }
        np.savez_compressed(
            target / f"data_2d_{NAME}_{kind}.npz", positions_2d=boxed(tracks), metadata=boxed(content["metadata"])
        )
    cameras = {s: [rig["cameras"][s][camera % 4]] for camera, s in enumerate(chosen)}
    facts = {"name": NAME, "fps": rig["fps"], "train": rig["train"], "test": [], "cameras": cameras, "origin": rig["origin"]}
    (target / f"cameras_{NAME}.json").write_text(json.dumps(facts, indent=1) + "\n")


def spread(actions: list[str]) -> list[str]:
    """Return up to ``TAKES`` evenly spaced takes of each kind of motion."""
    kinds = dict.fromkeys(action.split(" ")[0] for action in actions)
    takes = {kind: [action for action in actions if action.split(" ")[0] == kind] for kind in kinds}
    return [found[i] for found in takes.values() for i in sorted({int(x) for x in np.linspace(0, len(found) - 1, TAKES)})]


def middle(sequence: Any) -> Any:
    """Return the middle ``FRAMES`` frames, Fortran-ordered, which compresses better."""
    start = max(0, (len(sequence) - FRAMES) // 2)
    return np.asfortranarray(sequence[start : start + FRAMES])


def boxed(value: Any) -> Any:
    """Wrap a dictionary as VideoPose3D stores it: a zero-dimensional object array."""
    box = np.empty((), dtype=object)
    box[()] = value
    return box


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
