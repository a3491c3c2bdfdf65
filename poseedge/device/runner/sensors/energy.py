"""Energy per pose: power sampled while windows are lifted one after the other, against power while nothing is done."""

import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from poseedge.device.runner.sensors.rails import read_rails, total_is, total_mw
from poseedge.device.runner.sensors.state import workstation_state
from poseedge.device.runner.sensors.tegrastats import parse_tegrastats

PERIOD_S = 0.05  # the chip averages: faster sampling repeats values
SETTLE_S = 1.0  # averages and fans lag
IDLE_S = 3.0

Samples = List[Tuple[float, float]]  # time in s, power in mW


class Meter(NamedTuple):
    """What tells power here."""

    read_mw: Callable[[], Optional[float]]
    of: str  # what it is the power of


@contextmanager
def power_meter() -> Iterator[Optional[Meter]]:
    """Yield what tells power here, None if nothing does: the board's own sensor, else tegrastats, else nvidia-smi."""
    rails = read_rails()
    if rails:
        yield Meter(lambda: total_mw(read_rails()), total_is(rails))
    elif shutil.which("tegrastats") is not None:  # a container may hide the sensor
        with tegrastats_meter() as meter:
            yield meter
    else:
        state = workstation_state() or {}
        known = state.get("power_mw") is not None
        yield (
            Meter(lambda: (workstation_state() or {}).get("power_mw"), "the graphics card, as nvidia-smi says") if known else None
        )


@contextmanager
def tegrastats_meter() -> Iterator[Optional[Meter]]:
    """Yield a meter that tells the power in tegrastats' newest line; None if it prints none."""
    command = ["tegrastats", "--interval", str(int(1000 * PERIOD_S))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    newest: Dict[str, float] = {}
    lines = process.stdout or ()

    def read() -> None:
        for line in lines:
            newest.update(parse_tegrastats(line)["rails_mw"])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        time.sleep(SETTLE_S)
        yield Meter(lambda: total_mw(newest), total_is(newest) + ", as tegrastats says") if newest else None
    finally:
        process.terminate()
        process.wait()


def energy_per_pose(meter: Meter, lift: Callable[[], Any], frames_out: int, seconds: float) -> Optional[Dict[str, Any]]:
    """Return joules per window and per pose of ``lift``, over ``seconds``; None if the meter told too little.

    Gross is all that the board took; net is without what it takes at rest.
    """
    idle, _, _ = sampled_power(meter, lambda: time.sleep(PERIOD_S), IDLE_S)
    busy, runs, elapsed_s = sampled_power(meter, lift, seconds)
    if min(len(idle), len(busy)) < 2:
        return None
    idle_w, mean_w = mean_watts(idle), mean_watts(busy)
    window_s = elapsed_s / runs
    return {
        "of": meter.of,
        "idle_w": idle_w,
        "mean_w": mean_w,
        "peak_w": max(mw for _, mw in busy) / 1000,
        "seconds": elapsed_s,
        "windows": runs,
        "gross_j_per_window": mean_w * window_s,
        "net_j_per_window": (mean_w - idle_w) * window_s,
        "gross_j_per_pose": mean_w * window_s / frames_out,
        "net_j_per_pose": (mean_w - idle_w) * window_s / frames_out,
    }


def sampled_power(meter: Meter, work: Callable[[], Any], seconds: float) -> Tuple[Samples, int, float]:
    """Repeat ``work`` for ``seconds`` once it has settled; return the power meanwhile, how often it ran, and for how long."""
    samples: Samples = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.is_set():
            found = meter.read_mw()
            if found is not None:
                samples.append((time.monotonic(), found))
            stop.wait(PERIOD_S)

    repeat(work, SETTLE_S)
    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        runs, elapsed_s = repeat(work, seconds)
    finally:
        stop.set()
        thread.join()
    return samples, runs, elapsed_s


def repeat(work: Callable[[], Any], seconds: float) -> Tuple[int, float]:
    """Run ``work`` for ``seconds``, once at least; return how often it ran, and for how long."""
    start, runs = time.monotonic(), 0
    while runs == 0 or time.monotonic() - start < seconds:
        work()
        runs += 1
    return runs, time.monotonic() - start


def mean_watts(samples: Samples) -> float:
    """Return the mean power over the time that samples span, by the trapezoid rule."""
    times, power = np.array(samples).T
    energy_mj = ((power[1:] + power[:-1]) / 2 * np.diff(times)).sum()
    return float(energy_mj / (times[-1] - times[0]) / 1000)
