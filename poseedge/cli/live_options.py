"""The options that every verb that lifts has: how keypoints become poses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from poseedge.cli.console import err, print_notes
from poseedge.cli.options import Backend as Backend
from poseedge.cli.options import Json as Json
from poseedge.cli.options import Precision as Precision
from poseedge.cli.options import Threads as Threads
from poseedge.errors import PoseedgeError

if TYPE_CHECKING:
    from poseedge.lifter import Lifter
    from poseedge.live.options import LiftOptions

Artefact = Annotated[
    Path | None,
    typer.Option(help="bundle folder, .onnx file, .engine or .pth checkpoint; default: the bundled NanoHTNet, INT8"),
]
Size = Annotated[str | None, typer.Option(metavar="WxH", help="size of the picture in pixels, where the source does not say it")]
Fps = Annotated[float | None, typer.Option(min=0.1, help="frames per second, where the source does not say them")]
LayoutName = Annotated[
    str | None, typer.Option("--layout", help="order of the joints, where it cannot be told: coco17, body25, ...")
]
View = Annotated[Literal["person", "plain"], typer.Option(help="a virtual camera turned to the person, or the papers' way")]
Trunk = Annotated[
    Literal["fitted", "papers"] | None,
    typer.Option(help="where spine, neck and head come from; default: as the network was trained"),
]
Overlap = Annotated[bool, typer.Option("--overlap/--no-overlap", help="average what overlapping windows say of a frame")]
Every = Annotated[int | None, typer.Option(min=1, help="a window every n frames; default: what was measured to pay")]
Flip = Annotated[bool, typer.Option("--flip", help="average with the mirrored pass: steadier, twice the time")]
Focal = Annotated[float | None, typer.Option(metavar="PX", help="focal length in pixels; default: 0.9 of the longer side")]
CameraPitch = Annotated[float | None, typer.Option(metavar="DEG", help="the camera looks down by so much: mends the lean")]
CameraRoll = Annotated[float | None, typer.Option(metavar="DEG", help="the camera is turned clockwise, seen from behind")]
Height = Annotated[float | None, typer.Option(metavar="M", help="the people's height in metres; else their size is a guess")]
Smooth = Annotated[bool, typer.Option("--smooth", help="One-Euro filter over the poses; lags behind quick motion")]
LookAhead = Annotated[
    int | None, typer.Option(min=0, metavar="FRAMES", help="frames a pose may wait for; default: all of use; live: 10")
]
Against = Annotated[Path | None, typer.Option(help="another artefact that lifts the same people, to be seen over the first")]
Web = Annotated[bool, typer.Option("--web", help="show people in 3D on a page for this machine's browser")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="of the page; default 8765, 0: any that is free")]


def page_port(web: bool, port: int | None) -> int | None:
    """Return where the page is to be served, None without one."""
    if web:
        from poseedge.live.page import PORT

        return PORT if port is None else port
    if port is not None:
        raise PoseedgeError("--port cannot apply here", "it says where the page is: add --web")
    return None


def say(sentence: str) -> None:
    """Print what a program that reads stdout does not want."""
    err.print(sentence, soft_wrap=True)


def open_network(artefact: Path | None, precision: str | None, threads: int, backend: str | None = None) -> Lifter:
    """Open ``artefact``, or the ready-made bundle that comes with the package, which is INT8 alone."""
    from poseedge.backends.registry import load
    from poseedge.live.trained import bundled_network

    lifter = load(artefact or bundled_network(), precision, threads, backend=backend, stream=True)
    print_notes(lifter)
    return lifter


def options(given: dict[str, Any]) -> LiftOptions:
    """Return the lifting options among a verb's parameters."""
    from poseedge.live.options import LiftOptions

    return LiftOptions(
        view=given["view"],
        trunk=given["trunk"],
        overlap=given["overlap"],
        every=given["every"],
        flip=given["flip"],
        focal_px=given["focal"],
        camera_pitch_deg=given["camera_pitch"],
        camera_roll_deg=given["camera_roll"],
        height_m=given["height"],
        smooth=given["smooth"],
        look_ahead=given["look_ahead"],
    )


def parsed_size(text: str | None) -> tuple[int, int] | None:
    """Return width and height of ``1920x1080``."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise PoseedgeError(f"--size {text!r}: expected width and height in pixels", "such as --size 1920x1080")
    return int(width), int(height)


def parsed_person(text: str | None) -> Literal["largest"] | int | None:
    """Return the person to keep: ``largest``, or an id."""
    if text is None:
        return None
    if text == "largest":
        return "largest"
    if not text.isdecimal():
        raise PoseedgeError(f"--person {text!r}: expected 'largest' or the number of a person", "such as --person 1")
    return int(text)
