"""What FP16 and INT8 cost every trained network of the model card, in millimetres.

    python -m benchmarks precision_parity runs/card

exports each checkpoint ``runs/card/NETWORK/last.pth`` as ``poseedge export`` does, which compares every precision with the
PyTorch network on the test subjects of the bundled motion, and writes what it found to ``results/precision_parity.json`` and
``docs/int8.md``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.networks import NETWORKS, Row, record_networks
from benchmarks.options import Models, Page, Results
from benchmarks.record import DOCS, RESULTS, grid
from poseedge.errors import PoseedgeError
from poseedge.export.job import Export
from poseedge.export.pipeline import export_bundle
from poseedge.export.recipe import load_recipe
from poseedge.lifter import Precision
from poseedge.resources import resource
from poseedge.targets.boards import load_target

# "steady": exported with --steady, here with two steps everywhere.
FORMS: dict[str, Precision] = {"fp16": "fp16", "int8": "int8", "int8 steady": "int8"}


def compare(
    runs: Annotated[Path, typer.Argument(help="folder of the model card's trainings")],
    model: Models = None,
    every: Annotated[int, typer.Option(min=1, help="on every n-th frame; only all of them show jitter")] = 1,
    results: Results = RESULTS,
    page: Page = DOCS / "int8.md",
) -> None:
    """Export each network and record the table of all that were exported."""
    torch.set_num_threads(1)
    wanted = model or [name for name in NETWORKS if (runs / name / "last.pth").is_file()]
    if not wanted:
        raise PoseedgeError(f"{runs}: no trained network", "python -m benchmarks model_card trains them")

    def row(name: str) -> Row:
        return parity_of(name, runs / name / "last.pth", every)

    record_networks(results / "precision_parity", page, "parity", wanted, row, markdown)


def parity_of(name: str, checkpoint: Path, every: int) -> dict[str, Any]:
    """Return what the exports of ``checkpoint`` found of each form."""
    found: dict[str, Any] = {}
    recipe = load_recipe(name)  # its two-step layers are those of the published size
    recipe = recipe.model_copy(update={"int8": recipe.int8.model_copy(update={"two_step": ["*"]})})
    for steady in (False, True):
        forms = {precision: form for form, precision in FORMS.items() if form.endswith("steady") == steady}
        with tempfile.TemporaryDirectory() as folder:
            job = Export(
                recipe=recipe,
                checkpoint=checkpoint,
                bundled=False,
                target_name="default",
                target=load_target("default"),
                precisions=tuple(forms),
                output=Path(folder) / name,
                data=resource("calib_data", "mocap17-mini"),
                calibration=resource("calib_data", "mocap17-calib"),
                every=every,
                steady=steady,
            )
            manifest = export_bundle(job)
        found |= {form: manifest.parity[precision].against_reference.model_dump() for precision, form in forms.items()}
    return {
        "config": manifest.config,
        "frames": manifest.dataset.frames,
        "mpjpe_mm": manifest.reference.mpjpe_mm,
        "against_reference": found,
    }


def markdown(rows: dict[str, Row]) -> str:
    """Return the rows as a readable table."""
    lines = ["# Precisions of trained networks", ""]
    lines += ["Millimetres, against the PyTorch network; jitter as a multiple of its own. Bold: misses the recipe's limits.", ""]
    columns = [f"{form} {what}" for form in FORMS for what in ("change", "mean", "p99", "jitter")]
    lines += grid(
        ["network", "frames", "MPJPE", *columns],
        [
            [
                name,
                str(row["frames"]),
                f"{row['mpjpe_mm']:.1f}",
                *(cell for form in FORMS for cell in cells(row["against_reference"][form])),
            ]
            for name, row in rows.items()
        ],
    )
    return "\n".join(lines) + "\n"


def cells(found: dict[str, Any]) -> list[str]:
    """Return change of MPJPE, mean distance, p99 and jitter; bold where the recipe's limits do not hold."""
    distance, jitter = found["distance_mm"], found["jitter_mm"]
    steadiness = f"{jitter['this'] / jitter['against']:.2f}x" if jitter else "-"
    values = [f"{found['delta_mpjpe_mm']:+.3f}", f"{distance['mean']:.2f}", f"{distance['p99']:.1f}", steadiness]
    return values if found["passed"] else [f"**{value}**" for value in values]


PROGRAM = compare
