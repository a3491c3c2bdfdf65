"""What is wrong with a keypoint file is said in one message."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.formats import FORMATS, read_clip
from tests.support import keypoint_files as files
from tests.support import motion
from tests.support.folders import as_object
from tests.support.keypoint_files import one_person, only, saved, write

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
@pytest.mark.parametrize("writer", [files.alphapose, files.alphapose_pictures, files.mmpose_demo])
def test_truncated_json_is_an_error(tmp_path: Path, writer: Any, share: float) -> None:
    path = writer(tmp_path, one_person())
    content = path.read_bytes().rstrip()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="damaged JSON") as caught:
        read_clip(path)
    assert "truncated" in caught.value.hint


def test_damage_is_said_by_its_place_in_the_whole_file(tmp_path: Path) -> None:
    people = {frame: one_person()[frame % 5] for frame in range(2_000)}  # more than is read at once
    path = files.alphapose(tmp_path, people)
    content = path.read_text()
    place = content.index(":", content.index("1999.jpg"))
    path.write_text(content[:place] + ";" + content[place + 1 :])
    with pytest.raises(DataError, match=f"damaged JSON at character {place}: Expecting ':' delimiter"):
        read_clip(path)


def test_a_frame_in_two_lines_is_an_error(tmp_path: Path) -> None:
    path = files.jsonlines(tmp_path, one_person())
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[3]]) + "\n")
    with pytest.raises(DataError, match=rf"line {len(lines) + 1}: frame \d+ again"):
        read_clip(path)


def test_a_line_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = files.jsonlines(tmp_path, one_person())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"stream\.jsonl: line 5: not JSON"):
        read_clip(path)


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
