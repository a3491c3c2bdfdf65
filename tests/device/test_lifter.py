"""A bundle's run.py is a library, too: keypoints in, poses out, on whatever the device has."""

from __future__ import annotations

import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from poseedge.arrays import Float32Array
from poseedge.data.cameras import normalize_screen
from poseedge.lifter import LifterSpec
from poseedge.live.overlap import schedule
from tests.doubles.install import EACH_VERSION, uninstall
from tests.support.device import Device, rewrite_samples
from tests.support.lifting_bundle import FRAMES, JOINTS, LIMITS, OUTPUT_FRAMES, load_runner


@pytest.fixture
def run(device: Device) -> ModuleType:
    """The bundle's own run.py, imported."""
    return load_runner(device.run_py)


def samples(device: Device) -> tuple[Float32Array, Float32Array]:
    with np.load(device.folder / "samples.npz") as arrays:
        return arrays["keypoints"], arrays["poses_m"]


@pytest.mark.slow
@pytest.mark.parametrize("version", EACH_VERSION)
@pytest.mark.parametrize("precision", LIMITS)
def test_it_gives_the_poses_of_the_bundle(device: Device, run: ModuleType, version: str, precision: str) -> None:
    device.has(version)
    windows, poses = samples(device)
    with run.Lifter(precision=precision) as lifter:
        found = lifter(windows)
        assert (lifter.backend, lifter.precision) == ("tensorrt", precision)
        assert (lifter.frames, lifter.output_frames) == (FRAMES, OUTPUT_FRAMES)
        np.testing.assert_array_equal(lifter(windows[2]), found[2])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, poses, atol=LIMITS[precision]["p99_mm"] / 1000)


def test_it_runs_on_onnx_runtime_where_there_is_no_tensorrt(
    device: Device, run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninstall(monkeypatch, "tensorrt")
    windows, poses = samples(device)
    lifter = run.Lifter(str(device.folder))
    assert lifter.backend == "onnxruntime"
    np.testing.assert_allclose(lifter(windows), poses, atol=1e-5)
    assert lifter(windows[:0]).shape == (0, 3, JOINTS, 3)


def test_any_thread_may_call_it_and_close_it(device: Device, run: ModuleType) -> None:
    gpu = device.has("10.3.0").gpu
    windows, poses = samples(device)
    lifter, found = run.Lifter(), []
    assert not gpu.contexts  # nothing stays current in the caller's thread
    threads = [threading.Thread(target=lambda: found.append(lifter(windows))) for _ in range(4)]
    threads.append(threading.Thread(target=lifter.close))
    for thread in threads[:4]:
        thread.start()
    for thread in threads[:4]:
        thread.join()
    threads[4].start()
    threads[4].join()
    assert len(found) == 4
    for poses_found in found:
        np.testing.assert_allclose(poses_found, poses, atol=1e-5)
    with pytest.raises(run.Refused, match="has been closed"):
        lifter(windows)
    lifter.close()


@pytest.mark.slow
def test_engines_may_lie_elsewhere_and_are_found_again(device: Device, run: ModuleType, tmp_path: Path) -> None:
    fake = device.has("8.5.2.2")
    for _ in range(2):
        run.Lifter(engines=tmp_path / "engines").close()
    assert (len(fake.built), device.names("*.plan")) == (1, [])


def test_a_device_that_gives_other_poses_is_refused_and_left_as_it_was(device: Device, run: ModuleType) -> None:
    device.has("10.3.0")
    rewrite_samples(device.folder, poses_m=lambda poses: poses + np.float32(1))
    with pytest.raises(run.Refused, match="mm off the reference"):
        run.Lifter()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keypoints", "reason"),
    [
        (np.zeros((9, 17, 3)), r"\(9, 17, 3\), wanted \(B, 9, 17, 2\)"),
        (np.zeros((1, 1, 9, 17, 2)), "wanted"),
        (np.full((9, 17, 2), np.nan), "no numbers"),
        (np.full((9, 17, 2), 500.0), r"from 500 to 500, where the screen's edges are at -1 and 1: are they pixels\? on_screen\("),
        (np.full((9, 17, 2), -3.5), "are they pixels"),
    ],
)
def test_wrong_keypoints_are_refused(device: Device, run: ModuleType, keypoints: Any, reason: str) -> None:
    with run.Lifter(backend="onnxruntime") as lifter, pytest.raises(run.Refused, match=reason):
        lifter(keypoints)


