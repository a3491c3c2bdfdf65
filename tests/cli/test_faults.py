"""Whatever happens while a command writes, nothing half-written stays, nothing foreign is touched, and the status tells.

``train`` is also killed at any moment in ``verbs/test_train.py``, and ``build`` while TensorRT builds in ``verbs/test_build.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from poseedge.models import load_checkpoint
from tests.doubles.install import child_environment
from tests.support import folders, motion
from tests.support.bvh_files import CMU, write_bvh
from tests.support.engines import write_graph
from tests.support.faults import ITSELF, STATUS, Faults, faults
from tests.support.folders import MINI
from tests.support.tiny import TINY
from tests.support.user import Command

pytestmark = pytest.mark.slow
ENGINE = "engines/small_fp32.10.3.0.sm_87.engine"
BUILT = {ENGINE, f"{ENGINE}.json", "engines/10.3.0.sm_87.timing"}
ENDS = {**STATUS, "Ctrl-C": 2, "none": 0}  # of a build, which then says that there is no engine
VERBS = {
    "export": "export --model nanohtnet --recipe IN/small.toml --checkpoint IN/small.pth --data IN/data --calib IN/data"
    " --precision fp32 --output made",
    "quantize": "quantize BUNDLE/nanohtnet_fp32.onnx --data MINI --windows 8 --frames 24 --output made.onnx",
    "data convert": "data convert anna --output made",
    "data keypoints": "data keypoints data/data_2d_excerpt_gt.npz --into data --kind made",
    "data project": "data project data --kind made",
    "data calib": "data calib data --output made",
    "lift": "lift keypoints.npy --artefact BUNDLE --size 1000x1002 --fps 50 -o made.npz -o made.csv",
    "bench": "bench BUNDLE/nanohtnet_fp32.onnx --rounds 1 --frames 0 --output made.json",
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


# What starts threads, or needs a stand-in, runs in a process of its own until it is killed.

TRAININGS = {  # what is typed, what it leaves last, and before which of its writes it is interrupted
    "train": (f"train --data {MINI} --config ../tiny.toml --every 400 --threads 1", "last.pth", (1, 4, 5)),
    "pretrain": (f"pretrain --data {MINI} --frames 9 --steps 2 --batch 4 --queue 16 --threads 1", "encoder.pth", (1, 2)),
}


@pytest.mark.parametrize("verb", TRAININGS)
def test_a_training_that_something_happens_to_before_its_writes_ends_as_if_nothing_had(
    poseedge: Command, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    text, kept, writes = TRAININGS[verb]
    words = [*text.split(), "--output", "made"]
    assert poseedge(*words).status == 0
    whole, place = Path("made").resolve(), tmp_path / "place"
    place.mkdir()
    with faults(ITSELF) as running:
        for fault, write in [("full disk", 1), *(("Ctrl-C", write) for write in writes), ("kill", 1)]:
            found, said = running.run(words, place, fault, write)
            assert found == STATUS[fault], (fault, write, said)
            assert "Traceback" not in said
            assert "bug" not in said
            assert fault == "kill" or not any(map(hidden, contents(place))), (fault, write)
    assert any(map(hidden, contents(place)))
    os.chdir(place)
    assert poseedge(*words).status == 0
    ours, theirs = (load_checkpoint(folder / kept).state_dict() for folder in (place / "made", whole))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert sorted(contents(place / "made")) == sorted(contents(whole))


def test_a_build_that_something_happens_to_leaves_no_engine(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    write_graph(place / "small.onnx")
    with faults(ITSELF, environment=child_environment(tmp_path, "10.3.0")) as running:
        for fault in ("full disk", "Ctrl-C", None, "kill"):
            found, said = running.run(["build", "small.onnx", *(["--rebuild"] if fault == "kill" else [])], place, fault)
            assert found == ENDS[fault or "none"], (fault, said)
            assert "Traceback" not in said
            assert "bug" not in said
            whole = {"small.onnx"} | (set() if fault in ("full disk", "Ctrl-C") else BUILT)
            assert {name for name in contents(place) if not hidden(name)} == whole, fault
