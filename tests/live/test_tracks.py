"""People keep their ids over time, whatever order a detector names them in."""

from __future__ import annotations

from collections.abc import Set
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poseedge.errors import DataError
from poseedge.live.tracks import Linker, best_pairs, link, person_size, select
from poseedge.live.types import Clip, Track
from tests.support import motion

FRAMES = motion.FRAMES
ONES = np.ones((1, 17), np.float32)


def crossing() -> list[npt.NDArray[Any]]:
    """Return three people ``(30, 17, 2)`` of whom the first two walk through each other in the picture."""
    way = np.linspace(-1, 1, FRAMES)[:, None, None] * np.array([120.0, 0.0])
    middle = [motion.coco(clip) - motion.coco(clip).mean(axis=(0, 1)) + 500 for clip in range(3)]
    return [np.asarray(person, np.float32) for person in (middle[0] + way, middle[1] - way, middle[2] + [0, 180])]


def linked(people: list[npt.NDArray[Any]], absent: Set[tuple[int, int]] = frozenset()) -> list[set[int]]:
    """Return the ids that each person gets, people of each frame in another order; ``absent``: (frame, person)."""
    random, linker = np.random.default_rng(3), Linker(patience=10)
    ids: list[set[int]] = [set() for _ in people]
    for frame in range(FRAMES):
        inside = [int(who) for who in random.permutation(len(people)) if (frame, int(who)) not in absent]
        found = linker.push(frame, np.array([people[who][frame] for who in inside]).reshape(-1, 17, 2))
        assert len(set(found)) == len(inside)
        for who, id in zip(inside, found, strict=True):
            ids[who].add(id)
    return ids


def test_people_who_walk_through_each_other_keep_their_ids() -> None:
    assert sorted(map(sorted, linked(crossing()))) == [[1], [2], [3]]


def greatest_sum(worth: npt.NDArray[Any]) -> float:
    """Try all ways to pair rows with columns."""
    if worth.shape[0] > worth.shape[1]:
        worth = worth.T
    rows = range(len(worth))
    return float(max(worth[rows, list(columns)].sum() for columns in permutations(range(worth.shape[1]), len(worth))))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 2), (3, 3), (5, 5), (6, 4), (2, 7)])
