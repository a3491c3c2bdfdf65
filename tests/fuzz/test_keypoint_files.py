"""Whatever the bytes of a keypoint file are, reading it gives a clip or one of our errors."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseedge.errors import DataError
from poseedge.live.formats import read_clip
from poseedge.live.types import Clip
from tests.fuzz.conftest import Fuzz
from tests.fuzz.damage import DAMAGES, Damage
from tests.fuzz.documents import damaged
from tests.support import keypoint_files as files
from tests.support import motion
from tests.support.folders import as_object

pytestmark = pytest.mark.slow
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


@pytest.fixture(scope="module", params=WRITERS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file or folder as it should be."""
    path = WRITERS[request.param](tmp_path_factory.mktemp("whole"))
    assert isinstance(read_clip(path, size=motion.SIZE), Clip)
    return path


def test_damaged_bytes_raise_nothing_but_our_error(whole: Path, tmp_path: Path, fuzz: Fuzz) -> None:
    def read(damage: Damage) -> None:
        write_damaged(whole, tmp_path / whole.name, damage)
        assert_read_or_refused(tmp_path / whole.name)

    fuzz(DAMAGES, read)


def write_damaged(whole: Path, target: Path, damage: Damage) -> None:
    """Write a copy of a file or folder with one file damaged."""
    shutil.rmtree(target, ignore_errors=True)
    if whole.is_dir():
        shutil.copytree(whole, target)
        victim = sorted(target.iterdir())[0]
        victim.write_bytes(damage(victim.read_bytes()))
    elif whole.suffix == ".npz":  # within its members, as a checksum guards the rest
        with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(target, "w") as copy:
            for name in archive.namelist():
                copy.writestr(name, damage(archive.read(name)))
    else:
        target.write_bytes(damage(whole.read_bytes()))


def assert_read_or_refused(path: Path) -> None:
    with contextlib.suppress(DataError):
        clip = read_clip(path, size=motion.SIZE)
        for track in clip.tracks:
            assert len(track.frames) == len(track.keypoints) == len(track.scores) > 0
            assert (np.diff(track.frames) > 0).all()
            assert ((track.scores >= 0) & (track.scores <= 1)).all()
            assert not np.isinf(track.keypoints).any()


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.endswith(("-txt", "csv", "npy", "npz", "custom"))])
def test_odd_values_anywhere_raise_nothing_but_our_error(name: str, tmp_path: Path, fuzz: Fuzz) -> None:
    path = WRITERS[name](tmp_path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=True) as content:
            tree = {member: content[member].tolist() for member in content.files}

        def read(odd: Any) -> None:
            members = odd if isinstance(odd, dict) else {"x": odd}
            np.savez(path, **{re.sub(r"\W", "", key) or "x": as_object(value) for key, value in members.items()})
            assert_read_or_refused(path)

        fuzz(damaged(tree), read)
        return
    file = sorted(path.iterdir())[0] if path.is_dir() else path
    first, *others = file.read_text().splitlines() if name == "jsonlines" else [file.read_text()]

    def read_text(odd: Any) -> None:
        file.write_text("\n".join([json.dumps(odd), *others]))
        assert_read_or_refused(path)

    fuzz(damaged(json.loads(first)), read_text)
