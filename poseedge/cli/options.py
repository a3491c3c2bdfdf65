"""The options that several verbs have, each with its one help text and its bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poseedge.backends.registry import names_for
from poseedge.errors import require

MOST_THREADS = 256
MOST_WINDOWS = 16384  # of calibration or comparison: half a gigabyte of long windows
LARGEST_BATCH = 4096  # windows in one call
LARGEST_STEP = 65536  # windows in one step of training, over all processes

Json = Annotated[bool, typer.Option("--json", help="print JSON, and errors as JSON on stderr")]
Data = Annotated[Path | None, typer.Option(help="data set folder; default: the bundled sample")]
TrainingData = Annotated[
    Path | None, typer.Option(help="data set whose training subjects are used; default: the bundled calibration set")
]
CalibrationData = Annotated[
    Path | None, typer.Option("--calib", help="data set whose training subjects calibrate INT8; default: the bundled one")
]
Keypoints = Annotated[str, typer.Option(help="2D keypoints: gt, detected, cpn_ft_h36m_dbb, ...")]
Precision = Annotated[str | None, typer.Option(help="which graph of a bundle; default: fp32, or the most exact that it holds")]
Precisions = Annotated[list[str] | None, typer.Option(help="only these precisions (repeat); default: all that there are")]
Target = Annotated[str | None, typer.Option(help="what will run it; poseedge targets shows them")]
Backend = Annotated[str | None, typer.Option(help=f"what runs ONNX files: {', '.join(names_for('.onnx'))}")]
Threads = Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="CPU threads of a process")]
Batch = Annotated[int, typer.Option(min=1, max=LARGEST_BATCH, help="windows in one call")]
CalibrationWindows = Annotated[int, typer.Option("--windows", min=1, max=MOST_WINDOWS, help="calibration windows")]


def subject_names(words: str) -> tuple[str, ...]:
    """Return the subjects that an option names, separated by commas, with or without spaces."""
    return tuple(word.strip() for word in words.split(",") if word.strip())


def drawable(path: Path | None) -> Path | None:
    """Return the picture's path; raises ``PoseedgeError`` before any work if there is nothing to draw it with."""
    if path is not None:
        require("matplotlib", "plot")
    return path


Plot = Annotated[Path | None, typer.Option(dir_okay=False, callback=drawable, help="also draw it into this PNG file")]
Every = Annotated[int, typer.Option(min=1, help="only every n-th frame; no velocity and jitter then")]
CheckpointModel = Annotated[str | None, typer.Option("--model", help="network of a checkpoint that fits two, such as tpc_mixste")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="of a checkpoint's network, what its file does not tell: network.layer_index=2 (repeat)"),
]
