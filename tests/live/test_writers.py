"""Files of lifted poses: what they hold, and what is refused before anything is written."""

from __future__ import annotations

import csv
import errno
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live import writers
from poseedge.live.rig.limbs import LimbFit
from poseedge.live.types import Lifted
from poseedge.live.world import DEMO, FLOOR, y_up
from poseedge.live.writers import csv_file, npz
from poseedge.live.writers.registry import check_path
from poseedge.live.writers.steady import steady_motion
from tests.live.lifted_clips import clip, unseen

TWO_PEOPLE_WITH_A_GAP = unseen(unseen(clip(people=2), 0, slice(20, 30)), 1, slice(0, 10))


def read_trc(path: Path) -> tuple[list[list[str]], np.ndarray]:
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return lines[:6], np.array(lines[6:], dtype=np.float64)


def test_npz_gives_back_what_it_was_given(tmp_path: Path) -> None:
    given = replace(TWO_PEOPLE_WITH_A_GAP, meta={"axes": "camera", "size": [1000, 1000], "name": "Zoë"})
    assert writers.write(given, tmp_path / "poses.npz").paths == (tmp_path / "poses.npz",)
    back = writers.read_lifted(tmp_path / "poses.npz")
    for name in npz._TYPES:
        np.testing.assert_array_equal(getattr(back, name), getattr(given, name))
        assert getattr(back, name).dtype == getattr(given, name).dtype
    assert back.meta == given.meta


def test_npz_needs_no_pickle(tmp_path: Path) -> None:
    writers.write(clip(), tmp_path / "poses.npz")
    with np.load(tmp_path / "poses.npz", allow_pickle=False) as content:
        assert content["poses_m"].shape == (1, 60, 17, 3)
        assert json.loads(str(content["meta"]))["axes"] == "camera"


def test_npz_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", positions=np.zeros(3))
    with pytest.raises(DataError, match=r"no lifted poses, poses_m.*found: positions"):
        writers.read_lifted(tmp_path / "other.npz")


def test_json_holds_every_person_seen_in_each_frame(tmp_path: Path) -> None:
    given = TWO_PEOPLE_WITH_A_GAP
    writers.write(given, tmp_path / "poses.json")
    content = json.loads((tmp_path / "poses.json").read_text())
    assert [entry["frame"] for entry in content["frames"]] == given.frames.tolist()
    assert [len(entry["people"]) for entry in content["frames"]] == given.seen.sum(axis=0).tolist()
    second = content["frames"][25]["people"][0]
    assert (second["id"], len(content["joint_names"])) == (2, 17)
    np.testing.assert_allclose(second["pose_m"], given.poses_m[1, 25], atol=6e-6)
    assert content["meta"] == given.meta


def test_json_writes_null_for_a_keypoint_not_known(tmp_path: Path) -> None:
    given = clip(frames=2)
    given.keypoints_px[0, 1, 3] = np.nan
    writers.write(given, tmp_path / "poses.json")
    people = json.loads((tmp_path / "poses.json").read_text())["frames"][1]["people"]
    assert people[0]["keypoints_px"][3] == [None, None]
    assert people[0]["keypoints_px"][4] == pytest.approx(given.keypoints_px[0, 1, 4].tolist(), abs=0.006)


