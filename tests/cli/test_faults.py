"""Whatever happens while a command writes, nothing half-written stays, nothing foreign is touched, and the status tells.

``build``, which needs a stand-in for TensorRT, is killed and interrupted in ``verbs/test_build.py``, ``train`` in
``verbs/test_train.py``: PyTorch's gradients do not outlive a fork.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support import folders, motion
from tests.support.bvh_files import CMU, write_bvh
from tests.support.faults import Faults, faults
from tests.support.folders import MINI

pytestmark = pytest.mark.slow
STATUS = {"kill": -9, "Ctrl-C": 130, "full disk": 2}
VERBS = {
    "export": "export --model nanohtnet --recipe IN/small.toml --checkpoint IN/small.pth --data IN/data --calib IN/data"
    " --precision fp32 --output made",
    "quantize": "quantize BUNDLE/nanohtnet_fp32.onnx --data MINI --windows 8 --frames 24 --output made.onnx",
    "data convert": "data convert anna --output made",
    "data keypoints": "data keypoints data/data_2d_excerpt_gt.npz --into data --kind made",
    "data project": "data project data --kind made",
    "data calib": "data calib data --output made",
    "lift": "lift keypoints.npy --artefact BUNDLE --size 1000x1002 --fps 50 -o made.npz -o made.csv",
    "bench": "bench BUNDLE --precision fp32 --rounds 1 --output made.json",
    "compare": "compare BUNDLE/nanohtnet_fp32.onnx BUNDLE/nanohtnet_fp16.onnx --windows 1 --plot made.png",
    "eval": "eval BUNDLE --data IN/data --plot made",
}


@pytest.fixture(scope="module")
def forking() -> Iterator[Faults]:
    with faults() as found:
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with what commands read, and files of somebody else named like those that they write."""
    folder = tmp_path / "place"
    for name in ("anna", "data"):
        (folder / name).mkdir(parents=True)
    folders.excerpt().write(folder / "data")
    write_bvh(folder / "anna" / "Dancing_1.bvh", CMU, "ZYX", frames=20)
    np.save(folder / "keypoints.npy", np.concatenate([motion.coco(), motion.scores()[..., None]], axis=-1))
    for name in ("made.txt", "made.bak", ".made.swp"):
        (folder / name).write_text("mine")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def hidden(name: str) -> bool:
    """Say whether a path leads through a name that is not shown."""
    return any(part.startswith(".") for part in name.split("/"))


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_half_written_stays(forking: Faults, place: Path, export_inputs: Path, small_bundle: Path, verb: str) -> None:
    places = {"IN": export_inputs, "BUNDLE": small_bundle, "MINI": MINI}
    words = VERBS[verb].split()
    for name, path in places.items():
        words = [word.replace(name, str(path), 1) if word.split("/")[0] == name else word for word in words]
    before = contents(place)
    for fault, status in STATUS.items():
        found, said = forking.run(words, place, fault)
        assert found == status, said
        assert "Traceback" not in said
        assert "bug" not in said
        left = {name: content for name, content in contents(place).items() if before.get(name) != content}
        if fault == "kill":  # what was about to be put into its place lies beside it, hidden, until the next run
            assert all(hidden(name) for name in left), left.keys()
        else:
            assert left == {}, said
        assert {name: contents(place).get(name) for name in before} == before
    assert forking.run(words, place, None)[0] == 0
    after = contents(place)
    assert {name: after.get(name) for name in before} == before
    assert [name for name in after if name not in before and hidden(name)] == []
    assert len(after) > len(before)
