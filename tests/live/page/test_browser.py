"""The page in a real browser without a network: the skeleton moves, and the console has nothing to say."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poseedge.live.demo.against import StreamPair
from poseedge.live.demo.live import live_meta
from poseedge.live.page import LivePage
from poseedge.live.stream import PoseStream, Stream
from tests.live.page.browser import Tab, opened, path_of_browser
from tests.support import recorded
from tests.support.linear_lifter import LinearLifter

client = pytest.importorskip("websockets.sync.client")
BROWSER = path_of_browser()
SIZE = (1000, 1002)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium")]


def play(page: LivePage, stream: PoseStream, stop: threading.Event) -> None:
    """Let two people walk until ``stop``."""
    clip = recorded.pixels(0)
    beside = clip + np.array([250, 0])
    number = 0
    while not stop.wait(1 / 25):
        at = 2 * number % len(clip)
        for frame in stream.push([clip[at], beside[at]], number / 25):
            page.show(frame, 0.2)
        number += 1


def look_at_both(tab: Tab, address: str) -> None:
    tab.command("Page.navigate", url=address)
    tab.wait_for("/^[0-9.]+ mm away$/.test(document.getElementById('distance').textContent)")
    assert tab.evaluate("document.getElementById('against').textContent") == "another fp32"
    shown = greenness(tab)
    assert shown > 500
    tab.evaluate("document.getElementById('against').click()")
    tab.wait_for("document.getElementById('against').getAttribute('aria-pressed') === 'false'")
    tab.evaluate("new Promise((done) => setTimeout(done, 500))")
    assert greenness(tab) < 0.2 * shown
    tab.evaluate("document.getElementById('against').click()")
    tab.evaluate("new Promise((done) => setTimeout(done, 500))")
    assert greenness(tab) > 500


def greenness(tab: Tab) -> int:
    """Return how many pixels of the left half look as the other network's skeleton does."""
    cv2 = pytest.importorskip("cv2")
    picture = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR).astype(int)[:, :900]
    return int((picture[..., 1] - picture[..., [0, 2]].max(axis=-1) > 15).sum())


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


@pytest.mark.parametrize(("against", "looking"), [(None, look), ("another fp32", look_at_both)])
def test_skeletons_move_and_console_is_silent(tmp_path: Path, against: str | None, looking: Callable[[Tab, str], None]) -> None:
    lifter, stop = LinearLifter(), threading.Event()
    one, other = (Stream(each, SIZE, 25, "h36m17", look_ahead=5) for each in (lifter, LinearLifter(27, tuple(range(9, 18)))))
    stream = one if against is None else StreamPair(one, other)
    assert BROWSER is not None
    with LivePage(SIZE, live_meta(lifter, stream, "a walk", "h36m17", 25, SIZE), 0, against) as page:
        playing = threading.Thread(target=play, args=(page, stream, stop))
        playing.start()
        try:
            with opened(BROWSER, tmp_path / "profile", client.connect) as tab:
                looking(tab, page.address)
                assert tab.complaints == []
                own = page.address, page.address.replace("http", "ws"), "data:", "about:"
                assert [asked for asked in tab.asked if not asked.startswith(own)] == []
        finally:
            stop.set()
            playing.join()
