"""What the builder calls back: progress monitors and calibrators, and what becomes of an exception in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.doubles.binding import Fake

if TYPE_CHECKING:
    from tests.doubles.network import NetworkDefinition


class ProgressMonitor:
    """Base of monitors; a subclass must call ``__init__``."""

    def __init__(self) -> None:
        self.ready = True


def report_progress(monitor: Any, steps: int, fake: Fake) -> str | None:
    """Tell a monitor of a build with one phase inside another; returns a line for the log if it cancels."""
    assert monitor.ready
    guarded(fake, monitor.phase_start, "Building Engine", None, steps)
    try:
        for step in range(steps):
            guarded(fake, monitor.phase_start, "Timing", "Building Engine", 1)
            inner = guarded(fake, monitor.step_complete, "Timing", 0)
            guarded(fake, monitor.phase_finish, "Timing")
            if not inner or not guarded(fake, monitor.step_complete, "Building Engine", step):
                return "Build cancelled by the progress monitor"
        return None
    finally:
        guarded(fake, monitor.phase_finish, "Building Engine")


def guarded(fake: Fake, callback: Any, *arguments: Any) -> Any:
    """Call into Python as the bindings do from 8.4 on: what is raised is printed, and counts as False."""
    try:
        return callback(*arguments)
    except BaseException as error:
        if fake.release < (8, 4):
            raise AssertionError("the process aborts: an exception left a callback") from error
        fake.printed.append(f"[ERROR] Exception caught in {callback.__name__}(): {error!r}")
        return False


class Calibrator:
    """Base of calibrators; a subclass must call ``__init__``."""

    def __init__(self) -> None:
        self.ready = True


def calibrate(calibrator: Any, network: NetworkDefinition, fake: Fake) -> float:
    """Return the largest input that a calibrator knows or shows."""
    assert calibrator.ready
    cache = guarded(fake, calibrator.read_calibration_cache)
    if cache:
        return float(bytes(cache).split(b" ")[1])
    names, largest = [tensor.name for tensor in network._inputs], 0.0
    while addresses := guarded(fake, calibrator.get_batch, names):
        assert len(addresses) == len(names)
        shape = (calibrator.get_batch_size(), *network._inputs[0].shape[1:])
        values = np.frombuffer(fake.gpu.device_bytes(addresses[0], int(np.prod(shape)) * 4), np.float32)
        largest = max(largest, float(np.abs(values).max()))
    text = bytearray(f"TRT-{fake.version}-MinMaxCalibration {largest}".encode())
    guarded(fake, calibrator.write_calibration_cache, memoryview(text))
    text[:] = b"\0" * len(text)  # the memory is TensorRT's own again
    return largest
