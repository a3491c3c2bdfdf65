"""What a data folder holds, whether it can be used, and what to do about the rest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poseedge.data.cameras import denormalize_screen, in_picture, project
from poseedge.data.h36m import available_keypoints, dataset_name, layout_member, load_dataset, rig_path
from poseedge.data.mistakes import Mistake, mistakes
from poseedge.data.mpi_inf_3dhp import FILES, HOW_TO_GET, TEST, TEST_SUBJECTS, is_3dhp, load_3dhp
from poseedge.data.rig import read_rig
from poseedge.data.types import PoseDataset
from poseedge.errors import DataError
from poseedge.progress import Stage, silent

H36M_SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
H36M_ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting", "SittingDown"),
    *("Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether"),
)
H36M_CPN = "cpn_ft_h36m_dbb"
H36M_LEFT_OUT = {"S11": {"Directions"}}  # its video is damaged, so all repositories leave it out
HOW_H36M = "register at http://vision.imar.ro/human3.6m/ and prepare it as VideoPose3D's DATASETS.md says"


@dataclass
class Gap:
    """One thing that is missing, and how to get it."""

    what: str
    fix: str


@dataclass
class FolderReport:
    """What a folder holds. ``usable``: some keypoints load with their motion and cameras, and nothing cannot be right."""

    folder: str
    layout: str
    name: str
    fps: float | None = None
    subjects: list[dict[str, Any]] = field(default_factory=list)
    actions: dict[str, dict[str, int]] = field(default_factory=dict)
    keypoints: list[dict[str, Any]] = field(default_factory=list)
    missing: list[Gap] = field(default_factory=list)
    wrong: list[Mistake] = field(default_factory=list)

    def hold(self, dataset: PoseDataset) -> None:
        """Take down subjects and kinds of motion; frames are those of the motion, cameras not counted."""
        self.fps, self.subjects = dataset.fps, _subjects(dataset)
        clips = {(s.subject, s.action): (s.category, len(s)) for s in dataset.sequences}
        for category, frames in sorted(clips.values()):
            row = self.actions.setdefault(category, {"clips": 0, "frames": 0})
            row["clips"] += 1
            row["frames"] += frames

    def judge(self, dataset: PoseDataset) -> None:
        """Take down what cannot be right; what was said of other keypoints is not said again."""
        self.wrong += [mistake for mistake in mistakes(dataset) if mistake not in self.wrong]

    def fail(self, kind: str, error: DataError) -> None:
        """Note keypoints that do not load."""
        self.keypoints.append({"kind": kind, "ok": False, "problem": error.message, "error_px": None, "in_picture": None})
        self.missing.append(Gap(error.message, error.hint))

    @property
    def usable(self) -> bool:
        """Whether anything can be evaluated or trained on."""
        return any(row["ok"] for row in self.keypoints) and not self.wrong

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "usable": self.usable}


def check_folder(folder: Path, stage: Stage = silent) -> FolderReport:
    """Look at everything in a data folder; raises ``DataError`` only if there is no folder or no data set in it."""
    if is_3dhp(folder):
        return _check_3dhp(folder)
    name = dataset_name(folder)
    report = FolderReport(str(folder), "videopose3d", name)
    loaded: dict[str, PoseDataset] = {}
    kinds = available_keypoints(folder)
    with stage("read keypoints", len(kinds)) as advance:
        for kind in kinds:
            try:
                loaded[kind] = load_dataset(folder, kind)
                report.keypoints.append({"kind": kind, "ok": True, "problem": None, **_against_motion(loaded[kind])})
            except DataError as error:
                report.fail(kind, error)
            advance(1)
    if not report.keypoints:
        _without_keypoints(folder, name, report)
    for dataset in loaded.values():
        report.judge(dataset)
    for dataset in loaded.values():
        report.hold(dataset)
        for split, subjects in (("test", dataset.test), ("train", dataset.train)):
            if not subjects:
                report.missing.append(
                    Gap(f"no {split} subjects", f"name some in {rig_path(folder, name).name}, or use --subjects")
                )
        break
    if name == "h36m":
        _check_h36m(report, loaded)
    return report


def _without_keypoints(folder: Path, name: str, report: FolderReport) -> None:
    """Say what is wrong with motion and cameras where no keypoints could tell."""
    report.missing.append(
        Gap("no 2D keypoints", f"poseedge data project {folder} makes the exact ones; poseedge data keypoints adds a detector's")
    )
    for read in (lambda: layout_member(folder / f"data_3d_{name}.npz", "positions_3d"), lambda: read_rig(rig_path(folder, name))):
        try:
            read()
        except DataError as error:
            report.missing.append(Gap(error.message, error.hint))


def _against_motion(dataset: PoseDataset) -> dict[str, Any]:
    """Return the mean distance of keypoints from the projected motion, pixels, and the share of frames in the picture."""
    errors, inside = [], []
    for sequence in dataset.sequences:
        camera = sequence.camera
        pixels = denormalize_screen(sequence.keypoints, camera.width, camera.height)
        inside.append(in_picture(pixels, camera))
        if camera.intrinsics[:2].all():
            exact = denormalize_screen(project(sequence.joints_m, camera.intrinsics), camera.width, camera.height)
            errors.append(np.linalg.norm(pixels - exact, axis=-1).mean(axis=-1))
    return {
        "error_px": float(np.concatenate(errors).mean()) if errors else None,
        "in_picture": float(np.concatenate(inside).mean()),
    }


def _subjects(dataset: PoseDataset) -> list[dict[str, Any]]:
    """Return a row for each subject."""
    rows = []
    for subject in dict.fromkeys(s.subject for s in dataset.sequences):
        own = [s for s in dataset.sequences if s.subject == subject]
        lengths = {(s.action): len(s) for s in own}
        frames = sum(lengths.values())
        rows.append(
            {
                "subject": subject,
                "split": "train" if subject in dataset.train else "test" if subject in dataset.test else None,
                "actions": sorted({s.category for s in own}),
                "clips": len(lengths),
                "cameras": list(dict.fromkeys(s.camera.id for s in own)),
                "frames": frames,
                "shortest": min(lengths.values()),
                "longest": max(lengths.values()),
                "seconds": frames / dataset.fps,
            }
        )
    return rows


def _check_h36m(report: FolderReport, loaded: dict[str, PoseDataset]) -> None:
    """Name what the usual protocol of Human3.6M needs and the folder lacks."""
    for kind, what, how in (
        ("gt", "ground-truth keypoints", f"poseedge data project {report.folder}"),
        (H36M_CPN, "CPN detections, which most published numbers use", HOW_H36M),
    ):
        if kind not in [row["kind"] for row in report.keypoints]:
            report.missing.append(Gap(f"data_2d_h36m_{kind}.npz: {what}", how))
    if not loaded:
        return
    found = {row["subject"]: set(row["actions"]) for row in report.subjects}
    for subject in H36M_SUBJECTS:
        if subject not in found:
            report.missing.append(Gap(f"subject {subject}", HOW_H36M))
        elif lacking := set(H36M_ACTIONS) - found[subject] - H36M_LEFT_OUT.get(subject, set()):
            report.missing.append(Gap(f"{subject}: {', '.join(sorted(lacking))}", HOW_H36M))


def _check_3dhp(folder: Path) -> FolderReport:
    report = FolderReport(str(folder), "3dhp", "3dhp")
    try:
        dataset = load_3dhp(folder)
    except DataError as error:
        report.fail("3dhp", error)
        return report
    report.hold(dataset)
    report.judge(dataset)
    report.keypoints.append({"kind": "3dhp", "ok": True, "problem": None, **_against_motion(dataset)})
    if lacking := [s for s in TEST_SUBJECTS if s not in dataset.test]:
        report.missing.append(Gap(f"test sequences {', '.join(lacking)} of MPI-INF-3DHP", HOW_TO_GET))
    if not dataset.train:
        held = ", ".join(name for name in FILES if (folder / name).is_file())
        report.missing.append(Gap(f"training subjects; {held} has none", HOW_TO_GET.replace(TEST, "its training file")))
    return report
