"""MPI-INF-3DHP in the layouts of GraphMLP and P-STMO, written here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.data.h36m import load_dataset
from tests.support.folders import MINI, as_object

FRAMES = {"TS1": 12, "TS5": 9, "S1": 10}
ARM, LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
ANNOTATION = [
    *("head_top", "neck"),
    *(f"{side}_{joint}" for limb in (ARM, LEG) for side in ("right", "left") for joint in limb),
    *("pelvis", "spine", "head"),
]
HUMAN36M = [
    "pelvis",
    *(f"{side}_{joint}" for side in ("right", "left") for joint in LEG),
    *("spine", "neck", "head", "head_top"),
    *(f"{side}_{joint}" for side in ("left", "right") for joint in ARM),
]


def motion(subject: str) -> tuple[Any, Any]:
    """Return recorded joints (metres) and made-up pixels of a subject, in the order of Human3.6M."""
    frames = FRAMES[subject]
    recorded = load_dataset(MINI).sequences[len(subject) + frames]
    pixels = np.random.default_rng(frames).uniform(100, 900, (frames, 17, 2))
    return recorded.joints_m[:frames].copy(), pixels.astype(np.float32)


def by_camera(folder: Path) -> Path:
    """Write the form of GraphMLP: two cameras for training, one for each test sequence."""
    poses, tracks = ({s: {"Seq1": [motion(s)[k]] * (2 if s == "S1" else 1)} for s in FRAMES} for k in (0, 1))
    np.savez(folder / "data_3d_3dhp.npz", positions_3d=as_object(poses))
    np.savez(folder / "data_2d_3dhp.npz", positions_2d=as_object(tracks))
    return folder


def by_sequence(folder: Path, bend: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    """Write the form of P-STMO, ``bend`` applied to the test file's content."""
    order = [HUMAN36M.index(name) for name in ANNOTATION]

    def stored(subject: str) -> dict[str, Any]:
        joints, pixels = motion(subject)
        return {"data_3d": joints[:, order] * 1000, "data_2d": pixels[:, order]}

    test = {s: stored(s) | {"valid": (np.arange(FRAMES[s]) % 2).astype(np.float64)} for s in ("TS1", "TS5")}
    bend(test)
    np.savez(folder / "data_test_3dhp.npz", data=as_object(test))
    np.savez(folder / "data_train_3dhp.npz", data=as_object({"S1 Seq1": [{"0": stored("S1"), "1": stored("S1")}]}))
    return folder
