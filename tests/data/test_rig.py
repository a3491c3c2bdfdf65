"""The cameras file is read whole, or the field at fault is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.data.rig import read_rig
from poseedge.errors import DataError
from tests.support.folders import MINI

RIG = MINI / "cameras_mocap17-mini.json"


def test_the_bundled_rig_is_read() -> None:
    rig = read_rig(RIG)
    assert (rig.fps, rig.train, rig.test) == (50, ("S1", "S5", "S6", "S7"), ("S9", "S11"))
    assert [len(cameras) for cameras in rig.cameras.values()] == [4] * 6
    camera = rig.cameras["S9"][0]
    assert (camera.id, camera.width, camera.height) == ("mocap17-cam0", 1000, 1002)
    np.testing.assert_allclose(camera.intrinsics, [2.29, 2.2876, 0.025, 0.029, 0, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(camera.translation, [1.96, 4.78, 1.55])


WRONG: dict[str, tuple[Callable[[Any], object], str]] = {
    "no fps": (lambda rig: rig.pop("fps"), "fps: is missing"),
    "fps in words": (lambda rig: rig.update(fps="fast"), "fps: should be a number, found 'fast'"),
    "no time passes": (lambda rig: rig.update(fps=0), "fps: .*greater than 0, found 0"),
    "one subject, not a list": (lambda rig: rig.update(test="S9"), "test: should be a list, found 'S9'"),
    "cameras as a list": (lambda rig: rig.update(cameras=[]), r"cameras: should be a table, found \[\]"),
    "a field left out": (
        lambda rig: rig["cameras"]["S9"][1].pop("focal_length"),
        r"cameras\.S9\.1\.focal_length: is missing",
    ),
    "one focal length": (
        lambda rig: rig["cameras"]["S9"][1].update(focal_length=[1145]),
        r"cameras\.S9\.1\.focal_length: .*at least 2 items .* found a list of 1",
    ),
    "no width": (lambda rig: rig["cameras"]["S9"][1].update(res_w=0), r"S9\.1\.res_w: .*greater than 0, found 0"),
    "width in words": (lambda rig: rig["cameras"]["S9"][1].update(res_w="1000"), r"S9\.1\.res_w: .*number, found '1000'"),
    "NaN": (
        lambda rig: rig["cameras"]["S9"][1].update(center=[float("nan"), 0]),
        r"cameras\.S9\.1\.center\.0: nan is no finite number",
    ),
    "beyond float32": (lambda rig: rig["cameras"]["S9"][1].update(center=[1e300, 0]), r"center\.0: .*less than"),
    "a place in 2D": (lambda rig: rig["cameras"]["S9"][1].update(translation=[1, 2]), r"translation: .*at least 3 items"),
    "no unit quaternion": (
        lambda rig: rig["cameras"]["S9"][1].update(orientation=[1, 1, 0, 0]),
        "unit quaternion .* length 1.414",
    ),
}


@pytest.mark.parametrize("promise", WRONG)
def test_a_wrong_cameras_file_is_explained(promise: str, tmp_path: Path) -> None:
    bend, message = WRONG[promise]
    content = json.loads(RIG.read_text())
    bend(content)
    path = tmp_path / "cameras_own.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message) as caught:
        read_rig(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_other_files_are_no_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras_own.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"cameras_own\.json: not a cameras file: Expect"):
        read_rig(path)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_other_json_is_no_table(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras_own.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"cameras_own\.json: should be a table"):
        read_rig(path)


def test_whole_numbers_may_be_written_with_a_point_and_a_file_begin_with_a_mark(tmp_path: Path) -> None:
    content = json.loads(RIG.read_text())
    content["cameras"]["S9"][0].update(res_w=1000.0)
    (tmp_path / "cameras_own.json").write_text(json.dumps(content), encoding="utf-8-sig")
    assert read_rig(tmp_path / "cameras_own.json").cameras["S9"][0].width == 1000