@pytest.mark.slow
def test_stray_keypoints_of_a_detector_are_lifted_and_fractions_of_the_picture_doubted(
    device: Device, run: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    windows, _ = samples(device)
    with run.Lifter(backend="onnxruntime") as lifter:
        capsys.readouterr()
        stray = windows[:1].copy()
        stray[0, ::5, 3] = 40
        lifter(stray)
        lifter(np.zeros_like(windows))
        assert capsys.readouterr().err == ""
        fractions = np.random.default_rng(0).uniform(0.1, 0.9, windows.shape)
        fractions[:, :, 3] = 0  # as detectors write joints that they did not find
        lifter(fractions)
        assert "all keypoints lie between 0 and 1" in capsys.readouterr().err


def test_poses_that_are_no_numbers_are_refused(device: Device, run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    windows, _ = samples(device)
    with run.Lifter(backend="onnxruntime", precision="fp16") as lifter:
        monkeypatch.setattr(lifter._runner, "infer", lambda window: np.full((3, 17, 3), np.nan, np.float32))
        with pytest.raises(run.Refused, match="gives values that are no numbers for these keypoints; run fp32"):
            lifter(windows)


def test_pixels_are_brought_to_the_screen_as_the_networks_read_them(run: ModuleType) -> None:
    pixels = np.random.default_rng(0).uniform(0, 1000, (4, 17, 2)).astype(np.float32)
    np.testing.assert_allclose(run.on_screen(pixels, 1920, 1080), normalize_screen(pixels, 1920, 1080), atol=1e-6)
    with_scores = np.concatenate([pixels, np.full((4, 17, 1), 0.5, np.float32)], axis=-1)
    np.testing.assert_array_equal(run.on_screen(with_scores, 1920, 1080)[..., 2], 0.5)


# Streams


def drift(count: int) -> Float32Array:
    """Return ``(count, 17, 2)`` keypoints that wander."""
    return np.random.default_rng(5).normal(0, 0.05, (count, JOINTS, 2)).cumsum(axis=0).astype(np.float32)


def mean_of_windows(lifter: Any, keypoints: Float32Array, every: int) -> Float32Array:
    """Return each frame's pose by the definition: the weighted mean of all windows that are run and show it."""
    last, shown = len(keypoints) - 1, np.array(lifter.output_frames)
    weights = np.minimum(np.arange(len(shown)) + 1, len(shown) - np.arange(len(shown)))
    total, weight = np.zeros((len(keypoints), JOINTS, 3)), np.zeros(len(keypoints))
    for newest in range(0, last + lifter.frames, every):
        rows = np.arange(newest + 1 - lifter.frames, newest + 1)
        poses = lifter(keypoints[np.clip(rows, 0, last)])
        for slot, frame in enumerate(rows[shown]):
            if 0 <= frame <= last:
                total[frame] += weights[slot] * poses[slot]
                weight[frame] += weights[slot]
    poses = total / weight[:, None, None]
    poses[:, 0] = 0
    return poses.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4, 30])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_stream_gives_every_frame_once_as_the_mean_of_its_windows(
    device: Device, run: ModuleType, count: int, every: int
) -> None:
    keypoints = drift(count)
    with run.Lifter(backend="onnxruntime") as lifter:
        stream = run.Stream(lifter, every)
        for _ in range(2):  # it begins anew after the end
            given = [posed for row in keypoints for posed in stream.push(row)]
            assert [frame for frame, _ in given] == list(range(max(count - stream.look_ahead, 0)))
            given += stream.finish()
            assert [frame for frame, _ in given] == list(range(count))
            wanted = mean_of_windows(lifter, keypoints, every)
            np.testing.assert_allclose([pose for _, pose in given], wanted, atol=2e-6)


def test_a_stream_waits_as_long_as_poseedges_own(device: Device, run: ModuleType) -> None:
    with run.Lifter(backend="onnxruntime") as lifter:
        plan = schedule(LifterSpec("smallnet", FRAMES, OUTPUT_FRAMES, "fp32", 1))
        assert (run.Stream(lifter).look_ahead, run.Stream(lifter).every) == (plan.look_ahead, plan.every)


def test_a_stream_refuses_what_leaves_frames_without_a_pose(device: Device, run: ModuleType) -> None:
    with run.Lifter(backend="onnxruntime") as lifter:
        for every in (0, 4):
            with pytest.raises(run.Refused, match="leaves frames without a pose; 1 to 3"):
                run.Stream(lifter, every)
        with pytest.raises(run.Refused, match=r"keypoints are \(17, 3\), wanted \(17, 2\)"):
            run.Stream(lifter).push(np.zeros((17, 3)))
        assert run.Stream(lifter).finish() == []
