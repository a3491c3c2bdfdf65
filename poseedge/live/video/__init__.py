"""Video: where pictures come from, and where they go."""

from poseedge.live.video.source import Frame, Source, open_source

__all__ = ["Frame", "Source", "open_source"]
