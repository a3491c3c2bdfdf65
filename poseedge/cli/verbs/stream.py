"""``poseedge stream``: a line of keypoints in, a line of poses out."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from poseedge.cli import live_options as choose
from poseedge.cli.outlet import reader_gone


def stream(
    context: typer.Context,
    size: Annotated[str, typer.Option(metavar="WxH", help="size of the picture in pixels")],
    artefact: choose.Artefact = None,
    precision: choose.Precision = None,
    fps: Annotated[float | None, typer.Option(min=0.1, help="frames per second, where lines have no 'time'")] = None,
    layout: Annotated[str, typer.Option(help="order of the joints: coco17, body25, h36m17, ...")] = "coco17",
    view: choose.View = "person",
    trunk: choose.Trunk = None,
    overlap: choose.Overlap = True,
    every: choose.Every = None,
    flip: choose.Flip = False,
    focal: choose.Focal = None,
    camera_pitch: choose.CameraPitch = None,
    camera_roll: choose.CameraRoll = None,
    smooth: choose.Smooth = False,
    look_ahead: choose.LookAhead = None,
    threads: choose.Threads = 1,
) -> None:
    """Lift people while they move: JSON lines of keypoints on stdin, JSON lines of poses on stdout.

    In: {"frame": 0, "time": 0.0, "people": [{"id": 1, "keypoints": [[x, y, score], ...]}]}; out: {"frame": 0, "time": 0.0,
    "people": [{"id": 1, "pose_m": [[x, y, z], ...], "filled": [...]}]}. A frame comes out when its look-ahead has gone by;
    docs/lift.md shows what each look-ahead costs.

    Example: detector | poseedge stream --size 1280x720 --fps 30 --look-ahead 10
    """
    from poseedge.live.json_lines import read_line, write_line
    from poseedge.live.stream import Stream
    from poseedge.live.trained import trained_on

    lifter, wide = choose.opened(artefact, precision, threads), choose.parsed_size(size)
    assert wide is not None
    options = choose.options({**context.params, "height": None})
    lifting = Stream(lifter, wide, fps, layout, trained_on(lifter), **asdict(options))
    for number, text in enumerate(sys.stdin, start=1):
        if text.strip():
            line = read_line(text, number)
            for frame in lifting.push(line.people, line.time_s, line.frame):
                print(write_line(frame), flush=True)
            if reader_gone():
                return
    for frame in lifting.finish():
        print(write_line(frame), flush=True)
