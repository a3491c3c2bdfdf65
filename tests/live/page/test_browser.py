"""The page in a real browser without a network: the skeleton moves, and the console has nothing to say."""

from __future__ import annotations

import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from poseedge.live.demo.live import live_meta
from poseedge.live.page import LivePage
from poseedge.live.stream import Stream
from tests.live.page.browser import Tab, opened, path_of_browser
from tests.support import recorded
from tests.support.linear_lifter import LinearLifter

client = pytest.importorskip("websockets.sync.client")
BROWSER = path_of_browser()
SIZE = (1000, 1002)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium")]


def play(page: LivePage, stream: Stream, stop: threading.Event) -> None:
    """Let two people walk until ``stop``."""
    clip = recorded.pixels(0)
    beside = clip + np.array([250, 0])
    number = 0
    while not stop.wait(1 / 25):
        at = 2 * number % len(clip)
        for frame in stream.push([clip[at], beside[at]], number / 25):
            page.show(frame, 0.2)
        number += 1


def look(tab: Tab, address: str) -> None:
    tab.command("Page.navigate", url=address)
    tab.wait_for("document.querySelectorAll('#people button').length === 2")
    before = tab.screenshot()
    first = tab.evaluate("document.getElementById('status').textContent")
    tab.wait_for(f"document.getElementById('status').textContent !== {first!r}")
    assert tab.screenshot() != before
    tab.evaluate("document.querySelector('[data-view=top]').click(), document.getElementById('turn').click()")
    tab.wait_for("document.getElementById('turn').getAttribute('aria-pressed') === 'true'")
    tab.evaluate("document.getElementById('record').click()")
    tab.wait_for("parseInt(document.getElementById('recorded').textContent) > 3")
    tab.evaluate("document.getElementById('record').click()")
    tab.wait_for("!document.getElementById('downloads').hidden")
    with urllib.request.urlopen(tab.evaluate("document.querySelector('a[href$=glb]').href"), timeout=20) as answer:
        assert answer.read(4) == b"glTF"
    assert "delay 200 ms" in tab.evaluate("document.getElementById('status').textContent")


def test_skeletons_move_and_console_is_silent(tmp_path: Path) -> None:
    lifter = LinearLifter()
    stream, stop = Stream(lifter, SIZE, 25, "h36m17", look_ahead=5), threading.Event()
    assert BROWSER is not None
    with LivePage(SIZE, live_meta(lifter, stream, "a walk", "h36m17", 25, SIZE), 0) as page:
        playing = threading.Thread(target=play, args=(page, stream, stop))
        playing.start()
        try:
            with opened(BROWSER, tmp_path / "profile", client.connect) as tab:
                look(tab, page.address)
                assert tab.complaints == []
                own = page.address, page.address.replace("http", "ws"), "data:", "about:"
                assert [asked for asked in tab.asked if not asked.startswith(own)] == []
        finally:
            stop.set()
            playing.join()
