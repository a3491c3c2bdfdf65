"""An export small enough for every test: the smallest reference NanoHTNet, proved on two takes of eight frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from poseedge.export.job import Export
from poseedge.export.pipeline import export_bundle
from poseedge.export.recipe import load_recipe
from poseedge.models.checkpoints import save_checkpoint
from poseedge.targets.boards import load_target
from tests.support import folders, golden

NETWORK = "nanohtnet-small"
RECIPE = """
model = "nanohtnet"

[fp16]
keep = ["dct", "temporal_embed"]

[int8]
windows = 20

[parity.fp32]
delta_mpjpe_mm = 0.01
mean_mm = 0.1
p99_mm = 0.1

[parity.fp16]
delta_mpjpe_mm = 2.0
mean_mm = 5.0
p99_mm = 20.0

[parity.int8]
delta_mpjpe_mm = 20.0
mean_mm = 100.0
p99_mm = 300.0
"""


def write_inputs(folder: Path) -> None:
    """Write ``small.pth``, ``small.toml`` and the data set ``data`` into a new ``folder``."""
    folder.mkdir()
    save_checkpoint(folder / "small.pth", golden.network(NETWORK), {})
    (folder / "small.toml").write_text(RECIPE)
    (folder / "data").mkdir()
    folders.excerpt().write(folder / "data")


def write_bundle(inputs: Path, folder: Path, target_name: str = "default", **changes: Any) -> None:
    """Export what ``write_inputs`` wrote, for a target."""
    export_bundle(job(inputs, folder, target_name=target_name, target=load_target(target_name), **changes))


def job(inputs: Path, output: Path, **changes: Any) -> Export:
    """Return the export of what ``write_inputs`` wrote."""
    usual = Export(
        recipe=load_recipe(str(inputs / "small.toml")),
        checkpoint=inputs / "small.pth",
        bundled=False,
        target_name="default",
        target=load_target("default"),
        precisions=("fp32", "fp16", "int8"),
        output=output,
        data=inputs / "data",
        calibration=inputs / "data",
    )
    return replace(usual, **changes)
