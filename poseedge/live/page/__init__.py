"""The page: people in 3D in a browser on this machine, while they move."""

from poseedge.live.page.clip import ClipPage
from poseedge.live.page.live import LivePage
from poseedge.live.page.server import PORT, listen

__all__ = ["PORT", "ClipPage", "LivePage", "listen"]
