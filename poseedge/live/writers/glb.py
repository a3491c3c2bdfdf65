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
from poseedge.live.rig.limbs import RIG, Limbs, children_of, fit_limbs, rest_offset
from poseedge.live.types import Lifted
from poseedge.live.world import y_up
from poseedge.live.writers.common import WriterOptions, Written, people_seen
from poseedge.live.writers.gltf import Gltf
from poseedge.live.writers.steady import clip_motion

_COLOURS = ((0.13, 0.47, 0.71), (1.0, 0.5, 0.05), (0.17, 0.63, 0.17), (0.84, 0.15, 0.16), (0.58, 0.4, 0.74), (0.55, 0.34, 0.29))


def write(lifted: Lifted, path: Path, options: WriterOptions) -> Written:
    """Write one animation of all people; a person shrinks to nothing while nobody sees them.

    Limbs have a fixed length, and each person's node says in its extras how far that moved the joints; with
    ``options.exact`` the joints stay where they were lifted and the limbs change their length.
    """
    upright, document, notes, distances = y_up(lifted), Gltf(), [], {}
    document.extras = {"poseedge": upright.meta}
    times = document.times(lifted.times_s - lifted.times_s[0])
    for place, person in enumerate(people_seen(lifted)):
        motion = clip_motion(upright, person)
        limbs = fit_limbs(motion.poses_m, motion.seen, motion.fps, fixed=not options.exact)
        number = int(lifted.ids[person])
        distances[number] = limbs.distance_mm
        figure = _Figure(document, number, limbs, _COLOURS[place % len(_COLOURS)], options.exact)
        figure.animate(limbs, times)
        figure.hide(motion.seen, motion.times_s - motion.times_s[0])
        if not options.exact:
            notes.append(f"{path.name}: person {number}: limbs of fixed length, from the lifted joints {limbs.said}")
    if len(distances) > 1 and "root" not in lifted.meta:
        notes.append(f"{path.name}: all people stand in one place, for only a trajectory says where each is")
    with atomic_write(path) as temporary:
        temporary.write_bytes(document.packed())
    return Written((path,), tuple(notes), distances)


class _Figure:
    """The nodes of one person: a root that is shown or hidden, below it the rig, and beside it the skinned mesh."""

    def __init__(self, document: Gltf, number: int, limbs: Limbs, colour: tuple[float, float, float], exact: bool) -> None:
        self.document = document
        lengths = np.median(limbs.lengths_m, axis=0) if exact else limbs.lengths_m
        self.joints = [document.node(name=node.name) for node in RIG]
        for joint, node in zip(self.joints, RIG, strict=True):
            document.nodes[joint]["translation"] = rest_offset(node, lengths).tolist()
            if children := [self.joints[child] for child in children_of(node)]:
                document.nodes[joint]["children"] = children
        mean, p99 = limbs.distance_mm
        self.root = document.node(
            name=f"person {number}",
            children=[self.joints[0]],
            extras={"id": number, "exact": exact, "distance_mm": {"mean": round(mean, 3), "p99": round(p99, 3)}},
        )
        skin = document.skin(self.joints, -rest_places(lengths), self.root)
        mesh = document.mesh(f"person {number}", bone_mesh(lengths), colour)
        document.scene += [self.root, document.node(name=f"person {number} bones", mesh=mesh, skin=skin)]

    def animate(self, limbs: Limbs, times: int) -> None:
        """Turn every limb, move the pelvis, and stretch the limbs where their lengths change."""
        for number, node in enumerate(RIG):
            if node.parent < 0 or node.aims_at is not None or node.name == "Spine1":
                turns = np.roll(limbs.quaternions[number], -1, axis=1)  # glTF has w last
                self.document.channel(self.joints[number], "rotation", times, turns)
            if node.parent < 0:
                self.document.channel(self.joints[number], "translation", times, limbs.root_m)
            elif limbs.lengths_m.ndim == 2 and RIG[node.parent].joint != node.joint:
                self.document.channel(self.joints[number], "translation", times, rest_offset(node, limbs.lengths_m))

    def hide(self, seen: Any, times_s: Float64Array) -> None:
        """Give the person no size in the frames in which they are not seen."""
        if seen.all():
            return
        changes = np.flatnonzero(np.diff(seen, prepend=~seen[:1]))
        sizes = np.repeat(seen[changes, None].astype(np.float64), 3, axis=1)
        self.document.channel(self.root, "scale", self.document.times(times_s[changes]), sizes, steps=True)
