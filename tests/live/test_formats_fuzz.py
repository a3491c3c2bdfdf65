"""Whatever the bytes of a keypoint file are, reading it gives a clip or one of our errors."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poseedge.errors import DataError
from poseedge.live.formats import read_clip
from poseedge.live.types import Clip
from tests.support import keypoint_files as files
from tests.support import motion
from tests.support.folders import as_object

PEOPLE = {
    frame: [(id, motion.coco()[frame] + 200 * id, motion.scores()[frame]) for id in (1, 2)] if frame != 2 else []
    for frame in range(4)
}
WRITERS: dict[str, Callable[[Path], Path]] = {
    "alphapose": lambda path: files.alphapose(path, PEOPLE),
    "alphapose cmu": lambda path: files.alphapose_pictures(path, PEOPLE),
    "coco": lambda path: files.coco_results(path, PEOPLE),
    "openpose": lambda path: files.openpose(path, PEOPLE),
    "mmpose": lambda path: files.mmpose_demo(path, PEOPLE),
    "ultralytics": lambda path: files.ultralytics_list(path, PEOPLE),
    "ultralytics-txt": lambda path: files.ultralytics_txt(path, PEOPLE, motion.SIZE),
    "jsonlines": lambda path: files.jsonlines(path, PEOPLE),
    "csv": lambda path: files.table(path, PEOPLE),
    "npy": lambda path: files.array(path, PEOPLE),
    "npz": lambda path: files.array_with_frames(path, PEOPLE),
    "videopose3d": lambda path: files.videopose3d_inferred(path, PEOPLE, motion.SIZE),
    "videopose3d custom": lambda path: files.videopose3d_custom(path, motion.coco(), motion.SIZE),
}
# Bytes that mean something to one parser or another, among any.
TELLING = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b'"', b"-", b"e9", b"NaN", b"null", b"true", b"\n", b"\x00", b"\xff", b"0" * 30]
)
DAMAGE = st.tuples(st.floats(0, 0.9999), st.integers(0, 40), TELLING | st.binary(max_size=4))  # place, bytes taken, bytes put


@pytest.fixture(scope="module", params=WRITERS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file or folder as it should be."""
    path = WRITERS[request.param](tmp_path_factory.mktemp("whole"))
    assert isinstance(read_clip(path, size=motion.SIZE), Clip)
    return path


def damaged(content: bytes, damages: list[tuple[float, int, bytes]], cut: float) -> bytes:
    for share, taken, put in damages:
        at = int(share * len(content))
        content = content[:at] + put + content[at + taken :]
    return content[: int(cut * len(content))]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DAMAGE, min_size=1, max_size=3), st.just(1.0) | st.floats(0.5, 1))
def test_damaged_bytes_raise_nothing_but_our_error(
    whole: Path, tmp_path: Path, damages: list[tuple[float, int, bytes]], cut: float
) -> None:
    target = tmp_path / whole.name
    shutil.rmtree(target, ignore_errors=True)
    if whole.is_dir():
        shutil.copytree(whole, target)
        victim = sorted(target.iterdir())[0]
        victim.write_bytes(damaged(victim.read_bytes(), damages, cut))
    elif whole.suffix == ".npz":  # within its members, as a checksum guards the rest
        with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(target, "w") as copy:
            for name in archive.namelist():
                copy.writestr(name, damaged(archive.read(name), damages, cut))
    else:
        target.write_bytes(damaged(whole.read_bytes(), damages, cut))
    assert_read_or_refused(target)


def assert_read_or_refused(path: Path) -> None:
    with contextlib.suppress(DataError):
        clip = read_clip(path, size=motion.SIZE)
        for track in clip.tracks:
            assert len(track.frames) == len(track.keypoints) == len(track.scores) > 0
            assert (np.diff(track.frames) > 0).all()
            assert ((track.scores >= 0) & (track.scores <= 1)).all()
            assert not np.isinf(track.keypoints).any()


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "7",
    "a.jpg",
    [],
    [[]],
    [1, 2, 3],
    {},
    {"x": []},
]


def replaced(value: Any, places: list[int], odd: Any) -> Any:
    """Return a tree of JSON with something odd at the place that is reached by these numbers."""
    if not isinstance(value, list | dict) or not value or not places:
        return odd
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    changed, key = copy.copy(value), keys[places[0] % len(keys)]
    changed[key] = replaced(value[key], places[1:], odd)
    return changed


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.endswith(("-txt", "csv", "npy", "npz", "custom"))])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.sampled_from(ODD))
def test_odd_values_anywhere_raise_nothing_but_our_error(name: str, tmp_path: Path, places: list[int], odd: Any) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    path = WRITERS[name](tmp_path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=True) as content:
            tree = {member: content[member].tolist() for member in content.files}
        np.savez(path, **{member: as_object(value) for member, value in replaced(tree, places, odd).items()})
    else:
        file = sorted(path.iterdir())[0] if path.is_dir() else path
        lines = file.read_text().splitlines() if name == "jsonlines" else [file.read_text()]
        lines[0] = json.dumps(replaced(json.loads(lines[0]), places, odd))
        file.write_text("\n".join(lines))
    assert_read_or_refused(path)