def test_csv_has_a_row_for_each_frame_and_person_seen(tmp_path: Path) -> None:
    given = TWO_PEOPLE_WITH_A_GAP
    given.filled[1, 40, 16] = True
    writers.write(given, tmp_path / "poses.csv")
    with (tmp_path / "poses.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert (len(rows), tuple(rows[0])) == (given.seen.sum(), csv_file.HEADER)
    row = next(row for row in rows if (row["frame"], row["id"]) == ("40", "2"))
    np.testing.assert_allclose([float(row[f"head_{axis}_m"]) for axis in "xyz"], given.poses_m[1, 40, 10], atol=6e-6)
    assert (row["right_wrist_filled"], row["right_elbow_filled"]) == ("1", "0")
    assert float(row["time_s"]) == pytest.approx(given.times_s[40])


def test_trc_holds_the_joints_with_y_up_at_the_clips_times(tmp_path: Path) -> None:
    given = clip()
    writers.write(given, tmp_path / "poses.trc")
    header, rows = read_trc(tmp_path / "poses.trc")
    assert header[0] == ["PathFileType", "4", "(X/Y/Z)", "poses.trc"]
    assert dict(zip(header[1], header[2], strict=True))["NumMarkers"] == "17"
    assert float(header[2][0]) == pytest.approx(50, abs=1e-3)
    assert [name for name in header[3] if name][2:5] == ["Hip", "RHip", "RKnee"]
    np.testing.assert_array_equal(rows[:, 0], np.arange(1, 61))
    np.testing.assert_allclose(rows[:, 1], given.times_s, atol=1e-6)
    np.testing.assert_allclose(rows[:, 2:].reshape(60, 17, 3), given.poses_m[0] * [1, -1, -1], atol=1e-6)


def test_trc_data_reader_finds_the_same_joints(tmp_path: Path) -> None:
    trc: Any = pytest.importorskip("trc")
    given = clip()
    writers.write(given, tmp_path / "poses.trc")
    found = trc.TRCData()
    found.load(str(tmp_path / "poses.trc"))
    assert (found["Units"], found["DataRate"], found["NumFrames"]) == ("m", 50, 60)
    joints = np.array([[found[marker][frame] for marker in found["Markers"]] for frame in range(60)])
    np.testing.assert_allclose(joints, given.poses_m[0] * [1, -1, -1], atol=1e-6)


def test_trc_covers_the_frames_in_which_the_person_was_seen_and_holds_the_last_pose_in_gaps(tmp_path: Path) -> None:
    given = unseen(unseen(clip(), 0, slice(0, 5)), 0, slice(20, 30))
    written = writers.write(given, tmp_path / "poses.trc")
    header, rows = read_trc(tmp_path / "poses.trc")
    assert header[2][6:] == ["6", "55"]
    assert (rows[0, 0], rows[-1, 0], len(rows)) == (6, 60, 55)
    np.testing.assert_array_equal(rows[15:25, 2:], np.tile(rows[14, 2:], (10, 1)))
    assert written.notes == ("poses.trc: 10 frames without the person hold the nearest pose before them",)


def test_formats_of_one_person_give_a_file_to_each(tmp_path: Path) -> None:
    written = writers.write(replace(clip(people=2), ids=np.array([3, 8])), tmp_path / "poses.trc")
    assert [path.name for path in written.paths] == ["poses_3.trc", "poses_8.trc"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["poses_3.trc", "poses_8.trc"]


def test_a_person_never_seen_has_no_file(tmp_path: Path) -> None:
    written = writers.write(unseen(clip(people=2), 1, slice(None)), tmp_path / "poses.trc")
    assert [path.name for path in written.paths] == ["poses.trc"]


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    for suffix in writers.SUFFIXES:
        assert all(path.stat().st_size for path in writers.write(clip(frames=1), tmp_path / f"poses{suffix}").paths)
    assert read_trc(tmp_path / "poses.trc")[1].shape == (1, 53)


def test_suffix_is_read_in_any_case(tmp_path: Path) -> None:
    writers.write(clip(frames=2), tmp_path / "POSES.NPZ")
    assert [path.name for path in tmp_path.iterdir()] == ["POSES.NPZ"]


def test_regular_time_stamps_rounded_to_milliseconds_stay_as_they_are() -> None:
    given = clip(fps=30)
    motion = steady_motion(replace(given, times_s=given.times_s.round(3)), 0)
    assert not motion.resampled
    assert motion.fps == pytest.approx(30, rel=1e-3)
    np.testing.assert_array_equal(motion.poses_m, given.poses_m[0])


def test_varying_time_stamps_are_resampled_to_the_median_rate() -> None:
    given = clip(frames=120)
    kept = np.sort(np.random.default_rng(0).choice(120, 90, replace=False))
    few = replace(
        given, poses_m=given.poses_m[:, kept], frames=given.frames[kept], times_s=given.times_s[kept], seen=given.seen[:, kept]
    )
    motion = steady_motion(few, 0)
    assert motion.resampled
    assert motion.fps == pytest.approx(50)
    assert motion.seen.all()
    missing = given.poses_m[0, kept[0] : kept[0] + len(motion.poses_m)] - motion.poses_m
    assert np.linalg.norm(missing, axis=-1).mean() < 1e-3  # only dropped frames differ, by what interpolation costs


@pytest.mark.parametrize("start", range(40, 48))
def test_resampling_does_not_bridge_a_gap(start: int) -> None:
    given = unseen(clip(frames=100), 0, slice(start, 60))
    uneven = replace(given, times_s=given.times_s + 0.008 * (np.arange(100) % 3))
    motion = steady_motion(uneven, 0)
    assert motion.resampled
    half = 0.51 / motion.fps
    inside = (motion.times_s > uneven.times_s[start - 1] + half) & (motion.times_s < uneven.times_s[60] - half)
    assert inside.sum() > 5
    assert not motion.seen[inside].any()
    assert motion.seen[motion.times_s < uneven.times_s[start - 1]].all()
    assert np.ptp(motion.poses_m[inside], axis=0).max() == 0


def test_a_single_frame_seen_survives_resampling() -> None:
    given = unseen(unseen(clip(), 0, slice(0, 30)), 0, slice(31, None))
    motion = steady_motion(replace(given, times_s=given.times_s + 0.009 * (np.arange(60) % 2) ** 2), 0)
    assert motion.resampled
    assert motion.seen.sum() == 1
    np.testing.assert_allclose(motion.poses_m[motion.seen][0], given.poses_m[0, 30], atol=1e-6)


@pytest.mark.parametrize("axes", [FLOOR, DEMO])
def test_y_up_keeps_left_and_right(axes: str) -> None:
    given = replace(clip(), meta={"axes": axes})
    turned = y_up(given)
    for poses in (given.poses_m, turned.poses_m):
        edges = poses[0, 0, [1, 4, 7]].astype(np.float64)
        assert np.sign(np.linalg.det(edges)) == np.sign(np.linalg.det(clip().poses_m[0, 0, [1, 4, 7]].astype(np.float64)))
    up = turned.poses_m[..., 1] - (given.poses_m[..., 1] if axes == FLOOR else given.poses_m[..., 2])
    np.testing.assert_allclose(up, 0, atol=1e-7)


def test_unknown_axes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown axes 'sideways'"):
        writers.write(replace(clip(), meta={"axes": "sideways"}), tmp_path / "poses.trc")
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix_names_those_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown kind of output '.trx'") as caught:
        writers.write(clip(), tmp_path / "poses.trx")
    assert "did you mean '.trc'" in caught.value.hint
    assert all(suffix in caught.value.hint for suffix in writers.SUFFIXES)


def test_a_name_without_suffix_is_refused() -> None:
    with pytest.raises(DataError, match="no suffix"):
        check_path(Path("poses"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.npz").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        writers.write(clip(), tmp_path / "out.npz")


NOBODY = replace(
    clip(people=1),
    **{name: getattr(clip(), name)[:0] for name in ("poses_m", "ids", "seen", "filled", "keypoints_px", "scores")},
)
NO_FRAMES = clip(frames=0)


@pytest.mark.parametrize("suffix", writers.SUFFIXES)
@pytest.mark.parametrize(
    "lifted", [NOBODY, NO_FRAMES, unseen(clip(), 0, slice(None))], ids=["no people", "no frames", "not seen"]
)
def test_nothing_to_write_is_an_error(lifted: Lifted, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to write"):
        writers.write(lifted, tmp_path / f"poses{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"poses_m": np.full((1, 60, 17, 3), np.nan, np.float32)},
            "person 1 counts as seen in frame 0 and the",
        ),
        ({"times_s": np.zeros(60)}, "times do not increase"),
        ({"times_s": np.full(60, np.nan)}, "times do not increase"),
        ({"scores": np.ones((1, 60), np.float32)}, r"scores should be \(1, 60, 17\)"),
    ],
)
def test_poses_that_contradict_themselves_are_refused(change: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        writers.write(replace(clip(), **change), tmp_path / "poses.json")  # type: ignore[arg-type]


def test_people_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ids \[1, 1\] are not unique"):
        writers.write(replace(clip(people=2), ids=np.array([1, 1])), tmp_path / "poses.trc")


@pytest.mark.parametrize("suffix", writers.SUFFIXES)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, path = clip(people=2), tmp_path / f"poses{suffix}"
    before = {file: file.read_bytes() for file in writers.write(given, path).paths}
    real = Path.open

    def full(self: Path, *rest: object, **named: object) -> object:
        if self.name.startswith(".poses"):
            stream = real(self, *rest, **named)  # type: ignore[call-overload]
            stream.write(b"half" if "b" in str((rest, named)) else "half")
            stream.close()
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, *rest, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        writers.write(replace(given, poses_m=given.poses_m * 2), path)
    monkeypatch.undo()
    assert {file: file.read_bytes() for file in sorted(tmp_path.iterdir())} == before


def test_motion_of_a_long_clip_is_made_some_frames_at_a_time() -> None:
    def peak(frames: int) -> int:
        given = long_clip(frames)
        tracemalloc.start()
        try:
            motion = steady_motion(given, 0)
            for _ in LimbFit(motion.rows, motion.seen, motion.fps).blocks(500):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(13_500) < peak(9_000) + 1e6  # the 4,500 poses between take 1.8 MB, their rotations 10


def long_clip(frames: int) -> Lifted:
    """Return one person who moves to and fro, not seen once in a while."""
    given, there = clip(), np.abs(np.arange(frames) % 118 - 59)
    arrays = {name: getattr(given, name)[:, there] for name in ("poses_m", "filled", "keypoints_px", "scores")}
    seen = np.arange(frames)[None] % 1000 < 990
    return replace(given, frames=np.arange(frames), times_s=np.arange(frames) / 50, seen=seen, **arrays)
