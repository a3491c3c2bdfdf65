"""What PoseCLR brings where 3D labels are few, and what the contrast makes of the features.

``python -m benchmarks poseclr mocap17 build/poseclr``. Pre-training reads the 2D
keypoints of all training subjects; every arm then learns from the 3D poses of the same few windows, by the same recipe.
An interrupted run goes on where it was. ``benchmarks/poseclr_features.py`` looks into the features.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from lightning_fabric import Fabric
from torch import Tensor

from benchmarks.options import Page, Results
from benchmarks.poseclr_features import features_table
from benchmarks.record import DOCS, RESULTS, grid, record, versions
from poseedge.bench.machine import machine_facts
from poseedge.cli.console import stage
from poseedge.data.h36m import load_dataset
from poseedge.data.types import PoseDataset
from poseedge.models import create
from poseedge.models.checkpoints import read_checkpoint
from poseedge.models.network import LiftingNetwork
from poseedge.training import recipe as recipes
from poseedge.training.batch import Batch, ProcessShare, mirror_batch
from poseedge.training.loop import Training
from poseedge.training.objective import LiftingObjective
from poseedge.training.poseclr import ANEW, Contrast
from poseedge.training.pretraining import Pretraining, pretrain
from poseedge.training.recorded import RecordedWindows
from poseedge.training.validation import errors_mm

NETWORK = {"channel": 48, "layers": 1, "d_hid": 96}
FRAMES = 27
CONTRAST = Contrast(queue=4096, momentum=0.95, temperature=0.1)  # the published defaults suit a run a hundred times as long
RATE = 1e-2  # of 2e-3, 1e-2 and 2e-2 the best, or within 2 mm of it, for every arm, on subject S8 with 60 windows of the others
ARMS = {"from scratch": None, "pre-trained, all carried over": (), "pre-trained, last projections drawn anew": ANEW}


def poseclr(
    data: Annotated[Path, typer.Argument(help="data set folder with training and test subjects")],
    output: Annotated[Path, typer.Argument(help="folder for all that is made")],
    pretraining_steps: Annotated[int, typer.Option(min=1)] = 1000,
    steps: Annotated[int, typer.Option(min=1, help="of training, in all arms")] = 200,
    labels: Annotated[list[int] | None, typer.Option(help="labelled windows (repeat)")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="draws of windows and starting weights")] = 3,
    every: Annotated[int, typer.Option(min=1, help="test on every n-th frame")] = 150,
    results: Results = RESULTS,
    page: Page = DOCS / "training.md",
) -> None:
    """Pre-train once, then train with few labels with and without the pre-trained weights."""
    torch.set_num_threads(1)
    what = Pretraining(FRAMES, pretraining_steps, 32, contrast=CONTRAST, config=NETWORK)
    dataset = load_dataset(data, "gt")
    train, test = dataset.of(dataset.train), dataset.of(dataset.test)
    with stage("pre-train", None):
        log = pretrain(train, what, output / "pretrained", lambda *_: None)
    state = read_checkpoint(output / "pretrained" / "state.pth")["model"]
    pretrained = {key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")}
    rows: list[dict[str, Any]] = []
    for count in labels or [60, 400]:
        for arm, anew in ARMS.items():
            errors = []
            for seed in range(seeds):
                network = start(seed, None if anew is None else pretrained, anew or ())
                folder = output / f"{count}-{list(ARMS).index(arm)}-{seed}"
                errors.append(train_few(network, train, test, count, steps, seed, every, folder))
                print(f"{count} windows, {arm}, seed {seed}: {errors[-1]:.1f} mm", flush=True)
            rows.append({"windows": count, "arm": arm, "mpjpe_mm": errors})
    features = features_table({"random": start(0, None, ()), "pre-trained": start(0, pretrained, ())}, train, test, every)
    report: dict[str, Any] = {"machine": machine_facts(), "data": dataset.name, "pretraining": asdict(what)}
    report["pretraining_log"] = log[-1]
    report |= {"steps": steps, "rate": RATE, "every": every, "rows": rows, "features": features}
    record(results / "poseclr", report, markdown(report), page, "poseclr")


class FewLabels:
    """The same few windows over and over, mirrored by chance."""

    def __init__(self, recorded: RecordedWindows, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.batch = recorded.take(torch.randperm(recorded.windows, generator=generator)[:count])
        self.windows = count

    def draw(self, step: int, size: int, share: ProcessShare) -> Batch:
        """Return ``size`` of the windows."""
        generator = share.generator(step)
        rows = torch.randint(self.windows, (size,), generator=generator)
        chosen = Batch(*(part[rows] for part in self.batch))
        return mirror_batch(chosen, torch.rand(size, generator=generator) < 0.5)


def start(seed: int, pretrained: Mapping[str, Tensor] | None, anew: tuple[str, ...]) -> LiftingNetwork:
    """Return a network with random weights, all but the head and ``anew`` replaced by ``pretrained``'s."""
    torch.manual_seed(seed)
    network = create("nanohtnet", frames=FRAMES, keep_frames=9, **NETWORK)
    assert isinstance(network, LiftingNetwork)
    if pretrained is not None:
        carried = {key: value for key, value in pretrained.items() if not key.startswith(("fc.", *anew))}
        network.load_state_dict({**network.state_dict(), **carried})
    return network


