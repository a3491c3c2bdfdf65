"""Pictures of an evaluation: error by joint and by action, and the frames that are farthest off, drawn as skeletons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseedge import metrics
from poseedge.evaluation.predict import Prediction
from poseedge.evaluation.results import Evaluation
from poseedge.evaluation.score import millimetres
from poseedge.figure import new_figure, save_figure
from poseedge.skeleton import BONES, LEFT, RIGHT

WORST = 6
PREDICTED, TRUE = "#c0392b", "#2c3e50"
SIDES = {"left": "#2980b9", "right": "#d35400", "middle": "#555555"}


@dataclass(frozen=True)
class Pose:
    """One scored frame of one prediction, with its mean error."""

    prediction: Prediction
    row: int
    error_mm: float

    @property
    def title(self) -> str:
        """Sequence and frame in two lines, and the error."""
        return f"{self.prediction.sequence.name}\nframe {self.prediction.frames[self.row]}: {self.error_mm:.0f} mm"


def draw_figures(report: Evaluation, predictions: list[Prediction], folder: Path) -> list[Path]:
    """Write ``by_joint.png``, ``by_action.png`` and ``worst_frames.png`` into ``folder``; return their paths."""
    what = f"{Path(report.artefact).name} ({report.precision}) on {report.dataset}, {report.keypoints} keypoints"
    figures = {
        "by_joint.png": bars(report.by_joint_mm, f"MPJPE by joint, {what}", report.mpjpe_mm),
        "by_action.png": actions(report, f"MPJPE by action, {what}"),
        "worst_frames.png": skeletons(worst(predictions), f"Frames farthest off, one per sequence, {what}"),
    }
    paths = []
    for name, figure in figures.items():
        save_figure(figure, folder / name)
        paths.append(folder / name)
    return paths


def worst(predictions: list[Prediction], count: int = WORST) -> list[Pose]:
    """Return the frame with the greatest mean error of each of the ``count`` sequences where it is greatest."""
    poses = []
    for prediction in predictions:
        if len(prediction.frames):
            errors = metrics.joint_distances(prediction.poses_m, prediction.target_m).mean(axis=1)
            row = int(errors.argmax())
            poses.append(Pose(prediction, row, millimetres(errors[row])))
    return sorted(poses, key=lambda pose: -pose.error_mm)[:count]


def bars(values: dict[str, float], title: str, mean: float) -> Any:
    """Return a bar chart of millimetres with a line at the mean over frames."""
    figure = new_figure(9, 0.8 + 0.28 * len(values))
    axes = figure.subplots()
    names = [name.replace("_", " ") for name in values]
    drawn = axes.barh(names, list(values.values()), color="#5b8db8")
    axes.bar_label(drawn, fmt="%.1f", padding=3, fontsize=8)
    finish_chart(axes, title, mean)
    return figure


def actions(report: Evaluation, title: str) -> Any:
    """Return MPJPE and P-MPJPE by action side by side."""
    names = list(report.by_action)
    figure = new_figure(9, 1.2 + 0.42 * len(names))
    axes = figure.subplots()
    where = np.arange(len(names))
    for offset, key, label, color in ((-0.2, "mpjpe_mm", "MPJPE", "#5b8db8"), (0.2, "p_mpjpe_mm", "P-MPJPE", "#b5cde0")):
        drawn = axes.barh(where + offset, [getattr(report.by_action[n], key) for n in names], 0.38, color=color, label=label)
        axes.bar_label(drawn, fmt="%.1f", padding=3, fontsize=8)
    axes.set_yticks(where, names)
    finish_chart(axes, title, report.mpjpe_mm)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def finish_chart(axes: Any, title: str, mean: float) -> None:
    """Give a bar chart its axis, title and line at the mean."""
    axes.axvline(mean, color="black", linewidth=0.8, linestyle="--", zorder=0, label=f"mean over frames {mean:.1f}")
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.02)
    axes.set_xlabel("mm")
    axes.set_title(title, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def skeletons(poses: list[Pose], title: str) -> Any:
    """Return three pictures for each pose: its keypoints, and truth and prediction from the camera and from the side."""
    figure = new_figure(max(2.6 * len(poses), 8), 8)
    grid = figure.subplots(3, len(poses), squeeze=False)
    figure.suptitle(f"{title}\nkeypoints: left blue, right orange; 3D: truth dark, prediction red (metres)", fontsize=9)
    for pose, (screen, front, side) in zip(poses, grid.T, strict=True):
        sequence = pose.prediction.sequence
        keypoints = sequence.keypoints[pose.prediction.frames[pose.row]]
        for child, parent in BONES:
            color = SIDES["left" if child in LEFT else "right" if child in RIGHT else "middle"]
            screen.plot(*keypoints[[child, parent]].T, color=color, linewidth=1.8)
        screen.set_title(pose.title, fontsize=7)
        for axes, plane in ((front, (0, 1)), (side, (2, 1))):
            for joints, color in ((pose.prediction.target_m, TRUE), (pose.prediction.poses_m, PREDICTED)):
                for child, parent in BONES:
                    axes.plot(*joints[pose.row][np.ix_([child, parent], plane)].T, color=color, linewidth=1.6)
        for axes in (screen, front, side):
            axes.set_aspect("equal")
            axes.invert_yaxis()  # y points down in pictures and camera axes
            axes.tick_params(labelsize=6)
    for axes, label in zip(grid[:, 0], ("2D keypoints", "from the camera (x, y)", "from the side (z, y)"), strict=True):
        axes.set_ylabel(label, fontsize=8)
    return figure
