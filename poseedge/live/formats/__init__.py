"""Keypoint files of detectors, and what other programs make of them."""

from poseedge.live.formats.registry import FORMATS, read_clip

__all__ = ["FORMATS", "read_clip"]
