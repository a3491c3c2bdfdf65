"""Drawing people: over the video, and in 3D beside it."""

from poseedge.live.drawing.figures import Arrangement, LiftedFigures, distances_mm, faint_joints
from poseedge.live.drawing.picture import PictureMaker
from poseedge.live.drawing.scene import Figure, View

__all__ = ["Arrangement", "Figure", "LiftedFigures", "PictureMaker", "View", "distances_mm", "faint_joints"]
