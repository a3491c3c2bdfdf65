"""Where keypoints and poses lie for the GPU: copied to and from its own memory, or in host memory that is mapped into it."""

import time
from typing import Any, Callable, Dict, List

import numpy as np

# From here on an integrated GPU sees the processor's caches; before, mapped memory is not cached for the processor
# (NVIDIA, CUDA for Tegra, "Memory Types").
COHERENT_FROM = (7, 2)
COPIED, MAPPED = "copied", "mapped"
TRIED, BLOCKS = 25, 8  # runs in a block, blocks each way
TRIED_S = 0.5  # after which no block begins


def shares_memory(cuda: Any, device: Any) -> bool:
    """As ``may_be_mapped``, of a device of pycuda."""
    known = cuda.device_attribute
    shared = (device.get_attribute(kind) for kind in (known.INTEGRATED, known.CAN_MAP_HOST_MEMORY))
    return may_be_mapped(device.compute_capability(), *shared)


def may_be_mapped(capability: Any, integrated: Any, maps_host_memory: Any) -> bool:
    """Say whether the GPU shares the processor's memory and its caches, so that nothing need be copied."""
    return bool(integrated) and bool(maps_host_memory) and tuple(capability) >= COHERENT_FROM


def choose_by_time(runs: Dict[str, Callable[[], Any]]) -> Dict[str, Any]:
    """Return which of ``runs`` is the fastest, and what a run took each way, in ms: medians of blocks in turn.

    Of those that give other poses than the first, bit for bit, none is taken.
    """
    names = list(runs)
    first, *others = names
    wanted = runs[first]()
    allowed = [first] + [name for name in others if np.array_equal(runs[name](), wanted)]
    spent: Dict[str, List[float]] = {name: [] for name in allowed}
    start = time.monotonic()
    while len(spent[first]) < BLOCKS and (not spent[first] or time.monotonic() - start < TRIED_S):
        for name in allowed:
            spent[name].append(float(np.median([timed_ms(runs[name]) for _ in range(TRIED)])))
    found = {name: float(np.median(spent[name])) for name in allowed}
    chosen = min(allowed, key=lambda name: found[name])
    report: Dict[str, Any] = {"chosen": chosen}
    report.update({name + "_ms": found.get(name) for name in names})
    return report


def timed_ms(run: Callable[[], Any]) -> float:
    """Return how long a run took."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def memory_words(memory: Dict[str, Any]) -> str:
    """Say what was chosen."""
    copied, mapped = memory[COPIED + "_ms"], memory[MAPPED + "_ms"]
    if mapped is None:
        return "keypoints and poses copied: from memory mapped into the GPU they come out otherwise"
    words = "keypoints and poses {}: {:.4f} ms a call copied, {:.4f} ms mapped into the GPU"
    return words.format(memory["chosen"], copied, mapped)
