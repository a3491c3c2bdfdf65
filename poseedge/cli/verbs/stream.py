"""``poseedge stream``: a line of keypoints in, a line of poses out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poseedge.cli import live_options as choose
from poseedge.cli.outlet import reader_gone
from poseedge.errors import DataError, PoseedgeError

if TYPE_CHECKING:
    from poseedge.lifter import Lifter
    from poseedge.live.page import LivePage
    from poseedge.live.stream import StreamFrame


def stream(
    context: typer.Context,
    size: Annotated[str, typer.Option(metavar="WxH", help="size of the picture in pixels")],
    artefact: choose.Artefact = None,
    against: choose.Against = None,
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
    height: choose.Height = None,
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
    from poseedge.live.demo.against import open_stream
    from poseedge.live.demo.live import live_meta
    from poseedge.live.demo.look_ahead import for_live, spoken
    from poseedge.live.json_lines import read_line, write_line

    if against is not None and not web:
        raise PoseedgeError("--against cannot apply here", "the page shows it: add --web")
    lifter, wide = choose.open_network(artefact, precision, threads), choose.parsed_size(size)
    assert wide is not None
    other = None if against is None else choose.open_network(against, None, threads)
    options = choose.options(context.params)
    lifting = open_stream(lifter, other, wide, fps, layout, options)
    choose.say(spoken(lifter, for_live(options, lifter.spec), lifting.rate))
    meta = live_meta(lifter, lifting, "standard input", layout, fps, wide)
    with page_of(meta, other, choose.page_port(web, port)) as page:

        def give(frames: list[StreamFrame]) -> None:
            for frame in frames:
                print(write_line(frame), flush=True)
                if page is not None:
                    page.show(frame)

        for number, text in enumerate(sys.stdin, start=1):
            if text.strip():
                try:
                    line = read_line(text, number)
                    given = lifting.push(line.people, line.time_s, line.frame)
                except DataError:
                    give(lifting.finish())  # of the lines before, which were good
                    raise
                give(given)
                if page is None and reader_gone():
                    return
        give(lifting.finish())


@contextmanager
def page_of(meta: dict[str, Any], other: Lifter | None, port: int | None) -> Iterator[LivePage | None]:
    """Serve the page, if it is wanted; ``meta`` says how poses come about, ``other`` lifts the same people."""
    if port is None:
        yield None
        return
    from poseedge.live.demo.against import about, title_of
    from poseedge.live.page import LivePage

    with LivePage(meta["size"], meta, port, None if other is None else title_of(about(other))) as page:
        choose.say(f"open in a browser: {page.address}")
        yield page
