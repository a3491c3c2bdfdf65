"""The bundle's network as a function: keypoints in, poses out."""

import argparse
import sys
import threading
from pathlib import Path
from typing import Any, Optional

import numpy as np

from poseedge.device.runner.backends import open_runner, tensorrt_for
from poseedge.device.runner.bundle import JOINTS, open_bundle
from poseedge.device.runner.measure import compare_poses
from poseedge.device.runner.words import Refused, note

FAR_OFF = 3.0  # screen coordinates beyond this are no detector's
STRAY = 0.1  # of the keypoints may be: a detector errs, too


class Lifter:
    """A bundle's network, opened on this device and checked on the bundle's sample windows.

        from run import Lifter, on_screen

        with Lifter(precision="fp16") as lifter:
            poses_m = lifter(on_screen(keypoints_px, 1920, 1080))

    Any thread may call it; calls take turns. The engine is built where there is none that fits.
    """

    def __init__(
        self,
        folder: Optional[Any] = None,
        precision: str = "fp32",
        backend: Optional[str] = None,
        engines: Optional[Any] = None,
        workspace_mib: int = 256,
    ) -> None:
        """``folder``: the bundle, by default where this file lies; ``backend``: ``tensorrt``, ``onnxruntime`` or the best here.

        ``engines``: folder to keep engines in, by default beside the graph. Raises ``Refused`` where the bundle is damaged, this
        device cannot run it, or its poses are not within the bundle's limits.
        """
        options = argparse.Namespace(
            backend=backend, engines=None if engines is None else Path(str(engines)), workspace_mib=workspace_mib, rebuild=False
        )
        trt = tensorrt_for(backend)
        self._bundle = open_bundle(Path(str(folder or Path(__file__).parent)).absolute(), precision, trt)
        manifest = self._bundle.manifest
        self.model, self.precision = manifest.get("model"), self._bundle.precision
        self.frames, self.channels = self._bundle.keypoints.shape[1], self._bundle.keypoints.shape[3]
        self.output_frames = tuple(manifest["output_frames"])  # the window's frame that each pose shows
        self._lock = threading.Lock()
        self._opened = open_runner(self._bundle, options, trt)
        self._runner = self._opened.__enter__()
        self.backend, self.provider = self._runner.backend, self._runner.provider
        try:
            self._runner.choose_memory(self._bundle.keypoints[0])
            self._verify()
            self._runner.capture()
        except BaseException:
            self._runner = None
            self._opened.__exit__(*sys.exc_info())
            raise
        self._runner.leave()  # what else uses the GPU in this thread keeps its own context

    def __call__(self, keypoints: Any) -> Any:
        """Lift windows ``(B, T, 17, C)``, or one ``(T, 17, C)``, of normalized screen coordinates.

        Returns float32 ``(B, T_out, 17, 3)`` or ``(T_out, 17, 3)``: metres, root-relative, in the camera's axes.
        """
        windows = np.asarray(keypoints, np.float32)
        shape = (self.frames, JOINTS, self.channels)
        if windows.shape[-3:] != shape or windows.ndim not in (3, 4):
            raise Refused("keypoints are {}, wanted (B, {}, {}, {}) or one of these windows".format(windows.shape, *shape))
        check_keypoints(windows)
        with self._lock:
            if self._runner is None:
                raise Refused("this lifter has been closed")
            self._runner.enter()
            try:
                poses = [self._runner.infer(window) for window in windows.reshape(-1, *shape)]
            finally:
                self._runner.leave()
        lifted = np.stack(poses) if poses else np.empty((0, len(self.output_frames), JOINTS, 3), np.float32)
        if not np.isfinite(lifted).all():
            hint = "run fp32: half precision ends at 65504" if "fp16" in self.precision else "are its weights damaged?"
            raise Refused("{} gives values that are no numbers for these keypoints; {}".format(self._bundle.graph, hint))
        return lifted[0] if windows.ndim == 3 else lifted

    def close(self) -> None:
        """Release the device; more calls do no harm."""
        with self._lock:
            if self._runner is not None:
                self._runner.enter()
                self._runner = None
                self._opened.__exit__(None, None, None)

    def __enter__(self) -> "Lifter":
        return self

    def __exit__(self, *failure: Any) -> None:
        self.close()

    def _verify(self) -> None:
        """Refuse a device that gives other poses than the exporter's."""
        poses = np.stack([self._runner.infer(window) for window in self._bundle.keypoints])
        distance, passed = compare_poses(poses, self._bundle.poses, self._bundle.limits)
        if not passed:
            limits = self._bundle.limits
            raise Refused("{}: poses are {} mm off the reference, allowed are {}".format(self._bundle.graph, distance, limits))


def check_keypoints(windows: Any) -> None:
    """Refuse keypoints ``(..., 17, C)`` that are no numbers, or no screen coordinates; warn of fractions of the picture."""
    if not np.isfinite(windows).all():
        raise Refused("keypoints hold values that are no numbers; bridge missing joints first")
    points = windows[..., :2]
    if not points.size:
        return
    low, high = float(points.min()), float(points.max())
    if max(-low, high) > FAR_OFF and np.mean(np.abs(points) > FAR_OFF) > STRAY:
        raise Refused(
            "keypoints reach from {:g} to {:g}, where the screen's edges are at -1 and 1: are they pixels? "
            "on_screen(keypoints, width, height) normalizes them".format(low, high)
        )
    if 0 <= low < high <= 1 and np.mean(points > 0) > 0.5:
        note(
            "all keypoints lie between 0 and 1; if they are fractions of the picture's sides: on_screen(keypoints * [w, h], w, h)"
        )


def on_screen(keypoints_px: Any, width: float, height: float) -> Any:
    """Return pixels as the networks read them: the width becomes -1 to 1, the height follows in proportion.

    ``(..., 17, 2)``, or ``(..., 17, 3)`` whose third number, a confidence, stays; after VideoPose3D's ``camera.py``.
    """
    points = np.array(keypoints_px, np.float32)
    points[..., :2] = points[..., :2] / np.float32(width) * 2 - np.array([1, height / width], np.float32)
    return points
