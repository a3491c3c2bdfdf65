"""Where the files that travel with the package are: recipes, sample data, bundled weights."""

from __future__ import annotations

from pathlib import Path

SAMPLE_DATA = ("calib_data", "mocap17-mini")  # the bundled motion that parity is shown on
CALIBRATION_DATA = ("calib_data", "mocap17-calib")

_PACKAGE = Path(__file__).parent


def resource(*parts: str) -> Path:
    """Return the path of a bundled file or folder such as ``("export", "nanohtnet.toml")``.

    In a wheel these lie inside the package, in a checkout beside it.
    """
    installed = _PACKAGE / "_resources"
    return (installed if installed.is_dir() else _PACKAGE.parent).joinpath(*parts)
