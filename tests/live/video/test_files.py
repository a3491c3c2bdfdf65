"""Videos are read upright, with the times of their frames, and what is damaged is said."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.video import open_source

pytest.importorskip("av")

from tests.live.video import clips

TIMES = [number / 30 for number in range(12)]


def white_corner(rgb: np.ndarray) -> tuple[str, str]:
    """Return where the white quarter of a picture is."""
    height, width = rgb.shape[0] // 2, rgb.shape[1] // 2
    corners = {
        ("top", "left"): rgb[:height, :width],
        ("top", "right"): rgb[:height, width:],
        ("bottom", "left"): rgb[height:, :width],
        ("bottom", "right"): rgb[height:, width:],
    }
    return max(corners, key=lambda corner: corners[corner].mean())


def test_video_gives_its_frames_in_order_with_times(tmp_path: Path) -> None:
    source = open_source(str(clips.write_video(tmp_path / "v.mp4", TIMES)))
    frames = list(source)
    assert (source.size, source.fps, source.count, source.live) == (clips.SIZE, 30, 12, False)
    assert [frame.number for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.time_s for frame in frames], TIMES, atol=1e-3)
    levels = [int(frame.rgb[-8:, -8:].mean()) for frame in frames]
    np.testing.assert_allclose(levels, [5 * number for number in range(12)], atol=4)
    assert white_corner(frames[3].rgb) == ("top", "left")


@pytest.mark.parametrize(
    ("degrees", "corner", "size"),
    [(90, ("top", "right"), (48, 64)), (180, ("bottom", "right"), (64, 48)), (270, ("bottom", "left"), (48, 64))],
)
def test_phones_video_is_turned_upright(degrees: int, corner: tuple[str, str], size: tuple[int, int], tmp_path: Path) -> None:
    clips.turn(clips.write_video(tmp_path / "v.mp4", TIMES), degrees)
    source = open_source(str(tmp_path / "v.mp4"))
    frame = next(iter(source))
    assert source.size == size == frame.rgb.shape[1::-1]
    assert white_corner(frame.rgb) == corner


def test_variable_frame_rate_keeps_each_frames_own_time(tmp_path: Path) -> None:
    times = [0.0, 0.033, 0.1, 0.133, 0.4, 0.433]
    source = open_source(str(clips.write_video(tmp_path / "v.mp4", times)))
    np.testing.assert_allclose([frame.time_s for frame in source], times, atol=2e-3)


def test_times_begin_at_zero_also_where_the_file_begins_later(tmp_path: Path) -> None:
    source = open_source(str(clips.write_video(tmp_path / "v.mkv", [5.0, 5.04, 5.08])))
    np.testing.assert_allclose([frame.time_s for frame in source], [0, 0.04, 0.08], atol=1e-3)


def test_given_frame_rate_replaces_the_files(tmp_path: Path) -> None:
    source = open_source(str(clips.write_video(tmp_path / "v.mp4", TIMES)), fps=60)
    assert source.fps == 60
    np.testing.assert_allclose([frame.time_s for frame in source], np.arange(12) / 60)


def test_truncated_video_gives_the_frames_that_are_there(tmp_path: Path) -> None:
    whole = clips.write_video(tmp_path / "v.mkv", [number / 30 for number in range(40)], size=(640, 480))
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames = list(open_source(str(tmp_path / "cut.mkv")))
    assert 5 < len(frames) < 40


def test_video_without_its_index_is_refused(tmp_path: Path) -> None:
    whole = clips.write_video(tmp_path / "v.mp4", TIMES).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: whole.index(b"moov")])
    with pytest.raises(DataError, match=r"cut\.mp4: cannot be opened as a video") as refused:
        open_source(str(tmp_path / "cut.mp4"))
    assert "copied whole" in refused.value.hint


def test_video_without_a_frame_is_refused(tmp_path: Path) -> None:
    whole = clips.write_video(tmp_path / "v.mp4", TIMES).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: whole.index(b"mdat") + 4])
    with pytest.raises(DataError, match=r"cut\.mp4: (holds no frame that can be read|cannot be decoded)"):
        open_source(str(tmp_path / "cut.mp4"))
    with pytest.raises(DataError, match=r"v\.mp4: holds no video"):
        open_source(str(clips.write_video(tmp_path / "v.mp4", [])))


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no video"):
        open_source(str(clips.write_sound(tmp_path / "s.mp4")))


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    for name, message in (("notes.mp4", "cannot be opened as a video"), ("none.mp4", "no such video, picture or folder")):
        with pytest.raises(DataError, match=message):
            open_source(str(tmp_path / name))


def test_address_that_does_not_answer_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be opened as a video") as refused:
        open_source("rtsp://127.0.0.1:9/camera")
    assert refused.value.hint == "does the address answer?"


def test_video_is_not_read_ahead_into_memory(tmp_path: Path) -> None:
    source = open_source(str(clips.write_video(tmp_path / "v.mp4", [number / 30 for number in range(300)])))
    assert len(list(itertools.islice(source, 3))) == 3
    source.close()
