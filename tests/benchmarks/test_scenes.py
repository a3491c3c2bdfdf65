"""Scenes are the motion they are made of, as another camera or detector would give it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.live_gap import cases, markdown
from benchmarks.scenes import (
    ARM,
    FULL_HD,
    Stand,
    at_rate,
    missing,
    photographed,
    pixels,
    scene,
    seen_from,
    swapped,
    unspoilt,
    with_face,
    zoomed,
)
from poseedge.data.cameras import camera_to_world
from poseedge.skeleton import MIRROR
from tests.support import recorded


@pytest.mark.parametrize("elevation", [-15, 0, 30])
def test_camera_stands_where_it_should(elevation: float) -> None:
    sequence = recorded.sequences()[20]
    joints = seen_from(sequence, Stand(elevation_deg=elevation, distance_m=4))
    middle = joints.mean(axis=(0, 1))
    np.testing.assert_allclose(middle, [0, 0, 4], atol=1e-6)  # it aims at the person
    world = camera_to_world(sequence.joints_m.astype(np.float64), sequence.camera)
    up = np.linalg.lstsq((world - world.mean(axis=(0, 1))).reshape(-1, 3), (joints - middle).reshape(-1, 3), rcond=None)[0][2]
    np.testing.assert_allclose(up, [0, -np.cos(np.radians(elevation)), -np.sin(np.radians(elevation))], atol=1e-6)


def test_person_aside_stands_on_the_left_and_below() -> None:
    stand = Stand(size=FULL_HD, aside_deg=10, below_deg=5)
    px = photographed(seen_from(recorded.sequences()[20], stand), stand).mean(axis=(0, 1))
    assert px[0] < FULL_HD[0] / 2 - 100
    assert px[1] > FULL_HD[1] / 2 + 50


def test_resampling_keeps_the_frames_that_both_rates_have() -> None:
    joints = seen_from(recorded.sequences()[20], Stand())
    np.testing.assert_allclose(at_rate(joints, 100)[::2], joints, atol=1e-9)
    np.testing.assert_allclose(at_rate(joints, 25), joints[: 2 * len(at_rate(joints, 25)) : 2], atol=1e-9)


def test_zoomed_person_has_the_size_that_was_asked_for() -> None:
    whole = scene(recorded.sequences()[20], Stand())
    tall, small = (np.ptp(pixels(each)[..., 1], axis=1).mean() for each in (whole, zoomed(whole, 11)))
    assert small == pytest.approx(tall / 3, rel=1e-4)


def test_faults_are_where_they_are_scored_and_nowhere_else() -> None:
    whole = scene(recorded.sequences()[20], Stand())
    gap, swap = missing(whole, ARM, 10), swapped(whole, 3)
    assert gap.scored is not None
    assert np.isnan(pixels(gap)[gap.scored][:, list(ARM)]).all()
    assert np.isnan(pixels(gap)).any(axis=(1, 2)).sum() == gap.scored.sum()
    assert gap.scored.sum() % 10 == 0
    np.testing.assert_array_equal(unspoilt(whole, 10).scored, gap.scored)
    np.testing.assert_array_equal(pixels(unspoilt(whole, 10)), pixels(whole))
    np.testing.assert_array_equal(pixels(swap)[swap.scored], pixels(whole)[swap.scored][:, MIRROR])


def test_scene_says_how_near_to_the_camera_people_come() -> None:
    sequence = recorded.sequences()[20]
    far, near = (scene(sequence, Stand(distance_m=distance)).nearest_m for distance in (5.2, 0.5))
    assert 3 < far < 5.2
    assert near < 0.5


def test_face_sits_on_the_head_and_looks_forward() -> None:
    sequence = recorded.sequences()[20]
    coco, joints = with_face(sequence, Stand()), scene(sequence, Stand())
    neck, head = pixels(joints)[:, 9], pixels(joints)[:, 10]
    ears = pixels(coco)[:, 3:5].mean(axis=1)
    assert (np.linalg.norm(ears - (neck + head) / 2, axis=-1) < 1.2 * np.linalg.norm(head - neck, axis=-1)).all()
    np.testing.assert_array_equal(pixels(coco)[:, 5], pixels(joints)[:, 11])  # the left shoulder


def test_tables_have_a_row_for_every_case() -> None:
    sections: dict[str, list[dict[str, object]]] = {}
    for case in cases():
        for way in case.ways:
            row = {"name": case.name, "way": way, "frames": 9, "mm": {"int8": [3.0, 2.0, 1.0]}}
            sections.setdefault(case.section, []).append(row)
    table = markdown({"weights": None, "data": "d", "every": 1, "frames_of_a_clip": 9, "sections": sections})
    assert all(f"| {case.name} | " in table for case in cases())
