"""Recording a live source from the page, and files of what was recorded."""

from __future__ import annotations

import io
import tempfile
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from poseedge.errors import DataError
from poseedge.live.demo.live import gathered
from poseedge.live.page.server import Files
from poseedge.live.stream import StreamFrame
from poseedge.live.types import Lifted
from poseedge.live.writers import write

SUFFIXES = (".npz", ".bvh", ".glb")


class Recorder:
    """Keeps the frames between ``record(True)`` and ``record(False)``; a new recording takes the last one's place."""

    def __init__(self, meta: dict[str, Any]) -> None:
        """``meta`` says how the poses come about, as ``Lifted.meta``."""
        self._meta, self._lock = meta, threading.Lock()
        self._frames: list[StreamFrame] = []
        self._running = False

    def record(self, on: bool) -> None:
        """Begin a new recording, or end it."""
        with self._lock:
            if on and not self._running:
                self._frames = []
            self._running = on

    def add(self, frame: StreamFrame) -> None:
        """Take a frame."""
        with self._lock:
            if self._running:
                self._frames.append(frame)

    @property
    def state(self) -> dict[str, Any]:
        """Return what pages show of it."""
        with self._lock:
            return {"running": self._running, "frames": len(self._frames)}

    def lifted(self) -> Lifted:
        """Return what was recorded; raises ``DataError`` if nothing was."""
        with self._lock:
            frames = list(self._frames)
        if not frames:
            raise DataError("nothing was recorded", "press record first")
        return gathered(frames, self._meta)


def downloads(poses: Callable[[], Lifted]) -> Files:
    """Return the files that a page offers of ``poses``."""
    return {f"/recording{suffix}": partial(_file, poses, suffix) for suffix in SUFFIXES}


def _file(poses: Callable[[], Lifted], suffix: str) -> tuple[str, bytes]:
    """Return name and content: one file, or a ZIP archive where each person has one."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write(poses(), Path(folder) / f"recording{suffix}").paths
        if len(paths) == 1:
            return paths[0].name, paths[0].read_bytes()
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in paths:
                packed.write(path, path.name)
        return f"recording_{suffix[1:]}.zip", archive.getvalue()
