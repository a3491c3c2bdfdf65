"""A window shows pictures in time, and closing it is heard. OpenCV's wheel without windows is what tests run on."""

from __future__ import annotations

import time

import numpy as np
import pytest

from poseedge.errors import PoseedgeError
from poseedge.live.video.window import Window

cv2 = pytest.importorskip("cv2")
PICTURE = np.full((720, 1280, 3), (10, 20, 30), np.uint8)


class Screen:
    """OpenCV's functions for windows, as its documentation of highgui has them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[np.ndarray] = []
        self.key, self.visible, self.open = -1, 1.0, False
        monkeypatch.setattr(cv2, "namedWindow", lambda name, flags: setattr(self, "open", True), raising=False)
        monkeypatch.setattr(cv2, "destroyWindow", lambda name: setattr(self, "open", False), raising=False)
        monkeypatch.setattr(cv2, "imshow", lambda name, picture: self.shown.append(picture), raising=False)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda name, what: self.visible, raising=False)
        monkeypatch.setattr(cv2, "waitKey", self.wait, raising=False)

    def wait(self, milliseconds: int) -> int:
        assert milliseconds >= 1  # 0 waits for ever
        time.sleep(milliseconds / 1000)
        return self.key


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    return Screen(monkeypatch)


def test_pictures_are_shown_blue_first_as_opencv_wants_them(screen: Screen) -> None:
    with Window(lambda: None, paced=False) as window:
        assert screen.open
        window.write(PICTURE, 0.0)
    np.testing.assert_array_equal(screen.shown[0][0, 0], [30, 20, 10])
    assert not screen.open


def test_a_video_is_shown_at_its_own_pace(screen: Screen) -> None:
    start = time.monotonic()
    with Window(lambda: None, paced=True) as window:
        for at in (0.0, 0.1, 0.2, 0.3):
            window.write(PICTURE, at)
    assert time.monotonic() - start >= 0.29


@pytest.mark.parametrize(("key", "visible"), [(ord("q"), 1.0), (27, 1.0), (-1, 0.0)], ids=["q", "escape", "closed"])
def test_closing_it_is_heard(screen: Screen, key: int, visible: float) -> None:
    heard: list[bool] = []
    with Window(lambda: heard.append(True), paced=False) as window:
        window.write(PICTURE, 0.0)
        assert not heard
        screen.key, screen.visible = key, visible
        window.write(PICTURE, 0.1)
    assert heard == [True]


def test_without_windows_it_says_what_to_do() -> None:
    if "GUI:                           NONE" not in cv2.getBuildInformation():
        pytest.skip("this OpenCV has windows")
    with pytest.raises(PoseedgeError, match="this OpenCV has none") as refused, Window(lambda: None, paced=False):
        pass
    assert refused.value.hint == "give a file: -o out.mp4"
