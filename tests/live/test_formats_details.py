"""What a detector, or a person with a spreadsheet, may well write is read."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.formats import FORMATS, read_clip
from poseedge.live.layouts import COCO_NAMES, LAYOUTS
from poseedge.skeleton import JOINT_NAMES
from tests.support import keypoint_files as files
from tests.support import motion
from tests.support.keypoint_files import one_person, only, saved, write


def test_missing_joints_stay_missing_with_score_zero(tmp_path: Path) -> None:
    people = one_person(6)
    for frame, (x, y, score) in enumerate([(np.nan, 1, 1), (1, np.inf, 1), (0, 0, 0), (0, 0, 1), (1e300, 5, 1)]):
        keypoints, scores = people[frame][0][1].astype(float), people[frame][0][2].copy()
        keypoints[7], scores[7] = (x, y), score
        people[frame] = [(1, keypoints, scores)]
    track = only(read_clip(files.alphapose(tmp_path, people)))
    missing = np.asarray(np.isnan(track.keypoints).any(axis=-1))
    assert np.argwhere(missing).tolist() == [[frame, 7] for frame in range(5)]
    assert (track.scores[missing] == 0).all()


def test_a_joint_on_one_edge_is_not_missing(tmp_path: Path) -> None:
    keypoints = motion.coco().copy()
    keypoints[:, 9, 0], keypoints[:, 10, 1] = 0, 0
    assert not np.isnan(only(read_clip(saved(tmp_path, keypoints))).keypoints).any()


def test_null_is_a_missing_joint(tmp_path: Path) -> None:
    joints: list[Any] = [[float(x), float(y), 0.9] for x, y in motion.coco()[0]]
    joints[3], joints[4] = None, [None, None, None]
    line = {"frame": 0, "people": [{"id": 1, "keypoints": joints}]}
    missing = np.asarray(np.isnan(only(read_clip(files.dump(tmp_path / "a.jsonl", line))).keypoints).any(axis=-1))
    assert np.flatnonzero(missing[0]).tolist() == [3, 4]


def test_scores_above_one_become_one(tmp_path: Path) -> None:
    people = {frame: [(1, motion.coco()[frame], motion.scores()[frame] * 6)] for frame in range(5)}
    track = only(read_clip(files.alphapose(tmp_path, people)))
    np.testing.assert_allclose(track.scores, np.minimum(motion.scores()[:5] * 6, 1), rtol=1e-6)


def test_a_source_without_scores_is_sure(tmp_path: Path) -> None:
    assert (only(read_clip(saved(tmp_path, motion.coco()))).scores == 1).all()


@pytest.mark.parametrize("idx", [4, 4.0, [4], [4.0, 7.0], [[4.0], [2.0]]])
def test_ids_of_alphapose_are_numbers_or_lists(tmp_path: Path, idx: Any) -> None:
    assert only(read_clip(files.alphapose(tmp_path, one_person(), idx=idx))).id == 4


def test_people_are_linked_where_alphapose_did_not_track_them(tmp_path: Path) -> None:
    people = {
        frame: [(0, motion.coco()[frame], motion.scores()[frame]), (0, motion.coco()[frame] + 300, motion.scores()[frame])]
        for frame in range(5)
    }
    clip = read_clip(files.alphapose(tmp_path, {frame: inside[:: (-1) ** frame] for frame, inside in people.items()}))
    assert [(track.id, len(track.frames)) for track in clip.tracks] == [(1, 5), (2, 5)]
    np.testing.assert_array_equal(clip.tracks[0].keypoints, motion.coco()[:5])


def test_the_size_and_frame_rate_of_the_file_are_used_unless_others_are_given(tmp_path: Path) -> None:
    path = tmp_path / "keypoints.npz"
    np.savez(path, keypoints=motion.coco(), fps=29.97, size=np.array([1000, 1002]))
    assert (read_clip(path).fps, read_clip(path).size) == (29.97, (1000, 1002))
    assert (read_clip(path, fps=50).fps, read_clip(path, size=(1280, 1024)).size) == (50, (1280, 1024))
    assert read_clip(saved(tmp_path, motion.coco())).fps is None


def test_times_of_json_lines_give_the_frame_rate(tmp_path: Path) -> None:
    assert read_clip(files.jsonlines(tmp_path, one_person(5, 10), fps=29.97)).fps == pytest.approx(29.97)


def test_times_of_json_lines_that_vary_are_those_of_the_frames(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.06, 12)) + 100
    kept = [0, 1, 2, 3, 6, 7, 8, 11]  # the others have no line
    lines = [json.loads(line) for line in motion.json_lines(12)]
    for line, time in zip(lines, times, strict=True):
        line["time"] = time
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(lines[place]) + "\n" for place in kept))
    clip = read_clip(path)
    assert clip.fps == pytest.approx(11 / np.ptp(times))
    assert clip.times_s is not None
    np.testing.assert_allclose(clip.times_s[kept], times[kept] - times[0])
    assert (np.diff(clip.times_s) > 0).all()
    assert read_clip(path, fps=30).times_s is None
    for line in lines:
        line["time"] = round(line["time"])  # whole seconds tell a rate, and no time of a frame
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_clip(path).times_s is None


def test_the_size_in_videopose3ds_metadata_is_used(tmp_path: Path) -> None:
    assert read_clip(files.videopose3d_inferred(tmp_path, one_person(), (1920, 1080))).size == (1920, 1080)
    clip = read_clip(files.videopose3d_custom(tmp_path, motion.coco(), (1920, 1080)))
    assert (clip.size, clip.layout, only(clip).id) == ((1920, 1080), "coco17", 1)
    np.testing.assert_array_equal(only(clip).keypoints, motion.coco())


def test_the_layout_in_videopose3ds_metadata_is_used(tmp_path: Path) -> None:
    assert read_clip(files.videopose3d_custom(tmp_path, motion.joints(), motion.SIZE, "h36m")).layout == "h36m17"


def test_lines_that_a_second_run_appended_count_once(tmp_path: Path) -> None:
    for _ in range(2):
        path = files.ultralytics_txt(tmp_path, one_person(), motion.SIZE, ids=False)
    assert only(read_clip(path, size=motion.SIZE)).frames.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("ids", "confidence", "expected"), [(True, True, 6), (True, False, 6), (False, True, 1), (False, False, 1)]
)
def test_what_follows_the_joints_of_save_txt_is_told_apart(tmp_path: Path, ids: bool, confidence: bool, expected: int) -> None:
    people = {frame: [(6, keypoints, scores)] for frame, ((_, keypoints, scores),) in one_person().items()}
    track = only(read_clip(files.ultralytics_txt(tmp_path, people, motion.SIZE, ids, confidence), size=motion.SIZE))
    assert track.id == expected
    np.testing.assert_allclose(track.scores, motion.scores()[:5], atol=1e-5)


def test_mediapipes_four_numbers_are_read(tmp_path: Path) -> None:
    keypoints, visibility = motion.in_layout("blazepose33")
    share, depth = keypoints / np.array(motion.SIZE), np.full((30, 33, 1), -0.3)
    clip = read_clip(saved(tmp_path, np.concatenate([share, depth, visibility[..., None]], axis=-1)), size=motion.SIZE)
    assert clip.layout == "blazepose33"
    np.testing.assert_allclose(only(clip).keypoints, keypoints, atol=1e-3)
    np.testing.assert_allclose(only(clip).scores, visibility, atol=1e-6)


def test_the_only_file_of_a_folder_is_taken(tmp_path: Path) -> None:
    files.alphapose(tmp_path, one_person())
    (tmp_path / "vis").mkdir()
    assert len(read_clip(tmp_path).tracks) == 1
    write(tmp_path, "[]", "more.json")
    with pytest.raises(DataError, match=r"2 files of which each is a whole clip \(alphapose\)"):
        read_clip(tmp_path)


def test_numbers_in_names_of_folders_and_videos_are_no_frame_numbers(tmp_path: Path) -> None:
    entries = [{"image_id": f"/clips/7/cam2_{frame:06}.png", "keypoints": files.flat(one_person()[0][0])} for frame in (9, 10)]
    assert read_clip(files.dump(tmp_path / "a.json", entries)).frames.tolist() == [9, 10]


# --- tables ---


def rows(columns: list[str], make: Any, delimiter: str = ",") -> str:
    lines = [columns, *([str(cell) for cell in make(row)] for row in range(5))]
    return "\n".join(delimiter.join(line) for line in lines) + "\n"


def test_a_table_without_frames_counts_its_rows_and_may_count_joints_from_one(tmp_path: Path) -> None:
    text = rows([f"{axis}{joint}" for joint in range(1, 18) for axis in "XY"], lambda row: motion.coco()[row].ravel(), "\t")
    track = only(read_clip(write(tmp_path, "\ufeff" + text, "table.tsv")))
    assert track.frames.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(track.keypoints, motion.coco()[:5], rtol=1e-5)


def test_named_joints_of_a_table_may_stand_in_any_order_with_others_between(tmp_path: Path) -> None:
    names = [*reversed(COCO_NAMES), "left_foot_index"]
    where = [*reversed(range(17)), 0]
    columns = ["frame", *(f"{name}_{axis}" for name in names for axis in ("x", "y", "z", "visibility")), "comment"]
    rest = np.tile([-3.0, 0.5], (18, 1))
    text = rows(columns, lambda row: [f"{row}.jpg", *np.hstack([motion.coco()[row][where], rest]).ravel(), "no"])
    track = only(read_clip(write(tmp_path, text, "table.csv")))
    np.testing.assert_allclose(track.keypoints, motion.coco()[:5], rtol=1e-5)
    assert (track.scores == 0.5).all()


def test_named_joints_that_a_table_lacks_are_missing(tmp_path: Path) -> None:
    columns = [f"{name}.{axis}" for name in JOINT_NAMES if name != "spine" for axis in "xy"]
    text = rows(columns, lambda row: np.delete(motion.joints()[row], 7, axis=0).ravel())
    clip = read_clip(write(tmp_path, text, "table.csv"))
    assert clip.layout == "h36m17"
    assert np.flatnonzero(np.isnan(only(clip).keypoints).any(axis=(0, 2))).tolist() == [7]


def test_empty_cells_of_a_table_are_missing_joints(tmp_path: Path) -> None:
    keypoints = motion.coco().copy()
    keypoints[2, 5] = np.nan
    people = {frame: [(3, keypoints[frame], motion.scores()[frame])] for frame in range(5)}
    track = only(read_clip(files.table(tmp_path, people)))
    assert track.id == 3
    assert np.argwhere(np.isnan(track.keypoints).any(axis=-1)).tolist() == [[2, 5]]


def test_a_row_that_is_too_short_or_no_number_is_named(tmp_path: Path) -> None:
    path = files.table(tmp_path, one_person())
    whole = path.read_text()
    path.write_text(whole + "5,1,7\n")
    with pytest.raises(DataError, match="row 6: expected as many numbers"):
        read_clip(path)
    path.write_text(whole.replace("\n3,1,", "\n3,1,,oops", 1))
    with pytest.raises(DataError, match="row 4: expected as many numbers"):
        read_clip(path)


# --- how much it takes ---


@pytest.mark.slow
def test_a_long_file_takes_half_of_the_memory_that_decoding_it_takes(tmp_path: Path) -> None:
    entry = {"category_id": 1, "keypoints": [float(value) for value in motion.scores()[:3].ravel() * 1000], "idx": 1}
    entries = [json.dumps(entry | {"image_id": f"{frame}.jpg", "score": 2.9}) for frame in range(8_000)]
    path = write(tmp_path, f"[{', '.join(entries)}]")
    del entries
    peaks = []
    for reading in (read_clip, lambda path: json.loads(path.read_text())):
        tracemalloc.start()
        content = reading(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        del content
    assert peaks[0] < peaks[1] / 2


# --- what the page says ---


def test_the_page_on_keypoint_files_names_every_format_and_layout() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keypoint_files.md").read_text()
    assert set(re.findall(r"^\| `([a-z][a-z0-9-]*)` \|", page, re.MULTILINE)) == set(FORMATS)
    assert all(f"`{name}`" in page for name in LAYOUTS)


@pytest.mark.parametrize("text", ["3", "3.0", '"3"'])
def test_numbers_of_json_lines_are_whole_however_they_are_written(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    keypoints = json.dumps(np.random.default_rng(0).uniform(100, 500, (17, 2)).tolist())
    path.write_text(f'{{"frame": {text}, "people": [{{"id": {text}, "keypoints": {keypoints}}}]}}\n')
    [track] = read_clip(path).tracks
    assert (track.id, track.frames.tolist()) == (3, [3])
    path.write_text(path.read_text().replace(f'"id": {text}', '"id": 3.5'))
    with pytest.raises(DataError, match=r"line 1: 'id': expected a whole number, found 3\.5"):
        read_clip(path)
