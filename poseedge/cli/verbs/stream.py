"""``poseedge stream``: a line of keypoints in, a line of poses out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from poseedge.cli import live_options as choose
from poseedge.cli.outlet import reader_gone

if TYPE_CHECKING:
    from poseedge.lifter import Lifter
    from poseedge.live.page import LivePage
    from poseedge.live.stream import Stream, StreamFrame


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
    web: choose.Web = False,
    port: choose.Port = None,
) -> None:
    """Lift people while they move: JSON lines of keypoints on stdin, JSON lines of poses on stdout.

    In: {"frame": 0, "time": 0.0, "people": [{"id": 1, "keypoints": [[x, y, score], ...]}]}; out: {"frame": 0, "time": 0.0,
    "people": [{"id": 1, "pose_m": [[x, y, z], ...], "filled": [...]}]}. A frame comes out when its look-ahead has gone by;
    docs/lift.md shows what each look-ahead costs.

    Example: detector | poseedge stream --size 1280x720 --fps 30 --look-ahead 10
    """
    from poseedge.live.demo.look_ahead import for_live, spoken
    from poseedge.live.json_lines import read_line, write_line
    from poseedge.live.stream import Stream
    from poseedge.live.trained import trained_on

    lifter, wide = choose.open_network(artefact, precision, threads), choose.parsed_size(size)
    assert wide is not None
    options = for_live(choose.options({**context.params, "height": None}), lifter.spec)
    lifting = Stream(lifter, wide, fps, layout, trained_on(lifter), **asdict(options))
    choose.say(spoken(lifter, options, lifting.rate))
    with page_of(lifter, lifting, layout, fps, wide, choose.page_port(web, port)) as page:

        def give(frames: list[StreamFrame]) -> None:
            for frame in frames:
                print(write_line(frame), flush=True)
                if page is not None:
                    page.show(frame)

        for number, text in enumerate(sys.stdin, start=1):
            if text.strip():
                line = read_line(text, number)
                give(lifting.push(line.people, line.time_s, line.frame))
                if page is None and reader_gone():
                    return
        give(lifting.finish())


@contextmanager
def page_of(
    lifter: Lifter, lifting: Stream, layout: str, fps: float | None, size: tuple[int, int], port: int | None
) -> Iterator[LivePage | None]:
    """Serve the page, if it is wanted."""
    if port is None:
        yield None
        return
    from poseedge.live.demo.live import live_meta
    from poseedge.live.page import LivePage

    with LivePage(size, live_meta(lifter, lifting, "standard input", layout, fps, size), port) as page:
        choose.say(f"open in a browser: {page.address}")
        yield page