def test_pairs_are_the_best_of_all_that_there_are(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(sum(shape))
    for share in (0.0, 0.3, 0.8, 1.0):
        for _ in range(40):
            worth = np.where(random.random(shape) < share, 0.0, random.random(shape))
            worth[random.random(shape) < 0.2] = 0.5  # equal ones
            pairs = best_pairs(worth)
            assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
            assert all(worth[pair] > 0 for pair in pairs)
            assert sum(worth[pair] for pair in pairs) == pytest.approx(greatest_sum(worth))


def test_nobody_makes_no_pairs() -> None:
    assert best_pairs(np.zeros((0, 3))) == best_pairs(np.zeros((3, 0))) == best_pairs(np.zeros((2, 3))) == []


def test_many_people_are_paired_at_once() -> None:
    random = np.random.default_rng(1)
    order = random.permutation(60)
    worth = random.random((60, 80)) * 0.5
    worth[np.arange(60), order] = 0.9
    assert best_pairs(worth) == [(row, int(column)) for row, column in enumerate(order)]


def test_people_who_walk_close_behind_each_other_keep_their_ids() -> None:
    person = np.asarray(motion.coco(0)[0], np.float32)
    step = 0.2 * person_size(person)
    linker = Linker(patience=10)
    assert linker.push(0, np.stack([person, person + np.array([step, 0])])) == [1, 2]
    # The first is now next to where the second was: pairing the most alike first would make the second a stranger.
    assert linker.push(1, np.stack([person + np.array([2.2 * step, 0]), person + np.array([0.9 * step, 0])])) == [2, 1]


def test_who_enters_when_another_leaves_is_somebody_else() -> None:
    person = np.asarray(motion.coco(0)[0], np.float32)
    aside = np.array([3 * person_size(person), 0])
    linker = Linker(patience=10)
    assert linker.push(0, np.stack([person, person + aside])) == [1, 2]
    assert linker.push(1, np.stack([person - aside, person])) == [3, 1]
    assert linker.push(2, np.stack([person + aside, person - aside])) == [2, 3]


def test_a_person_is_known_again_after_a_gap() -> None:
    assert [len(ids) for ids in linked(crossing(), {(frame, 2) for frame in range(8, 17)})] == [1, 1, 1]


def test_a_person_who_was_away_for_too_long_is_another_one() -> None:
    assert [len(ids) for ids in linked(crossing(), {(frame, 2) for frame in range(8, 18)})] == [1, 1, 2]


def test_frames_without_people_change_nothing() -> None:
    absent = {(frame, person) for frame in (4, 5, 20) for person in range(3)}
    assert [len(ids) for ids in linked(crossing(), absent)] == [1, 1, 1]


def test_missing_joints_do_not_part_a_person() -> None:
    people, random = crossing(), np.random.default_rng(5)
    for person in people:
        person[random.random((FRAMES, 17)) < 0.4] = np.nan
    assert [len(ids) for ids in linked(people)] == [1, 1, 1]


def test_somebody_far_from_everybody_is_new() -> None:
    linker, person = Linker(patience=10), motion.coco()[0]
    assert linker.push(0, person[None]) == [1]
    assert linker.push(1, person[None] + 400) == [2]
    assert linker.push(2, np.stack([person + 400, person])) == [2, 1]


def test_reach_grows_with_the_size_of_the_person() -> None:
    small = motion.coco()[0] / 4
    assert person_size(small) == pytest.approx(person_size(motion.coco()[0]) / 4)
    for scale, expected in ((1, 2), (4, 1)):
        linker = Linker(patience=10)
        linker.push(0, small[None] * scale)
        assert linker.push(1, small[None] * scale + 30) == [expected]


def test_tracks_have_only_the_frames_that_a_person_was_seen_in() -> None:
    people = crossing()
    rows = [(frame, who) for frame in range(0, FRAMES, 2) for who in (1, 0) if (frame, who) != (6, 0)]
    keypoints = np.stack([people[who][frame] for frame, who in rows])
    tracks = link(np.array([frame for frame, _ in rows]), keypoints, np.repeat(ONES, len(rows), 0))
    assert [track.id for track in tracks] == [1, 2]
    for track, who in zip(tracks, (1, 0), strict=True):
        frames = [frame for frame, person in rows if person == who]
        assert track.frames.tolist() == frames
        np.testing.assert_array_equal(track.keypoints, people[who][frames])


def test_ids_of_the_source_are_kept_and_others_get_new_ones() -> None:
    people = crossing()
    frames = np.repeat(np.arange(FRAMES), 2)
    keypoints = np.stack([people[who][frame] for frame in range(FRAMES) for who in (0, 2)])
    tracks = link(frames, keypoints, np.repeat(ONES, len(frames), 0), np.array([7, -1] * FRAMES))
    assert [track.id for track in tracks] == [7, 8]
    np.testing.assert_array_equal(tracks[1].keypoints, people[2])


def test_of_two_people_of_one_id_the_surer_one_stays() -> None:
    people = crossing()
    frames = np.repeat(np.arange(FRAMES), 2)
    keypoints = np.stack([people[who][frame] for frame in range(FRAMES) for who in (0, 1)])
    scores = np.tile(np.array([[0.4], [0.6]], np.float32), (FRAMES, 17))
    (track,) = link(frames, keypoints, scores, np.full(len(frames), 5))
    assert (track.id, track.frames.tolist()) == (5, list(range(FRAMES)))
    np.testing.assert_array_equal(track.keypoints, people[1])


def test_a_second_is_the_longest_gap() -> None:
    person = motion.coco()[:1]
    for fps, expected in ((10.0, 2), (12.0, 1), (None, 1)):
        tracks = link(np.array([0, 12]), np.concatenate([person, person]), np.repeat(ONES, 2, 0), fps=fps)
        assert len(tracks) == expected


def clip_of(*tracks: Track) -> Clip:
    return Clip("walk.json", "coco17", tracks, np.arange(FRAMES))


def whole(id: int, keypoints: npt.NDArray[Any]) -> Track:
    return Track(id, np.arange(len(keypoints)), np.asarray(keypoints, np.float32), np.repeat(ONES, len(keypoints), 0))


def test_the_largest_person_fills_most_of_the_picture_over_time() -> None:
    person = motion.coco()
    clip = clip_of(whole(3, person), whole(4, person * 0.8), whole(9, person[:5] * 2))
    assert [track.id for track in select(clip, "largest").tracks] == [3]
    assert select(clip, "largest").frames is clip.frames


def test_one_person_is_chosen_by_id_or_everybody_stays() -> None:
    clip = clip_of(whole(3, motion.coco()), whole(4, motion.coco()))
    assert [track.id for track in select(clip, 4).tracks] == [4]
    assert select(clip) is clip


def test_a_person_who_is_not_there_is_an_error_that_lists_who_is() -> None:
    with pytest.raises(DataError, match=r"walk\.json: there is no person 5") as caught:
        select(clip_of(whole(3, motion.coco()), whole(4, motion.coco())), 5)
    assert "ids found: 3, 4" in caught.value.hint


def test_missing_joints_do_not_make_a_person_small() -> None:
    gappy = motion.coco().copy()
    gappy[:, 9:11] = np.nan
    clip = clip_of(whole(1, gappy), whole(2, motion.coco() * 0.5))
    assert [track.id for track in select(clip, "largest").tracks] == [1]
