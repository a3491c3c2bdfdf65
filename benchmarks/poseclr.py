"""What PoseCLR brings where 3D labels are few: fine-tuning from pre-trained weights against training from scratch.

Run as a module from the repository: ``python -m benchmarks.poseclr mocap17 build/poseclr``. Pre-training reads the 2D
keypoints of all training subjects; both arms then learn from the 3D poses of a few of their clips, by the same recipe.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from poseedge.bench.machine import machine_facts
from poseedge.cli.console import stage
from poseedge.data.h36m import dataset_name, layout_member, load_dataset, rig_path
from poseedge.data.writer import write_dataset
from poseedge.files import atomic_write
from poseedge.training.poseclr import Contrast
from poseedge.training.pretraining import ENCODER, Pretraining, pretrain

RESULTS = Path(__file__).parent / "results"
NETWORK = {"channel": 96, "layers": 2, "d_hid": 96}
FRAMES = 27
CONTRAST = Contrast(queue=4096, momentum=0.95, temperature=0.1)  # the published defaults suit a run a hundred times as long
NAME = "few"


def poseclr(
    data: Annotated[Path, typer.Argument(help="data set folder with training and test subjects")],
    output: Annotated[Path, typer.Argument(help="folder for all that is made")],
    pretraining_steps: Annotated[int, typer.Option(min=1)] = 1500,
    steps: Annotated[int, typer.Option(min=1, help="of training, in both arms")] = 800,
    clips: Annotated[list[int] | None, typer.Option(help="labelled clips of each training subject (repeat)")] = None,
    results: Annotated[Path, typer.Option(help="folder for the table")] = RESULTS,
) -> None:
    """Pre-train once, then train with few labels with and without the pre-trained weights."""
    torch.set_num_threads(1)
    what = Pretraining(FRAMES, pretraining_steps, 32, contrast=CONTRAST, config=NETWORK)
    dataset = load_dataset(data, "gt")
    with stage("pre-train", None):
        log = pretrain(dataset.of(dataset.train), what, output / "pretrained", lambda *_: None)
    rows: list[dict[str, Any]] = []
    for count in clips or [1, 4]:
        frames = write_few(data, output / f"{NAME}{count}", count)
        for arm, init in (("from scratch", None), ("pre-trained", output / "pretrained" / ENCODER)):
            errors = train(output / f"{NAME}{count}", output / f"{count}-{arm.replace(' ', '-')}", steps, init)
            rows.append({"clips": count, "labelled_frames": frames, "arm": arm, "mpjpe_mm": errors})
    report = {"machine": machine_facts(), "data": dataset.name, "pretraining": asdict(what), "steps": steps}
    with atomic_write(results / "poseclr.json") as temporary:
        temporary.write_text(json.dumps({**report, "pretraining_log": log[-1], "rows": rows}, indent=2) + "\n")
    print(json.dumps(rows, indent=2))


def write_few(source: Path, target: Path, count: int) -> int:
    """Write the data set with ``count`` clips of each training subject; return their frames, over all cameras."""
    of, rig = dataset_name(source), json.loads(rig_path(source, dataset_name(source)).read_text())
    motion = layout_member(source / f"data_3d_{of}.npz", "positions_3d")
    tracks = layout_member(source / f"data_2d_{of}_gt.npz", "positions_2d")
    kept = {s: sorted(motion[s])[:: max(1, len(motion[s]) // count)][:count] for s in rig["train"]}
    kept |= {s: sorted(motion[s]) for s in rig["test"]}
    cut = [{s: {a: part[s][a] for a in actions} for s, actions in kept.items()} for part in (motion, tracks)]
    if not target.exists():
        write_dataset(target, NAME, cut[0], {"gt": cut[1]}, {**rig, "name": NAME})
    return sum(len(view) for s in rig["train"] for a in kept[s] for view in tracks[s][a])


def train(data: Path, output: Path, steps: int, init: Path | None) -> float:
    """Train by NanoHTNet's recipe on true keypoints; return the test MPJPE at the end, millimetres."""
    settings = {"data.keypoints": "gt", "evaluate_every": steps, "network.frames": FRAMES}
    settings |= {f"network.{key}": value for key, value in NETWORK.items()}
    command = [
        sys.executable,
        "-c",
        "from poseedge.cli.app import main; main()",
        "train",
        "--model",
        "nanohtnet",
        "--data",
        str(data),
    ]
    command += [
        "--output",
        str(output),
        "--steps",
        str(steps),
        "--batch",
        "64",
        "--threads",
        "1",
        "--accelerator",
        "cpu",
        "--json",
    ]
    command += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command += ["--init", str(init)] if init else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout)["log"][-1]["mpjpe_mm_gt"])


if __name__ == "__main__":
    typer.run(poseclr)
