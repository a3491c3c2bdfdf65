"""A lifter and streams that are used for long, by four threads, give what they gave at first, in constant memory.

``make soak`` goes on for 100,000 calls.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poseedge.arrays import Float32Array
from poseedge.backends.registry import load
from poseedge.lifter import Lifter, random_keypoints
from poseedge.live.stream import Stream
from tests.support import motion

CALLS = int(os.environ.get("SOAK_CALLS", "2000"))  # of the network, by all threads together
THREADS = 4
WARM = 0.2  # the share of calls after which memory is to stay
GROWTH = 16 << 20  # bytes: what malloc keeps for itself varies

pytestmark = pytest.mark.slow


def resident_bytes() -> int:
    """Return what this process holds of memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(step: Callable[[int, int], None]) -> int:
    """Have each thread call ``step(thread, call)``; return by how many bytes memory grew once it was warm."""
    each, warm = CALLS // THREADS, threading.Barrier(THREADS + 1)
    errors: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for call in range(each):
                if call == int(WARM * each):
                    warm.wait()
                step(thread, call)
        except BaseException as error:
            errors.append(error)
            warm.abort()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        warm.wait()
    except threading.BrokenBarrierError:
        raise errors[0] from None
    before = resident_bytes()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    grown = resident_bytes() - before
    print(f"{CALLS} calls: {before / 1e6:.1f} MB once warm, {grown / 1e6:+.2f} MB since")
    return grown


@pytest.fixture
def lifter(small_bundle: Path) -> Lifter:
    return load(small_bundle, "int8")


def test_lifter_shared_by_threads(lifter: Lifter) -> None:
    inputs = [random_keypoints(lifter.spec, 1) * np.float32(1 - 0.1 * number) for number in range(7)]
    wanted = [lifter(keypoints) for keypoints in inputs]

    def step(thread: int, call: int) -> None:
        number = (thread + call) % len(inputs)
        np.testing.assert_array_equal(lifter(inputs[number]), wanted[number])

    grown = soak(step)
    assert grown < GROWTH


def test_streams_of_one_lifter_in_threads(lifter: Lifter) -> None:
    seen = motion.coco()
    streams = [Stream(lifter, motion.SIZE, 50) for _ in range(THREADS)]
    given = [0] * THREADS
    poses: list[list[Float32Array]] = [[] for _ in range(THREADS)]

    def step(thread: int, call: int) -> None:
        for frame in streams[thread].push({call // 500: seen[call % len(seen)]}):  # somebody else every ten seconds
            given[thread] += 1
            if frame.frame < 400:
                poses[thread] += [person.pose_m for person in frame.people.values()]

    grown = soak(step)
    assert grown < GROWTH
    for thread, stream in enumerate(streams):
        assert given[thread] + len(stream.finish()) == CALLS // THREADS
        np.testing.assert_array_equal(poses[thread], poses[0])
    assert len(poses[0]) > 100