def train_few(
    network: LiftingNetwork, train: PoseDataset, test: PoseDataset, count: int, steps: int, seed: int, every: int, folder: Path
) -> float:
    """Train on ``count`` windows and return the test MPJPE at the end, millimetres: nothing is chosen by it."""
    recorded = RecordedWindows(train, network.frames, network.supervised_frames, "centered", None, "none")
    settings = [f"steps={steps}", f"evaluate_every={steps}", f"seed={seed}", "batch=32", f"optimizer.lr={RATE}"]
    settings += ["schedule.kind=cosine", f"schedule.warmup={min(50, steps // 4)}", "regularize=false", "data.keypoints=gt"]
    recipe = recipes.load_training_recipe("nanohtnet", settings=settings)
    fabric = Fabric(accelerator="cpu", devices=1)
    source = FewLabels(recorded, count, seed)
    training = Training(
        fabric, LiftingObjective(network), source, recipe, folder, lambda kept: errors_mm(kept, [test], every, threads=1)
    )
    training.run()
    return training.run_folder.history[-1]["mpjpe_mm_gt"]


def markdown(report: dict[str, Any]) -> str:
    """Return both tables."""
    counts = sorted({row["windows"] for row in report["rows"]})
    cells = {(row["arm"], row["windows"]): shown(row["mpjpe_mm"]) for row in report["rows"]}
    seeds = len(report["rows"][0]["mpjpe_mm"])
    facts = report["pretraining"]
    how = (
        f"NanoHTNet of {FRAMES} frames, one layer of {NETWORK['channel']} channels; {facts['steps']} steps of pre-training on\n"
        f"the 2D of all training subjects of `{report['data']}` (a view then finds its own instant among {CONTRAST.queue:,}\n"
        f"others {100 * report['pretraining_log']['nearest']:.0f} % of the time), then {report['steps']} steps on the labelled\n"
        f"windows. Test MPJPE in mm, ground-truth 2D: mean and range of {seeds} draws of windows and starting weights.\n"
    )
    inside = (
        "What the streams' features hold before any label, on test subjects: the share of their variance that lies between the\n"
        "cameras of one instant, and the MPJPE in mm of a ridge regression, which learned from\n"
        f"{report['features'][0]['windows']} windows: of the pose as the camera sees it, and of the pose turned to face it.\n"
    )
    errors = [[arm, *(cells[arm, count] for count in counts)] for arm in ARMS]
    held = [
        [
            row["features"],
            f"{100 * row['between_cameras']:.0f} %",
            f"{row['camera_mm']:.1f}",
            f"{row['without_heading_mm']:.1f}",
        ]
        for row in report["features"]
    ]
    lines = ["# PoseCLR with few labels\n", how]
    lines += [*grid(["start", *(f"{count} labelled windows" for count in counts)], errors), "", inside]
    lines += grid(["features", "variance between cameras", "pose in camera axes", "pose without heading"], held)
    return "\n".join([*lines, "", versions(report["machine"]), ""])


def shown(errors: list[float]) -> str:
    """Return mean and range."""
    return f"{statistics.mean(errors):.1f} ({min(errors):.1f} to {max(errors):.1f})"


PROGRAM = poseclr
