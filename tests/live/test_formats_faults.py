"""What is wrong with a keypoint file is said in one message; what a detector may well write is read."""

from __future__ import annotations

import json
import os
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.formats import FORMATS, read_clip
from poseedge.live.layouts import COCO_NAMES
from poseedge.live.types import Clip
from poseedge.skeleton import JOINT_NAMES
from tests.support import keypoint_files as files
from tests.support import motion
from tests.support.folders import as_object
from tests.support.keypoint_files import People


def one_person(frames: int = 5, start: int = 0) -> People:
    return {start + row: [(1, motion.coco()[row], motion.scores()[row])] for row in range(frames)}


def write(path: Path, text: str, name: str = "keypoints.json") -> Path:
    (path / name).write_text(text)
    return path / name


def saved(path: Path, array: Any) -> Path:
    np.save(path / "keypoints.npy", array)
    return path / "keypoints.npy"


def only(clip: Clip) -> Any:
    (track,) = clip.tracks
    return track


# --- what is no keypoint file ---


@pytest.mark.parametrize(
    "content",
    [b"\xff\xd8\xff\xe0\x00\x10JFIF", b"hello\n", b"3.5", b"[1, 2, 3]", b'{"images": []}', b"a,b,c\n1,2,3\n"],
)
def test_an_unknown_file_is_an_error_that_lists_what_it_looked_for(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keypoints.json").write_bytes(content)
    with pytest.raises(DataError, match=r"keypoints\.json: no keypoint file that is known; looked for") as caught:
        read_clip(tmp_path / "keypoints.json")
    assert all(f"  {name}: {entry.looks}" in caught.value.message for name, entry in FORMATS.items())
    assert "--format" in caught.value.hint


def test_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "keypoints.json").write_text("[]", encoding="utf-16")  # what PowerShell's > writes
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_clip(tmp_path / "keypoints.json")


def test_a_folder_without_keypoint_files_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "notes", "README.md")
    with pytest.raises(DataError, match="no keypoint file that is known"):
        read_clip(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"walk\.json: no such file or folder"):
        read_clip(tmp_path / "walk.json")


def test_an_unknown_format_is_an_error_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown format 'alpha-pose'") as caught:
        read_clip(write(tmp_path, "[]"), format="alpha-pose")
    assert "did you mean 'alphapose'" in caught.value.hint


def test_a_format_that_is_named_is_not_looked_for(tmp_path: Path) -> None:
    path = files.mmpose_video(tmp_path, one_person())
    assert len(read_clip(path, format="mmpose").tracks) == 1
    with pytest.raises(DataError, match="expected a person with 'image_id'"):
        read_clip(path, format="alphapose")


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file is empty"):
        read_clip(write(tmp_path, ""))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        "[[], []]",
        "[]\n[]\n",
        '{"version": 1.3, "people": []}',
        '[{"frame_id": 0, "instances": []}]',
        '{"frame": 0, "people": []}\n{"frame": 1, "people": []}\n',
        '{"meta_info": {}, "instance_info": []}',
    ],
)
def test_a_file_without_people_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match="no people in it"):
        read_clip(write(tmp_path, content))


def test_people_without_any_joint_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all joints are missing"):
        read_clip(saved(tmp_path, np.zeros((4, 17, 3))))


# --- what is damaged ---


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("writer", [files.alphapose, files.alphapose_pictures, files.mmpose_demo, files.jsonlines])
def test_truncated_json_is_an_error(tmp_path: Path, writer: Any, share: float) -> None:
    path = writer(tmp_path, one_person())
    content = path.read_bytes().rstrip()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="damaged JSON") as caught:
        read_clip(path)
    assert "truncated" in caught.value.hint


def test_text_after_the_end_is_an_error(tmp_path: Path) -> None:
    path = files.alphapose(tmp_path, one_person())
    path.write_text(path.read_text() + "]")
    with pytest.raises(DataError, match="text after the end"):
        read_clip(path)


@pytest.mark.parametrize("content", ["[" * 200_000, '{"people": ' * 200_000, '{"12.jpg": {"people": ' + "[" * 200_000])
def test_deep_nesting_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match="nested too deeply"):
        read_clip(write(tmp_path, content))


def test_nesting_that_can_still_be_decoded_is_an_error_too(tmp_path: Path) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(DataError, match="expected x, y and score"):
        read_clip(files.dump(tmp_path / "a.json", [{"image_id": "1.jpg", "keypoints": [deep], "idx": 1}]))


def test_a_joint_count_that_changes_is_an_error_that_says_where(tmp_path: Path) -> None:
    people = one_person(start=10)
    people[13] = [(1, motion.in_layout("halpe26")[0][3], motion.in_layout("halpe26")[1][3])]
    with pytest.raises(DataError, match="17 joints until frame 13, where a person has 26"):
        read_clip(files.alphapose(tmp_path, people))


