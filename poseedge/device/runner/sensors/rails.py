"""Power by rail: the INA3221 that Jetson boards carry, read from sysfs without root, and what counts as the total."""

from pathlib import Path
from typing import Dict, Iterator, Optional, Tuple

from poseedge.device.runner.machine import first_line

INA3221 = "sys/bus/i2c/drivers"
# Boards with a rail for the whole module: Nano; TX2, Xavier NX, Orin Nano and NX; Thor. Else the rails are summed.
WHOLE = ("POM_5V_IN", "VDD_IN", "VIN")


def read_rails(root: Path = Path("/")) -> Dict[str, float]:
    """Return the power of each rail in mW, none where there is no sensor; each value takes an I2C transaction."""
    return {name: power for name, power in found_rails(root / INA3221) if power is not None and is_connected(name)}


def found_rails(drivers: Path) -> Iterator[Tuple[str, Optional[float]]]:
    """Yield name and power of each channel: as hwmon writes them (JetPack 5 and later), and as iio does (JetPack 4)."""
    for label in sorted(drivers.glob("ina3221/*/hwmon/hwmon*/in*_label")):
        channel = label.name[2 : -len("_label")]
        voltage, current = (read_number(label.with_name(name.format(channel))) for name in ("in{}_input", "curr{}_input"))
        both = voltage is not None and current is not None
        yield first_line(label) or "", voltage * current / 1000 if both else None  # type: ignore[operator]  # mV, mA
    for label in sorted(drivers.glob("ina3221x/*/iio:device*/rail_name_*")):
        yield first_line(label) or "", read_number(label.with_name("in_power{}_input".format(label.name.rpartition("_")[2])))


def is_connected(name: str) -> bool:
    """Say whether a channel is a rail: others are called NC, or are the chip's own sum."""
    return bool(name) and name != "NC" and "sum of" not in name


def read_number(path: Path) -> Optional[float]:
    """Return the number that a system file holds."""
    try:
        return float(first_line(path) or "")
    except ValueError:
        return None


def total_mw(rails: Dict[str, float]) -> Optional[float]:
    """Return the module's power: its input rail, else the sum of all; None without rails."""
    for name in WHOLE:
        if name in rails:
            return rails[name]
    return sum(rails.values()) if rails else None


def total_is(rails: Dict[str, float]) -> str:
    """Return what the total consists of, to be said with it."""
    whole = [name for name in WHOLE if name in rails]
    return whole[0] if whole else " + ".join(sorted(rails)) + ", without the carrier board" if rails else ""
