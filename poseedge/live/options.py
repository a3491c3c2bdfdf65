"""How to lift: what a user may choose, and what follows from it for one network and one picture."""

from __future__ import annotations

from dataclasses import dataclass

from poseedge.errors import PoseedgeError
from poseedge.lifter import LifterSpec
from poseedge.live.layouts import Trunk
from poseedge.live.overlap import schedule
from poseedge.live.person import RunSetup
from poseedge.live.smoothing import OneEuro
from poseedge.live.trained import TrainedOn
from poseedge.live.view import PersonView, PlainView, Shot, ViewName


@dataclass(frozen=True)
class LiftOptions:
    """The defaults are those of ``poseedge lift``."""

    view: ViewName = "person"
    trunk: Trunk | None = None  # None: as the network was trained
    overlap: bool = True
    every: int | None = None  # frames from one window to the next; None: what was measured to pay
    flip: bool = False
    focal_px: float | None = None
    camera_pitch_deg: float | None = None
    camera_roll_deg: float | None = None
    height_m: float | None = None
    smooth: bool = False
    look_ahead: int | None = None  # frames of the network; None: as many as it can use

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("focal length", self.focal_px, 1, 1e6),
            ("camera pitch", self.camera_pitch_deg, -89, 89),
            ("camera roll", self.camera_roll_deg, -180, 180),
            ("height", self.height_m, 0.3, 3.0),
        ):
            if value is not None and not least <= value <= most:
                raise PoseedgeError(f"{name} of {value:g}: expected {least:g} to {most:g}", "pixels, degrees and metres")
        if self.view == "plain" and (self.focal_px, self.camera_pitch_deg, self.camera_roll_deg) != (None, None, None):
            raise PoseedgeError("focal length, pitch and roll have no meaning in the plain view", "leave --view plain out")


def setup(options: LiftOptions, spec: LifterSpec, trained: TrainedOn, size: tuple[int, int], fps: float | None) -> RunSetup:
    """Return what lifting with ``options`` needs, for pictures of ``size`` (width, height) at ``fps``.

    A network of one frame keeps the source's rate.
    """
    shot = Shot(*size, options.focal_px, options.camera_pitch_deg, options.camera_roll_deg)
    person = options.view == "person"
    return RunSetup(
        plan=schedule(spec, options.overlap, options.every, options.look_ahead),
        view=PersonView(shot, trained) if person else PlainView(shot),
        rate=fps if spec.frames == 1 and fps else trained.fps,
        channels=spec.channels,
        interval_s=1 / fps if fps else None,
        smoother=OneEuro if options.smooth else None,
    )