@pytest.mark.parametrize("joints", [1, 5, 14, 16, 21])
def test_a_joint_count_of_no_layout_is_an_error_that_lists_the_layouts(tmp_path: Path, joints: int) -> None:
    with pytest.raises(DataError, match=rf"{joints} joints: no layout that is known") as caught:
        read_clip(saved(tmp_path, np.random.default_rng(0).uniform(1, 900, (4, joints, 3))))
    assert "body25 25" in caught.value.hint


@pytest.mark.parametrize(
    "keypoints", ["[1, 2]", '["a", "b", "c"]', "[[1, 2, 3, 4, 5]]", "[{}]", f"[1{'0' * 400}, 1, 1]", "[1, 2, true, 4]"]
)
def test_keypoints_that_are_none_are_an_error(tmp_path: Path, keypoints: str) -> None:
    with pytest.raises(DataError, match="frame 12: expected x, y and score of each joint"):
        read_clip(write(tmp_path, f'[{{"image_id": "12.jpg", "keypoints": {keypoints}, "idx": 1}}]'))


@pytest.mark.parametrize("name", ["walk.jpg", "", "9" * 30 + ".jpg", None, 1.5, True, [1], 10**300])
def test_a_picture_without_a_frame_number_is_an_error(tmp_path: Path, name: Any) -> None:
    with pytest.raises(DataError, match=r"frame number|whole number"):
        read_clip(files.dump(tmp_path / "a.json", [{"image_id": name, "keypoints": [1, 2, 3] * 17, "idx": 1}]))


def test_frames_too_far_apart_are_an_error(tmp_path: Path) -> None:
    entries = [{"image_id": frame, "keypoints": files.flat(one_person()[0][0])} for frame in (0, 40_000_000_000)]
    with pytest.raises(DataError, match="frames from 0 to 40000000000"):
        read_clip(files.dump(tmp_path / "a.json", entries))


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x93NUMPY" + b"\xff" * 90])
def test_a_damaged_array_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keypoints.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"not a readable np|no keypoint file"):
        read_clip(tmp_path / "keypoints.npz")


def test_a_header_that_promises_more_than_the_file_has_is_an_error(tmp_path: Path) -> None:
    path = saved(tmp_path, np.zeros((4, 17, 3)))
    path.write_bytes(path.read_bytes().replace(b"(4, 17, 3)", b"(9**9,17,3)"[:10]))
    with pytest.raises(DataError, match="not a readable npy file"):
        read_clip(path)
    path = saved(tmp_path, np.zeros((100_000, 17, 3), np.float32))
    os.truncate(path, 5_000)
    with pytest.raises(DataError, match="not a readable npy file"):
        read_clip(path)


def test_a_zip_bomb_is_refused_by_its_headers(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(5):
            archive.writestr(f"keypoints{number}.npy", b"\0" * 1024)
    content = bytearray(bomb.read_bytes())  # the directory's size of each member, at 24 bytes after its signature
    at = content.find(b"PK\x01\x02")
    while at >= 0:
        content[at + 24 : at + 28] = (0xF0000000).to_bytes(4, "little")
        at = content.find(b"PK\x01\x02", at + 1)
    bomb.write_bytes(content)
    with pytest.raises(DataError, match="unpacks to 19 GiB"):
        read_clip(bomb)


def test_a_pickle_that_names_a_function_is_refused(tmp_path: Path) -> None:
    class Running:
        def __reduce__(self) -> Any:
            return os.system, ("touch " + str(tmp_path / "trace"),)

    np.savez(tmp_path / "data.npz", positions_2d=as_object({"walk": Running()}))
    with pytest.raises(DataError, match=r"refused.*system"):
        read_clip(tmp_path / "data.npz")
    assert not (tmp_path / "trace").exists()


# --- what does not go together ---


def test_normalized_coordinates_need_the_pictures_size(tmp_path: Path) -> None:
    path = files.ultralytics_txt(tmp_path, one_person(), motion.SIZE)
    with pytest.raises(DataError, match="normalized to the picture, 0 to 1") as caught:
        read_clip(path)
    assert "--size WxH" in caught.value.hint
    np.testing.assert_allclose(only(read_clip(path, size=motion.SIZE)).keypoints, motion.coco()[:5], atol=6e-3)


def test_normalized_coordinates_given_for_pixels_are_told_by_their_look(tmp_path: Path) -> None:
    share = motion.coco() / np.array(motion.SIZE, np.float32)
    path = saved(tmp_path, share)
    with pytest.raises(DataError, match=r"coordinates from \(0\.4.*normalized to the picture"):
        read_clip(path)
    np.testing.assert_allclose(only(read_clip(path, size=motion.SIZE)).keypoints, motion.coco(), atol=1e-3)


def test_coordinates_normalized_to_the_screen_are_refused(tmp_path: Path) -> None:
    screen = 2 * motion.coco() / 1000 - 1
    with pytest.raises(DataError, match="normalized to the screen, -1 to 1"):
        read_clip(saved(tmp_path, screen), size=motion.SIZE)


def test_a_picture_too_small_for_its_people_is_refused(tmp_path: Path) -> None:
    path = files.alphapose(tmp_path, one_person())
    with pytest.raises(DataError, match=r"of joints lie far outside a picture of 320x240; they go from \("):
        read_clip(path, size=(320, 240))


def test_a_picture_lying_on_its_side_is_recognised(tmp_path: Path) -> None:
    upright = motion.coco() * np.array([1.0, 1.9], np.float32)
    with pytest.raises(DataError, match="far outside a picture of 1920x1080") as caught:
        read_clip(saved(tmp_path, upright), size=(1920, 1080))
    assert "is it 1080x1920?" in caught.value.hint
    assert len(read_clip(saved(tmp_path, upright), size=(1080, 1920)).tracks) == 1


def test_legs_below_the_picture_are_no_fault(tmp_path: Path) -> None:
    people = motion.coco() + np.array([0, 1002 - np.quantile(motion.coco()[..., 1], 0.75)], np.float32)
    assert (people[..., 1] > 1002).mean() > 0.2
    assert len(read_clip(saved(tmp_path, people), size=motion.SIZE).tracks) == 1


def test_human36m_joints_given_as_coco_are_recognised(tmp_path: Path) -> None:
    path = saved(tmp_path, motion.joints())
    assert read_clip(path).layout == "h36m17"
    with pytest.raises(DataError, match="read as coco17, but its joints stand as those of h36m17") as caught:
        read_clip(path, layout="coco17")
    assert "--layout h36m17" in caught.value.hint


def test_coco_joints_given_as_human36m_are_recognised(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="read as h36m17, but its joints stand as those of coco17"):
        read_clip(saved(tmp_path, motion.coco()), layout="h36m17")


def test_a_stated_layout_of_another_count_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="17 joints, but body25 has 25"):
        read_clip(saved(tmp_path, motion.coco()), layout="body25")
    with pytest.raises(DataError, match="unknown layout 'body_25'"):
        read_clip(saved(tmp_path, motion.coco()), layout="body_25")


