"""``.glb``: everybody in one binary glTF 2.0 file, each a skinned skeleton with thin bones, y up, metres.

A skin makes Blender and game engines see an armature, not a heap of empty objects. Keys stand at the clip's own times, counted
from its first frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poseedge.arrays import Float64Array
from poseedge.files import atomic_write
from poseedge.live.rig.bones import bone_mesh, rest_places
from poseedge.live.rig.limbs import RIG, LimbFit, children_of, rest_offset
from poseedge.live.types import Lifted
from poseedge.live.world import to_y_up
from poseedge.live.writers.common import WriterOptions, Written, people_seen
from poseedge.live.writers.gltf import Gltf
from poseedge.live.writers.steady import clip_motion

_COLOURS = ((0.13, 0.47, 0.71), (1.0, 0.5, 0.05), (0.17, 0.63, 0.17), (0.84, 0.15, 0.16), (0.58, 0.4, 0.74), (0.55, 0.34, 0.29))


def write(lifted: Lifted, path: Path, options: WriterOptions) -> Written:
    """Write one animation of all people; a person shrinks to nothing while nobody sees them.

    Limbs have a fixed length, and each person's node says in its extras how far that moved the joints; with
    ``options.exact`` the joints stay where they were lifted and the limbs change their length.
    """
    turn, document, notes, distances = to_y_up(lifted), Gltf(), [], {}
    document.extras = {"poseedge": {**lifted.meta, "axes": "y up"}}
    times = document.times(lifted.times_s - lifted.times_s[0])
    for place, person in enumerate(people_seen(lifted)):
        motion = clip_motion(lifted, person, turn)
        fit = LimbFit(motion.rows, motion.seen, motion.fps, fixed=not options.exact)
        number = int(lifted.ids[person])
        figure = _Figure(document, number, fit.medians_m, _COLOURS[place % len(_COLOURS)])
        figure.animate(fit, times, len(motion.seen))
        figure.say(options.exact, fit.distance_mm)
        figure.hide(motion.seen, motion.times_s - motion.times_s[0])
        distances[number] = fit.distance_mm
        if not options.exact:
            notes.append(f"{path.name}: person {number}: limbs of fixed length, from the lifted joints {fit.said}")
    if len(distances) > 1 and "root" not in lifted.meta:
        notes.append(f"{path.name}: all people stand in one place, for only a trajectory says where each is")
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        document.write(stream)
    return Written((path,), tuple(notes), distances)


class _Figure:
    """The nodes of one person: a root that is shown or hidden, below it the rig, and beside it the skinned mesh."""

    def __init__(self, document: Gltf, number: int, lengths_m: Float64Array, colour: tuple[float, float, float]) -> None:
        self.document, self.number = document, number
        self.joints = [document.node(name=node.name) for node in RIG]
        for joint, node in zip(self.joints, RIG, strict=True):
            document.nodes[joint]["translation"] = rest_offset(node, lengths_m).tolist()
            if children := [self.joints[child] for child in children_of(node)]:
                document.nodes[joint]["children"] = children
        self.root = document.node(name=f"person {number}", children=[self.joints[0]])
        skin = document.skin(self.joints, -rest_places(lengths_m), self.root)
        mesh = document.mesh(f"person {number}", bone_mesh(lengths_m), colour)
        document.scene += [self.root, document.node(name=f"person {number} bones", mesh=mesh, skin=skin)]

    def say(self, exact: bool, distance_mm: tuple[float, float]) -> None:
        """Write down how far the joints are from those that were lifted."""
        mean, p99 = distance_mm
        said = {"id": self.number, "exact": exact, "distance_mm": {"mean": round(mean, 3), "p99": round(p99, 3)}}
        self.document.nodes[self.root]["extras"] = said

    def animate(self, fit: LimbFit, times: int, frames: int) -> None:
        """Turn every limb, move the pelvis, and stretch the limbs where their lengths change."""
        turned = [n for n, node in enumerate(RIG) if node.parent < 0 or node.aims_at is not None or node.name == "Spine1"]
        moved = [n for n, node in enumerate(RIG) if node.parent < 0 or (not fit.fixed and RIG[node.parent].joint != node.joint)]
        turns, places = (np.empty((len(nodes), frames, width), np.float32) for nodes, width in ((turned, 4), (moved, 3)))
        start = 0
        for limbs in fit.blocks():
            part = slice(start, start + len(limbs.root_m))
            turns[:, part] = np.roll(limbs.quaternions[turned], -1, axis=2)  # glTF has w last
            for row, number in enumerate(moved):
                places[row, part] = rest_offset(RIG[number], limbs.lengths_m) if number else limbs.root_m
            start = part.stop
        for number, joint in enumerate(self.joints):
            if number in turned:
                self.document.channel(joint, "rotation", times, turns[turned.index(number)])
            if number in moved:
                self.document.channel(joint, "translation", times, places[moved.index(number)])

    def hide(self, seen: Any, times_s: Float64Array) -> None:
        """Give the person no size in the frames in which they are not seen."""
        if seen.all():
            return
        changes = np.flatnonzero(np.diff(seen, prepend=~seen[:1]))
        sizes = np.repeat(seen[changes, None].astype(np.float64), 3, axis=1)
        self.document.channel(self.root, "scale", self.document.times(times_s[changes]), sizes, steps=True)
