"""What lifting a clip came to, in words and numbers."""

from __future__ import annotations

from typing import Any

from poseedge.live.types import Lifted
from poseedge.skeleton import JOINT_NAMES

_LEGS = {"right_knee", "right_ankle", "left_knee", "left_ankle"}


def summary(lifted: Lifted) -> dict[str, Any]:
    """Return counts by person, for programs: frames with a pose, joints filled in or thrown out, and what was lacking."""
    people = []
    for place, number in enumerate(lifted.ids.tolist()):
        seen, filled = lifted.seen[place], lifted.filled[place]
        by_joint = dict(zip(JOINT_NAMES, filled[seen].sum(axis=0).tolist(), strict=True))
        people.append(
            {
                "id": number,
                "frames": int(seen.sum()),
                "first": int(lifted.frames[seen][0]) if seen.any() else None,
                "last": int(lifted.frames[seen][-1]) if seen.any() else None,
                "filled": int(filled[seen].sum()),
                "filled_by_joint": {name: count for name, count in by_joint.items() if count},
                **lifted.meta["faults"][str(number)],
            }
        )
    how = {key: value for key, value in lifted.meta.items() if key != "faults"}
    return {"frames": len(lifted.frames), "people": people, **how}


def remarks(found: dict[str, Any]) -> list[str]:
    """Return what a reader of ``summary`` should know, a sentence each."""
    said = []
    if found.get("scaled"):
        said.append("coordinates lie between 0 and 1: taken for fractions of the picture's sides ({}x{})".format(*found["size"]))
    for person in found["people"]:
        if lacking := person["lacking"]:
            names = ", ".join(name for name, _ in sorted(lacking.items(), key=lambda item: -item[1]))
            legs = ": legs out of the picture are not guessed" if set(lacking) <= _LEGS else ""
            said.append(f"person {person['id']}: no pose in up to {max(lacking.values())} frames without {names}{legs}")
        if held := person["held"]:
            names = ", ".join(f"{name} ({count} frames)" for name, count in sorted(held.items(), key=lambda item: -item[1]))
            said.append(f"person {person['id']}: held in place while not seen for over a second, or not yet: {names}")
        if person["frames"] > 2 and person["ended"] + 1 >= person["frames"] / 2:
            said.append(
                f"person {person['id']}: {person['ended'] + 1} tracks for {person['frames']} poses: "
                f"frames stand more than a second apart; are their numbers right, and {found['fps']:g} frames per second?"
            )
        if person["swapped"]:
            said.append(f"person {person['id']}: left and right exchanged back in {person['swapped']} pairs of joints")
        if person["jumped"]:
            said.append(f"person {person['id']}: {person['jumped']} joints thrown out that jumped beyond reason")
    if found["height_m"] is None:
        said.append("the size in metres is a guess from one camera: --height 1.75 sets it")
    if found.get("root") == "estimated trajectory":
        said.append("where people are is an estimate, as right as their size and the focal length")
    if (stand := found.get("floor")) and stand["pitch_from"] != "given":
        said.append(
            f"the camera looks down by {stand['pitch_deg']:.1f} degrees, told from {stand['upright_frames']} upright frames"
        )
    elif found["view"] == "person" and found["camera_pitch_deg"] is None:
        said.append("the camera is taken to look level: --camera-pitch corrects a lean")
    return said


def why_empty(lifted: Lifted) -> str:
    """Say why a clip has no pose at all."""
    if not len(lifted.ids):
        return "nobody was found in it"
    lacking = {name: 0 for name in JOINT_NAMES}
    for faults in lifted.meta["faults"].values():
        for name, count in faults["lacking"].items():
            lacking[name] = max(lacking[name], count)
    names = [name for name, count in lacking.items() if count and count >= 0.5 * max(lacking.values())]
    return f"never seen together with the rest: {', '.join(names)}" if names else "no joint was sure enough"