def test_depth_in_the_place_of_scores_is_refused(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).normal(0, 0.3, (30, 17, 1))
    with pytest.raises(DataError, match="scores down to -") as caught:
        read_clip(saved(tmp_path, np.concatenate([motion.coco(), depth], axis=-1)))
    assert "depth" in caught.value.hint


@pytest.mark.parametrize("fps", [0.0, -25.0, float("nan"), float("inf")])
def test_a_frame_rate_that_is_none_is_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(DataError, match="frames per second"):
        read_clip(saved(tmp_path, motion.coco()), fps=fps)


def test_pictures_of_two_cameras_are_refused(tmp_path: Path) -> None:
    keypoints = files.flat(one_person()[0][0])
    entries = [{"image_id": f"{camera}_{frame}.jpg", "keypoints": keypoints} for camera in "ab" for frame in (1, 2)]
    with pytest.raises(DataError, match=r"'b_1\.jpg' is frame 1, and so is a picture of another name"):
        read_clip(files.dump(tmp_path / "both.json", entries))
    folder = files.openpose(tmp_path, one_person())
    files.dump(folder / "other_4_keypoints.json", {"people": []})
    with pytest.raises(DataError, match="are both frame 4"):
        read_clip(folder)


def test_three_dimensional_results_of_mmpose_are_refused(tmp_path: Path) -> None:
    instance = {"keypoints": [[0.1, 0.2, 0.3]] * 17, "keypoint_scores": [1.0] * 17}
    with pytest.raises(DataError, match="3D poses"):
        read_clip(files.dump(tmp_path / "a.json", [{"frame_id": 0, "instances": [instance]}]))


def test_a_detection_model_without_keypoints_is_named(tmp_path: Path) -> None:
    people = [{"name": "person", "confidence": 0.9, "box": {}, "track_id": 1}]
    with pytest.raises(DataError, match="expected a person with keypoints") as caught:
        read_clip(files.dump(tmp_path / "a.json", [people]), format="ultralytics")
    assert "pose model" in caught.value.hint


def test_a_data_set_is_no_clip(tmp_path: Path) -> None:
    tracks = {"S1": {"Walk": [motion.joints()] * 4}, "S5": {"Walk": [motion.joints()]}}
    np.savez(tmp_path / "data.npz", positions_2d=as_object(tracks))
    with pytest.raises(DataError, match="expected one video, found 2") as caught:
        read_clip(tmp_path / "data.npz")
    assert "poseedge eval" in caught.value.hint


# --- what a detector may well write ---


def test_missing_joints_stay_missing_with_score_zero(tmp_path: Path) -> None:
    people = one_person(6)
    for frame, (x, y, score) in enumerate([(np.nan, 1, 1), (1, np.inf, 1), (0, 0, 0), (0, 0, 1), (1e300, 5, 1)]):
        keypoints, scores = people[frame][0][1].astype(float), people[frame][0][2].copy()
        keypoints[7], scores[7] = (x, y), score
        people[frame] = [(1, keypoints, scores)]
    track = only(read_clip(files.alphapose(tmp_path, people)))
    missing = np.isnan(track.keypoints).any(axis=-1)
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
    missing = np.isnan(only(read_clip(files.dump(tmp_path / "a.jsonl", line))).keypoints).any(axis=-1)
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
