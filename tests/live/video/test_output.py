"""What is written can be read again, whole; what fails leaves nothing, and what is interrupted is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from poseedge.errors import PoseedgeError
from poseedge.live.video import open_source, output
from poseedge.live.video.output import open_output

av = pytest.importorskip("av")
cv2 = pytest.importorskip("cv2")

from tests.live.video import clips  # noqa: E402

TIMES = [number / 25 for number in range(20)]


def write(path: Path, times: list[float] = TIMES, size: tuple[int, int] = clips.SIZE) -> Path:
    with open_output(path, size, fps=25) as opened:
        for number, at in enumerate(times):
            opened.write(clips.picture(5 * number, size), at)
    return Path(opened.written)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_video_has_the_frames_times_and_length_of_what_was_written(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"out{suffix}")
    frames = list(open_source(str(path)))
    np.testing.assert_allclose([frame.time_s for frame in frames], TIMES, atol=1e-3)
    np.testing.assert_allclose([frame.rgb[-8:, -8:].mean() for frame in frames], np.arange(20) * 5, atol=6)
    with av.open(str(path)) as container:
        assert container.duration / 1e6 == pytest.approx(20 / 25, abs=0.01)
    assert [file.name for file in tmp_path.iterdir()] == [f"out{suffix}"]


def test_mp4_is_h264_and_another_reader_counts_as_many_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "out.mp4")
    with av.open(str(path)) as container:
        assert (container.streams.video[0].codec_context.name, container.streams.video[0].pix_fmt) == ("h264", "yuv420p")
    reader = cv2.VideoCapture(str(path))
    count = 0
    while reader.read()[0]:
        count += 1
    assert (count, round(reader.get(cv2.CAP_PROP_FPS))) == (20, 25)


def test_variable_frame_rate_is_kept(tmp_path: Path) -> None:
    times = [0.0, 0.03, 0.2, 0.21, 0.9]
    np.testing.assert_allclose([f.time_s for f in open_source(str(write(tmp_path / "o.mp4", times)))], times, atol=1e-3)


def test_without_h264_the_video_is_vp9_in_webm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = output.has_encoder
    monkeypatch.setattr(output, "has_encoder", lambda name: name != "libx264" and known(name))
    assert write(tmp_path / "out.mp4") == tmp_path / "out.webm"
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.video[0].codec_context.name == "vp9"


def test_without_any_encoder_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "has_encoder", lambda name: False)
    with pytest.raises(PoseedgeError, match=r"out\.mp4: this PyAV cannot encode libx264 nor libvpx-vp9"):
        open_output(tmp_path / "out.mp4", clips.SIZE, 25)


def test_encoders_are_asked_for_by_name() -> None:
    assert output.has_encoder("gif")
    assert not output.has_encoder("no such encoder")


def test_gif_has_fewer_frames_smaller_pictures_and_the_same_length(tmp_path: Path) -> None:
    path = write(tmp_path / "out.gif", [number / 50 for number in range(51)], size=(1280, 720))
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert (frames[0].width, frames[0].height) == (640, 360)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(13) * 0.08, atol=0.011)


def test_picture_is_one_png_and_a_videos_are_numbered(tmp_path: Path) -> None:
    with open_output(tmp_path / "one.png", clips.SIZE, 25, numbered=False) as one:
        one.write(clips.picture(50), 0)
    with open_output(tmp_path / "many.png", clips.SIZE, 25) as many:
        many.write(clips.picture(50), 0)
        many.write(clips.picture(60), 0.04)
    assert one.written == str(tmp_path / "one.png")
    assert many.written == f"{tmp_path / 'many_000000.png'} to {tmp_path / 'many_000001.png'}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many_000000.png", "many_000001.png", "one.png"]
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "one.png"))[..., ::-1], clips.picture(50))


def test_picture_may_be_a_jpeg(tmp_path: Path) -> None:
    with open_output(tmp_path / "one.jpg", clips.SIZE, 25, numbered=False) as one:
        one.write(clips.picture(50), 0)
    assert (tmp_path / "one.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    assert np.abs(cv2.imread(str(tmp_path / "one.jpg"))[..., ::-1].astype(int) - clips.picture(50)).mean() < 4


def test_what_was_made_before_an_interruption_is_a_whole_video(tmp_path: Path) -> None:
    def interrupted() -> None:
        with open_output(tmp_path / "out.mp4", clips.SIZE, 25) as opened:
            for at in TIMES[:7]:
                opened.write(clips.picture(9), at)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(list(open_source(str(tmp_path / "out.mp4")))) == 7


def test_without_a_picture_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(PoseedgeError, match="there was no picture to write"), open_output(tmp_path / "o.mp4", clips.SIZE, 25):
        pass
    with pytest.raises(ValueError, match="earlier"), open_output(tmp_path / "o.mp4", clips.SIZE, 25):
        raise ValueError("earlier")
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, sys
import numpy as np
from pathlib import Path
from poseedge.errors import PoseedgeError
from poseedge.live.video.output import open_output
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # a write beyond fails as on a full disk
noise = np.random.default_rng(0)
try:
    with open_output(Path(sys.argv[1]), (640, 480), 25) as opened:
        for number in range(100):
            opened.write(noise.integers(0, 256, (480, 640, 3), np.uint8), number / 25)
except PoseedgeError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_full_disk_is_said_and_nothing_half_written_stays(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{path}: cannot be written ("), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), open_output(tmp_path / "file" / "out.mp4", clips.SIZE, 25):
        pass
