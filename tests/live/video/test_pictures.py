"""Pictures are read upright, and a folder's in the order of their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.video import open_source

cv2 = pytest.importorskip("cv2")


def write(path: Path, level: int, size: tuple[int, int] = (32, 24)) -> Path:
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), (level, 0, 0), np.uint8))  # blue, green, red
    return path


def test_picture_is_rgb_and_one_frame_without_a_rate(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "p.png", 200)))
    (frame,) = source
    assert (source.count, source.fps, source.size, frame.number, frame.time_s) == (1, None, (32, 24), 0, 0)
    np.testing.assert_array_equal(frame.rgb[0, 0], [0, 0, 200])


def test_folder_is_sorted_by_number_and_a_video_with_a_rate(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        write(tmp_path / f"{number}.png", number)
    (tmp_path / "notes.txt").write_text("no picture")
    frames = list(open_source(str(tmp_path), fps=5))
    assert [frame.rgb[0, 0, 2] for frame in frames] == [1, 9, 10]
    np.testing.assert_allclose([frame.time_s for frame in frames], [0, 0.2, 0.4])


def test_pictures_of_a_video_have_one_size_and_others_any(tmp_path: Path) -> None:
    write(tmp_path / "1.png", 1)
    write(tmp_path / "2.png", 2, size=(64, 24))
    assert len(list(open_source(str(tmp_path)))) == 2
    with pytest.raises(DataError, match=r"2\.png: is 64 x 24, the first was 32 x 24"):
        list(open_source(str(tmp_path), fps=5))


def test_picture_is_turned_as_its_exif_data_says(tmp_path: Path) -> None:
    plain = cv2.imencode(".jpg", np.full((24, 32, 3), 90, np.uint8))[1].tobytes()
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # Orientation, a short, 6: turn clockwise to see it upright
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    marker = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "phone.jpg").write_bytes(plain[:2] + marker + plain[2:])
    assert open_source(str(tmp_path / "phone.jpg")).size == (24, 32)


def test_damaged_and_missing_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG not a picture")
    with pytest.raises(DataError, match=r"bad\.png: cannot be read as a picture"):
        open_source(str(tmp_path / "bad.png"))
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(DataError, match="cannot be read as a picture"):
        open_source(str(tmp_path / "empty.jpg"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        open_source(str(tmp_path / "folder"))
