"""Lines of tegrastats, of every board and release: tokens are read, never positions."""

import re
from typing import Any, Dict

MEMORY = re.compile(r"\b(?:RAM|SWAP|IRAM) \d+/\d+[kM]B ?\([^)]*\)")
PROCESSORS = re.compile(r"\bCPU \[[^\]]*\]")
RAIL = re.compile(r"(?<!\S)([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/(\d+)(?:mW)?(?:/\d+(?:mW)?)?(?=\s|$)")
TEMPERATURE = re.compile(r"(?<!\S)([A-Za-z][\w.-]*)@(-?\d+(?:\.\d+)?)C(?:/-?\d+(?:\.\d+)?C)?(?=\s|$)")
GPU = re.compile(r"\bGR3D_FREQ (?:(\d+)%)?(?:@\[?(\d+(?:,\d+)*)\]?)?")
MEMORY_CLOCK = re.compile(r"\bEMC_FREQ \d+%@(\d+)")
OFF_C = -100  # a sensor that is off says -256
DUMMY = "pmic"  # always 50 or 100


def parse_tegrastats(line: str) -> Dict[str, Any]:
    """Return ``rails_mw`` and ``temperatures_c`` by name, ``gpu_load`` (0 to 1), ``gpu_mhz`` and ``emc_mhz``; None if not told.

    Power is that of the moment: the averages in the line count from the start of tegrastats.
    """
    rest = PROCESSORS.sub(" ", MEMORY.sub(" ", line))
    gpu, memory = GPU.search(rest), MEMORY_CLOCK.search(rest)
    load, clocks = gpu.groups() if gpu else (None, None)
    temperatures = {name.lower(): float(value) for name, value in TEMPERATURE.findall(rest)}
    return {
        "rails_mw": {name: float(now) for name, now, _ in RAIL.findall(rest) if name != "NC"},
        "temperatures_c": {name: value for name, value in temperatures.items() if value > OFF_C and name != DUMMY},
        "gpu_load": None if load is None else int(load) / 100,
        "gpu_mhz": None if clocks is None else max(int(clock) for clock in clocks.split(",")),
        "emc_mhz": int(memory.group(1)) if memory else None,
    }
