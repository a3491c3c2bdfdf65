"""What the page is told, as JSON; docs/demo.md lists it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from poseedge.live.drawing import Figure, distances_mm
from poseedge.live.page.angles import ANGLE_NAMES, joint_angles
from poseedge.live.types import Floats
from poseedge.skeleton import BONES, JOINT_NAMES, LEFT, RIGHT

_DIGITS = 4  # of metres
END = json.dumps({"type": "end"})


def hello(title: str, source: str, live: bool, against: str | None = None) -> str:
    """Return the first message: what the numbers of all others mean; ``against`` is the title of another network."""
    return json.dumps(
        {
            "type": "hello",
            "title": title,
            "source": source,
            "live": live,
            "joints": JOINT_NAMES,
            "bones": BONES,
            "left": LEFT,
            "right": RIGHT,
            "angles": ANGLE_NAMES,
            "against": against,
        }
    )


def frame_message(frame: int, time_s: float, figures: Sequence[Figure], **more: Any) -> str:
    """Return the message of a frame; ``figures`` stand on the floor, ``more`` are further fields."""
    return json.dumps({"type": "frame", "frame": frame, "time": round(time_s, 4), "people": posed_people(figures), **more})


def posed_people(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Return those of ``figures`` that have a pose."""
    return [
        {
            "id": figure.id,
            "joints_m": rounded(figure.pose_m),
            "faint": figure.faint.tolist(),
            "angles_deg": [round(angle, 1) if np.isfinite(angle) else None for angle in joint_angles(figure.pose_m).tolist()],
            **against(figure.pose_m, figure.against_m),
        }
        for figure in figures
        if figure.pose_m is not None
    ]


def against(pose_m: Floats, other_m: Floats | None) -> dict[str, Any]:
    """Return what is said of another network's pose, if there is one."""
    if other_m is None:
        return {}
    return {"against": {"joints_m": rounded(other_m), "distance_mm": round(float(distances_mm(pose_m, other_m)), 2)}}


def rounded(pose_m: Floats) -> list[list[float]]:
    """Return a pose as it is sent."""
    joints: list[list[float]] = np.round(pose_m.astype(float), _DIGITS).tolist()
    return joints
