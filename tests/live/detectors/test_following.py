"""People are followed from picture to picture, kept apart, and searched for when they are lost."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from poseedge.live.detectors.cut import cut, whole
from poseedge.live.detectors.following import SEARCH_EVERY, Following, parts_of
from poseedge.live.detectors.person import Box, Person, Picture, box_around, overlap, person_of, similarity

RGB: Picture = np.zeros((480, 640, 3), np.uint8)
PARTS = [part for parts in parts_of(RGB) for part in parts]


def someone(x: float, score: float = 0.9) -> Person:
    joints = np.stack([np.linspace(x, x + 60, 17), np.linspace(100, 300, 17)], axis=1)
    return person_of(joints, np.full(17, score))


@dataclass
class Scene:
    """Who stands where; people are found in regions that hold them."""

    places: list[float]
    looked: list[Box] = field(default_factory=list)

    def again(self, rgb: Picture, person: Person) -> Person | None:
        near = [place for place in self.places if abs(place - person.box[0]) < 100]
        return someone(min(near, key=lambda place: abs(place - person.box[0]))) if near else None

    def find(self, rgb: Picture, region: Box) -> Person | None:
        self.looked.append(region)
        inside = [place for place in self.places if region[0] <= place and place + 60 <= region[0] + region[2]]
        return someone(inside[0]) if inside and region[3] >= 200 else None


def test_person_is_followed_without_searching_again() -> None:
    scene = Scene([50.0])
    following = Following(1, scene.again, scene.find)
    for x in (50.0, 60.0, 70.0):
        scene.places = [x]
        (person,) = following.step(RGB)
        assert person.box[0] == x
    assert scene.looked == [whole(RGB), *parts_of(RGB)[0]]  # of the first picture


def test_second_person_is_found_in_a_part_and_both_keep_their_order() -> None:
    scene = Scene([50.0, 500.0])
    following = Following(2, scene.again, scene.find)
    counts = [len(following.step(RGB)) for _ in range(len(PARTS) * SEARCH_EVERY)]
    assert counts[0] >= 1
    assert counts[-1] == 2
    assert [person.box[0] for person in following.step(RGB)] == [50.0, 500.0]


def test_two_followed_people_never_become_one() -> None:
    scene = Scene([50.0, 500.0])
    following = Following(2, scene.again, scene.find)
    while len(following.step(RGB)) < 2:
        pass
    scene.places = [275.0]  # both lost but one, who stands between
    assert len(following.step(RGB)) <= 1


def test_of_more_people_than_wanted_the_largest_are_followed() -> None:
    joints = someone(50).keypoints
    small, large = person_of(joints / 2, np.full(17, 0.9)), person_of(joints + 200, np.full(17, 0.9))
    finds = iter([small, large])
    following = Following(1, lambda rgb, person: person, lambda rgb, region: next(finds, None))
    assert following.step(RGB) == (large,)
    assert following.step(RGB) == (large,)


def test_person_who_left_is_given_up_and_the_next_is_found_elsewhere() -> None:
    scene = Scene([50.0])
    following = Following(1, scene.again, scene.find)
    following.step(RGB)
    scene.places = []
    assert [following.step(RGB) for _ in range(90)] == [()] * 90
    scene.places = [500.0]
    (person,) = following.step(RGB)
    assert person.box[0] == 500.0


def test_search_in_a_video_costs_two_looks_a_picture_and_covers_all_parts_in_turn() -> None:
    scene = Scene([])
    following = Following(1, scene.again, scene.find)
    following.step(RGB)
    scene.looked.clear()
    for _ in PARTS:
        following.step(RGB)
    assert len(scene.looked) == 2 * len(PARTS)
    assert set(scene.looked) == {whole(RGB), *PARTS}


def test_pictures_on_their_own_are_searched_whole_each() -> None:
    scene = Scene([])
    following = Following(1, scene.again, scene.find, thorough=True)
    following.step(RGB)
    assert scene.looked == [whole(RGB), *PARTS]


def test_parts_cover_every_pixel_of_any_shape() -> None:
    for width, height in ((640, 480), (480, 640), (1920, 200), (300, 300)):
        seen = np.zeros((height, width), bool)
        for parts in parts_of(np.zeros((height, width, 3), np.uint8)):
            for left, top, wide, high in parts:
                seen[round(top) : round(top + high), round(left) : round(left + wide)] = True
        assert seen.all()


def test_similarity_is_one_with_oneself_and_none_far_away() -> None:
    assert similarity(someone(50), someone(50)) == 1
    assert similarity(someone(50), someone(400)) < 1e-6
    assert similarity(someone(50), someone(54)) > 0.5


def test_similarity_of_people_without_a_sure_joint_is_the_overlap_of_their_boxes() -> None:
    one, other = someone(50, score=0.1), someone(80, score=0.1)
    assert similarity(one, other) == overlap(one.box, np.array([other.box]))[0]
    assert np.isclose(similarity(one, other), 30 / 90)


def test_box_of_nothing_is_empty() -> None:
    assert box_around(np.zeros((0, 2))) == (0, 0, 0, 0)


def test_cut_takes_points_back_exactly_also_beyond_the_edges() -> None:
    rgb = np.zeros((100, 200, 3), np.uint8)
    rgb[40:60, 150:170] = 255
    part, placement = cut(rgb, (120.0, -10.0, 100.0, 100.0), (50, 50), fill=7)
    rows, columns = np.nonzero(part[..., 0] == 255)
    edges = np.array([(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)])
    np.testing.assert_allclose(placement.from_edges(edges), [(150, 40), (170, 60)])
    np.testing.assert_allclose(placement.from_centres(edges - 0.5), [(149.5, 39.5), (169.5, 59.5)])
    assert (part[:5] == 7).all()  # above the picture
    assert (part[:, 40:] == 7).all()  # right of it


def test_cut_of_a_region_outside_the_picture_is_empty() -> None:
    part, _ = cut(np.full((100, 200, 3), 9, np.uint8), (500.0, 0.0, 50.0, 50.0), (64, 64))
    assert not part.any()
