"""Video: where pictures come from, and where they go."""

from poseedge.live.video.opening import open_source
from poseedge.live.video.source import Frame, Source

__all__ = ["Frame", "Source", "open_source"]
