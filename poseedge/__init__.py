"""poseedge: from a 2D-to-3D pose lifting checkpoint to a verified, benchmarked edge bundle."""

from poseedge.backends.registry import load as load
from poseedge.lifter import Lifter as Lifter
from poseedge.lifter import LifterSpec as LifterSpec

__version__ = "0.1.0"
