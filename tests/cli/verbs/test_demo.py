"""``poseedge demo`` as a user types it, on a real clip of 30 frames."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import poseedge as product
from poseedge.live.demo.offline import Detection
from poseedge.live.detectors import open_detector
from poseedge.live.lift import lift_clip
from poseedge.live.video import open_source
from poseedge.live.writers import read_lifted
from poseedge.resources import resource
from tests.support import fake_camera
from tests.support.motion import VIDEO
from tests.support.user import Command, assert_refused

av = pytest.importorskip("av")
cv2 = pytest.importorskip("cv2")

TICK = Fraction(1, 90_000)
COMMAND = [sys.executable, "-c", "from poseedge.cli.app import main\nmain()", "demo"]


@pytest.fixture
def how(small_bundle: Path) -> list[object]:
    return ["--artefact", small_bundle]


def frames_of(path: Path) -> list[np.ndarray]:
    return [frame.rgb for frame in open_source(str(path))]


def test_video_becomes_a_video_and_poses(poseedge: Command, how: list[object], small_bundle: Path) -> None:
    outcome = poseedge("demo", VIDEO, *how, "-o", "out.mp4", "-o", "poses.npz")
    assert outcome.status == 0, outcome.err
    assert "written: poses.npz\nwritten: out.mp4\n" in outcome.out
    with av.open("out.mp4") as container:
        assert container.duration / 1e6 == pytest.approx(30 / 20, abs=0.01)
    pictures = frames_of(Path("out.mp4"))
    assert (len(pictures), pictures[0].shape) == (30, (720, 1280, 3))

    clip = Detection(open_source(str(VIDEO)), open_detector()).run(lambda _: None)
    expected = lift_clip(product.load(small_bundle), clip)
    found = read_lifted(Path("poses.npz"))
    np.testing.assert_array_equal(found.poses_m, expected.poses_m)
    np.testing.assert_allclose(found.times_s, np.arange(30) / 20, atol=1e-3)
    assert found.meta["size"] == [270, 480]


def test_keypoints_are_drawn_over_their_video(poseedge: Command, how: list[object]) -> None:
    clip = Detection(open_source(str(VIDEO)), open_detector()).run(lambda _: None)
    (track,) = clip.tracks
    np.savez("keypoints.npz", keypoints=np.concatenate([track.keypoints, track.scores[..., None]], axis=-1))
    outcome = poseedge("demo", "keypoints.npz", "--video", VIDEO, *how, "-o", "over.mp4", "-o", "over.npz")
    assert outcome.status == 0, outcome.err
    assert poseedge("demo", VIDEO, *how, "-o", "found.mp4", "-o", "found.npz").status == 0
    np.testing.assert_allclose(read_lifted(Path("over.npz")).poses_m, read_lifted(Path("found.npz")).poses_m, atol=1e-4)
    over, found = frames_of(Path("over.mp4")), frames_of(Path("found.mp4"))
    assert len(over) == len(found)
    assert np.abs(over[15].astype(int) - found[15]).mean() < 1


def test_picture_becomes_a_picture(poseedge: Command, how: list[object]) -> None:
    cv2.imwrite("person.png", frames_of(VIDEO)[10][..., ::-1])
    outcome = poseedge("demo", "person.png", *how, "-o", "out.png", "-o", "pose.json")
    assert outcome.status == 0, outcome.err
    assert cv2.imread("out.png").shape == (720, 1280, 3)
    assert Path("pose.json").is_file()


def test_pictures_of_a_folder_are_each_their_own(poseedge: Command, how: list[object]) -> None:
    Path("photos").mkdir()
    for number, rgb in (
        (9, frames_of(VIDEO)[0]),
        (10, np.full((480, 270, 3), 90, np.uint8)),
        (11, frames_of(VIDEO)[20][:, ::-1]),
    ):
        cv2.imwrite(f"photos/{number}.png", rgb[..., ::-1])
    outcome = poseedge("demo", "photos", *how, "-o", "out.png", "-o", "poses.npz", "--json")
    assert outcome.status == 0, outcome.err
    assert sorted(path.name for path in Path().glob("out*")) == [f"out_{number:06d}.png" for number in range(3)]
    assert read_lifted(Path("poses.npz")).seen.any(axis=0).tolist() == [True, False, True]


def test_json_says_how_long_each_step_took(poseedge: Command, how: list[object]) -> None:
    found = poseedge("demo", VIDEO, *how, "-o", "out.gif", "--turn", "--seconds", "0.5", "--json").json
    assert found["frames"] == 10
    assert set(found["ms"]) == {"read", "detect", "lift", "shrink", "draw", "encode"}
    assert min(found["ms"].values()) > 0
    assert (found["detector"], found["written"]) == ("movenet", ["out.gif"])


def test_phones_video_is_upright(poseedge: Command, how: list[object]) -> None:
    from tests.live.video import clips

    lying = [np.rot90(rgb, 1) for rgb in frames_of(VIDEO)]  # as the sensor saw it
    with av.open("phone.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 480, 270, "yuv420p"
        for rgb in lying:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")))
        container.mux(stream.encode(None))
    clips.turn(Path("phone.mp4"), 90)
    assert poseedge("demo", "phone.mp4", *how, "-o", "phone.npz").status == 0
    assert poseedge("demo", VIDEO, *how, "-o", "upright.npz").status == 0
    phone, upright = read_lifted(Path("phone.npz")), read_lifted(Path("upright.npz"))
    assert phone.meta["size"] == [270, 480]
    assert np.nanmean(np.linalg.norm(phone.keypoints_px - upright.keypoints_px, axis=-1)) < 3


def test_variable_frame_rate_gives_each_pose_its_frames_time(poseedge: Command, how: list[object]) -> None:
    times = np.cumsum([0.0] + [0.03, 0.07] * 14 + [0.05])
    with av.open("vfr.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 270, 480, "yuv420p"
        stream.codec_context.time_base = stream.time_base = TICK
        for rgb, at in zip(frames_of(VIDEO), times, strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = round(at / TICK), TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert poseedge("demo", "vfr.mp4", *how, "-o", "out.mp4", "-o", "poses.npz").status == 0
    np.testing.assert_allclose(read_lifted(Path("poses.npz")).times_s, times, atol=1e-3)
    np.testing.assert_allclose([frame.time_s for frame in open_source("out.mp4")], times, atol=1e-3)


def test_truncated_video_gives_what_it_holds_and_says_so(poseedge: Command, how: list[object]) -> None:
    with av.open(str(VIDEO)) as source, av.open("whole.mp4", "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    content = Path("whole.mp4").read_bytes()
    Path("cut.mp4").write_bytes(content[: len(content) * 2 // 3])
    outcome = poseedge("demo", "cut.mp4", *how, "-o", "out.mp4", "-o", "poses.npz", "--json")
    assert outcome.status == 0, outcome.err
    assert 5 < outcome.json["frames"] < 30
    assert f"{outcome.json['frames']} of the 30 frames that cut.mp4 speaks of were read" in outcome.json["notes"]
    assert len(frames_of(Path("out.mp4"))) == outcome.json["frames"]


def test_picture_of_nobody_is_an_answer_and_leaves_nothing(poseedge: Command, how: list[object], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "empty.png"), np.full((480, 640, 3), 90, np.uint8))
    outcome = poseedge("demo", tmp_path / "empty.png", *how, "-o", "out.png", "-o", "pose.npz")
    assert_refused(outcome, "no pose in 1 frames, nobody was found in it")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nothing.mp4", "-o", "out.mp4"], "nothing.mp4: no such video, picture or folder"),
        (["keypoints.json", "-o", "out.mp4"], "keypoints.json: looks like keypoints, not pictures"),
        (["{clip}", "-o", "out.avi"], "out.avi: unknown kind of output '.avi'"),
        (["{clip}", "-o", "out"], "no suffix says the kind of output"),
        (["{clip}", "-o", "out.mp4", "--layout", "coco17"], "--layout cannot apply here"),
        (["{clip}", "-o", "out.mp4", "--size", "640x480"], "--size cannot apply here"),
        (["k.npz", "--video", "{clip}", "--people", "2"], "--people cannot apply here"),
        (["k.npz", "--video", "{clip}", "-o", "out.mp4"], "k.npz: no such file or folder"),
        (["{clip}", "--detector", "none.onnx", "-o", "out.mp4"], "none.onnx: no such detector"),
        (["{clip}", "--backend", "gpu", "-o", "out.mp4"], "no backend 'gpu' for .onnx files"),
        (["99", "-o", "out.mp4"], "camera 99: cannot be opened"),
        (["{clip}", "--person", "7", "-o", "out.mp4"], "there is no person 7"),
    ],
)
def test_what_cannot_be_done_is_refused(poseedge: Command, how: list[object], arguments: list[str], error: str) -> None:
    assert_refused(poseedge("demo", *(argument.format(clip=VIDEO) for argument in arguments), *how), error)


def test_bundled_network_is_the_default(poseedge: Command) -> None:
    found = poseedge("demo", VIDEO, "-o", "poses.npz", "--seconds", "0.2", "--json").json
    assert (found["model"], found["detector"], found["people"][0]["frames"]) == ("nanohtnet", "movenet", 4)
    assert Path(found["artefact"]).is_relative_to(resource("weights"))


def test_without_a_file_it_wants_a_window_and_says_what_to_do_without_one(poseedge: Command, how: list[object]) -> None:
    outcome = poseedge("demo", VIDEO, *how, "--seconds", "0.2")
    assert outcome.status == 2
    assert "hint: give a file: -o out.mp4" in outcome.err


def test_what_cannot_be_is_refused_before_people_are_looked_for(poseedge: Command, tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = {
            "no window to show it in": [],
            "folder.mp4: is a folder": ["-o", tmp_path / "folder.mp4"],
            f"port {port} cannot be opened": ["--web", "--port", port],
            "--person 'me': expected 'largest' or the number of a person": ["-o", tmp_path / "out.mp4", "--person", "me"],
        }
        for said, words in refused.items():
            outcome = poseedge("demo", VIDEO, *words)
            assert outcome.status == 2
            assert said in outcome.err
            assert "finding people" not in outcome.err


def test_camera_that_is_unplugged_leaves_what_was_made(
    poseedge: Command, how: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_camera.plug_in(tmp_path, monkeypatch, VIDEO, count=40)
    outcome = poseedge("demo", "csi", *how, "--size", "480x480", "--fps", 20, "-o", "out.mp4", "-o", "poses.npz")
    assert outcome.status == 2
    assert "error: csi camera: gst-launch-1.0 gives no more pictures (ERROR: the camera went away)" in outcome.err
    assert "delay from capture to pose" in outcome.out
    assert len(frames_of(Path("out.mp4"))) > 5
    lifted = read_lifted(Path("poses.npz"))
    assert lifted.seen.any()
    assert (np.diff(lifted.times_s) > 0).all()
    assert lifted.times_s[-1] < 4


def test_live_delay_is_the_look_aheads_and_little_more(
    poseedge: Command, how: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_camera.plug_in(tmp_path, monkeypatch, VIDEO, count=10**6)
    delays = []
    for frames in (0, 14):
        options = ["--size", "480x480", "--fps", 10, "--seconds", 2, "--look-ahead", frames, "-o", f"{frames}.npz", "--json"]
        outcome = poseedge("demo", "csi", *how, *options)
        assert outcome.status == 0, outcome.err
        delays.append(outcome.json["delay_ms"]["p50"])
    assert 0 < delays[0] < delays[1]
    assert delays[1] - delays[0] == pytest.approx(280, abs=150)  # 14 frames of 50 Hz


@pytest.mark.parametrize(("option", "value"), [("--person", "1"), ("--height", "1.8")])
def test_what_needs_the_whole_recording_is_refused_live(
    option: str, value: str, poseedge: Command, how: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_camera.plug_in(tmp_path, monkeypatch, VIDEO, count=10**6)
    assert_refused(poseedge("demo", "csi", *how, option, value, "-o", "out.mp4"), f"{option} cannot apply here")


def test_ctrl_c_keeps_what_was_made(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poseedge: Command
) -> None:
    fake_camera.plug_in(tmp_path, monkeypatch, VIDEO, count=10**6)
    command = [*COMMAND, "csi", "--artefact", str(small_bundle), "--size", "480x480", "-o", "out.mp4", "-o", "poses.npz"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in Path().glob(".out.mp4.*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert "written: out.mp4" in out
    assert len(frames_of(Path("out.mp4"))) > 3
    assert read_lifted(Path("poses.npz")).seen.any()
    assert {path.name for path in Path().iterdir()} == {"out.mp4", "poses.npz"}


def test_full_disk_is_said_and_leaves_no_half_video(small_bundle: Path, tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"  # fails as a full disk does
    program = limit + "from poseedge.cli.app import main\nmain()"
    arguments = ["demo", str(VIDEO), "--artefact", str(small_bundle), "-o", str(tmp_path / "out.mp4")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"error: {tmp_path / 'out.mp4'}: cannot be written (" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
