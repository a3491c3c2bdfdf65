"""One lifter, many threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

import numpy as np

from poseedge.arrays import Float32Array
from poseedge.lifter import Lifter

CALLS, THREADS = 300, 4


def strangers(lifter: Lifter, windows: Sequence[Float32Array]) -> int:
    """Return how many of 300 calls from four threads give other poses than the same call from one thread."""
    wanted = [lifter(each) for each in windows]
    wrong: list[int] = []
    ready = threading.Barrier(THREADS)

    def work(number: int) -> None:
        ready.wait()
        for call in range(number, CALLS, THREADS):
            if not np.array_equal(lifter(windows[call % len(windows)]), wanted[call % len(windows)]):
                wrong.append(call)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads change places within calls, not between them
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    return len(wrong)
