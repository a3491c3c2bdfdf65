"""Every recorded comparison, one after the other, each in a process of its own: ``python -m benchmarks all``.

``recorded.toml`` lists them. What the machine lacks (a GPU, a data set, NVIDIA's compiler) is said and left out.
"""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.command_cost import POSEEDGE
from benchmarks.record import grid, write_text
from poseedge.files import read_toml
from poseedge.resources import resource

RECORDED = Path(__file__).with_name("recorded.toml")
ROOT = Path(__file__).parents[1]
SAMPLE = "mocap17-mini"
Run = dict[str, Any]  # an entry of recorded.toml


def every(
    data: Annotated[Path | None, typer.Option(help="data set folder; default: the bundled sample, for trials only")] = None,
    only: Annotated[list[str] | None, typer.Option(help="only these programs (repeat)")] = None,
    short: Annotated[bool, typer.Option(help="in a trial size, and recorded in --folder alone")] = False,
    folder: Annotated[Path, typer.Option(help="for bundles, trainings and the summary")] = Path("build/benchmarks"),
) -> None:
    """Run them all and say what became of each; exit status 1 if one failed."""
    folder, data = folder.resolve(), data.resolve() if data else None
    runs = [run for run in read_toml(RECORDED)["run"] if not only or run["program"] in only]
    rows = []
    for run in runs:
        if lacking := lacks(run, data, short):
            rows.append([run["program"], "-", "-", lacking])
            continue
        started = time.monotonic()
        status = run_one(run, data or Path(resource("calib_data", SAMPLE)), short, folder)
        rows.append([run["program"], str(status), f"{time.monotonic() - started:.0f} s", shown(run, short)])
        print(" | ".join(rows[-1]), flush=True)
    table = "\n".join(["# Every recorded comparison", "", *grid(["program", "exit status", "time", "arguments"], rows)]) + "\n"
    write_text(folder / "every.md", table)
    print(table)
    if any(row[1] not in ("0", "-") for row in rows):
        raise typer.Exit(1)


def lacks(run: Run, data: Path | None, short: bool) -> str:
    """Return what this machine lacks for a run, or nothing."""
    needs = run.get("needs", [])
    if "gpu" in needs and not has_gpu():
        return "needs a CUDA GPU"
    if "aot" in needs and find_spec("tensorrt_rtx") is None and find_spec("onnxruntime_ep_nv_tensorrt_rtx") is None:
        return "needs pip install 'poseedge[aot]'"
    if "data" in needs and data is None and not short:
        return "needs --data, a whole data set"
    return ""


def has_gpu() -> bool:
    """Say whether PyTorch sees a GPU."""
    import torch

    return bool(torch.cuda.is_available())


def run_one(run: Run, data: Path, short: bool, folder: Path) -> int:
    """Make the bundles that a run needs and run it; return its exit status."""
    from benchmarks.__main__ import program

    for bundle, options in read_toml(RECORDED)["bundle"].items():
        place = folder / bundle
        if any(f"{{{bundle}}}" in word for word in run["arguments"]) and not place.exists():
            subprocess.run(exporting(options, place, short), cwd=ROOT, check=False)  # 1: a limit was missed
    words = [*run["arguments"], *(run.get("short", []) if short else [])]
    places = {name: folder / name for name in read_toml(RECORDED)["bundle"]} | {"data": data, "folder": folder}
    words = [word.format(**places) for word in words]
    with tempfile.TemporaryDirectory() as pages:
        if short:
            words += elsewhere(program(run["program"]), folder / "results", Path(pages))
        command = [sys.executable, "-m", "benchmarks", run["program"], *words]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


def exporting(options: list[str], place: Path, short: bool) -> list[str]:
    """Return the command that makes a bundle."""
    return [*POSEEDGE, "export", *options, "--output", str(place), *(["--every", "100"] if short else [])]


def elsewhere(command: Any, results: Path, pages: Path) -> list[str]:
    """Return the options by which a program records nothing in the repository: its pages are copied."""
    options: list[str | Path] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in ("results", "pictures"):
            options += [f"--{name}", results]
        if name == "page" and isinstance(parameter.default, Path):
            options += ["--page", shutil.copy(parameter.default, pages)]
    return list(map(str, options))


def shown(run: Run, short: bool) -> str:
    """Return a run's arguments as a person reads them."""
    return " ".join([*run["arguments"], *(run.get("short", []) if short else [])])


PROGRAM = every
