"""Whatever stands in a JSON or TOML file that is read, it is read, or refused in one message that names the file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import strategies as st

from poseedge.backends.registry import load
from poseedge.bench.entries import subjects_of
from poseedge.bundle.manifest import MANIFEST
from poseedge.bundle.reading import open_bundle
from poseedge.bundle.writing import owned
from poseedge.data.bvh import JOINTS, human36m_joints
from poseedge.data.rig import read_rig
from poseedge.device.runner.bundle import open_bundle as open_as_run_py_does
from poseedge.device.runner.words import Refused
from poseedge.device.ssh import files_to_copy
from poseedge.engines.facts import read_facts, write_engine
from poseedge.errors import PoseedgeError
from poseedge.export.recipe import load_recipe
from poseedge.files import read_toml
from poseedge.graph.metadata import GraphMetadata
from poseedge.resources import resource
from poseedge.training import recipe as training
from tests.fuzz.conftest import Fuzz
from tests.fuzz.documents import ENGINE, as_toml, damaged
from tests.support import samples
from tests.support.folders import MINI

pytestmark = pytest.mark.slow


def text_of(content: Any) -> str:
    """Return JSON text, with lone surrogates and NaN as Python writes them."""
    return json.dumps(content)


def holds(read: Callable[[], object], path: Path, refusal: type[Exception] = PoseedgeError) -> None:
    """Demand that ``read`` succeeds or raises ``refusal`` that names the file."""
    try:
        read()
    except refusal as error:
        said = str(error)
    else:
        return
    assert path.name in said or path.parent.name in said


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of two small graphs."""
    folder = tmp_path_factory.mktemp("fuzz") / "bundle"
    (folder.parent / "weights.pth").write_bytes(b"no weights")
    return samples.bundle(folder, folder.parent / "weights.pth")


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle / MANIFEST).read_text())
    content["limits"] = {"fp32": {"delta_mpjpe_mm": 1.0, "mean_mm": 1.0, "p99_mm": 1.0}}
    return content


def use(bundle: Path) -> None:
    """Do with a bundle what the commands do."""
    opened = open_bundle(bundle)
    subjects_of(bundle)
    files_to_copy(opened, [*opened.precisions])
    opened.checkpoint()


def test_damaged_manifest(bundle: Path, manifest: dict[str, Any], fuzz: Fuzz) -> None:
    def read(content: Any) -> None:
        (bundle / MANIFEST).write_text(text_of(content))
        holds(lambda: use(bundle), bundle / MANIFEST)
        holds(lambda: owned(bundle), bundle / MANIFEST)
        holds(lambda: open_as_run_py_does(bundle, "fp32"), bundle / MANIFEST, Refused)

    fuzz(damaged(manifest), read)


CAMERAS = json.loads((MINI / "cameras_mocap17-mini.json").read_text())
FEW_CAMERAS = {**CAMERAS, "cameras": {"S9": CAMERAS["cameras"]["S9"][:2]}}


def test_cameras_file(tmp_path: Path, fuzz: Fuzz) -> None:
    path = tmp_path / "cameras_own.json"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        holds(lambda: read_rig(path), path)

    fuzz(damaged(FEW_CAMERAS).map(text_of).map(str.encode), read)


RECIPE = resource("export", "nanohtnet.toml")


def test_export_recipe(tmp_path: Path, fuzz: Fuzz) -> None:
    path = tmp_path / "own.toml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        holds(lambda: load_recipe(str(path)).limits, path)

    fuzz(damaged(read_toml(RECIPE)).map(as_toml).map(lambda text: text.encode(errors="replace")), read)


TRAINING = {
    **{"model": "mixste", "epochs": 3, "batch": 8, "regularize": True, "average": 0.9, "seed": 1, "precision": "32-true"},
    "network": {"frames": 27},
    "loss": {"weighted_mpjpe": 1.0, "temporal": 0.5},
    "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 0.0, "amsgrad": True},
    "schedule": {"kind": "epochs", "decay": 0.9, "drop": 0.5, "drop_every": 5, "warmup": 0, "lr_min": 1e-5},
    "data": {"source": "recorded", "keypoints": "gt", "cut": "centered", "stride": 1, "mirror": "both"},
}


def test_training_recipe(tmp_path: Path, fuzz: Fuzz) -> None:
    path = tmp_path / "own.toml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(PoseedgeError):
            training.load_training_recipe("mixste", str(path)).learning_rate(10, 3)

    fuzz(damaged(TRAINING).map(as_toml).map(lambda text: text.encode(errors="replace")), read)


def test_training_setting(fuzz: Fuzz) -> None:
    keys = st.sampled_from(["loss.mpjpe", "optimizer.lr", "network.frames", "batch", "x", ""])
    values = damaged({"a": [1, {"b": 2}]}).map(text_of) | st.sampled_from(["[" * 5000, "9" * 5000, "1e999", "NaN"])

    def read(setting: tuple[str, str]) -> None:
        with contextlib.suppress(PoseedgeError):
            training.load_training_recipe("mixste", None, ["=".join(setting)])

    fuzz(st.tuples(keys, values), read)


NAMES = read_toml(JOINTS)


def test_names_of_joints(tmp_path: Path, fuzz: Fuzz) -> None:
    path = tmp_path / "joints.toml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        holds(lambda: human36m_joints({}, path, tmp_path / "a.bvh"), path)

    fuzz(damaged(NAMES).map(as_toml).map(lambda text: text.encode(errors="replace")), read)


PROPS = GraphMetadata("sample", {"frames": 5}, "int8", (0, 1), "0" * 64, "0.1.0", ort_disabled_optimizers=("A",)).to_props()


def test_metadata_of_a_graph(tmp_path: Path, fuzz: Fuzz) -> None:
    path = samples.lifting_graph(tmp_path / "a.onnx")
    model = onnx.load(path)

    def read(content: Any) -> None:
        del model.metadata_props[:]
        props = content if isinstance(content, dict) else {}
        onnx.helper.set_model_props(model, {str(key): text_of(value) for key, value in props.items()})
        onnx.save(model, path)
        holds(lambda: lift_once(path), path)

    fuzz(damaged({key: json.loads(text) for key, text in PROPS.items()}), read)


def lift_once(path: Path) -> None:
    """Open a graph and do with it what the commands do."""
    lifter = load(path)
    poses = lifter(np.zeros((2, lifter.spec.frames, 17, lifter.spec.channels), np.float32))
    assert len(poses[0]) == len(lifter.spec.output_frames)
    assert lifter.spec.center_slot >= 0
    assert lifter.spec.look_ahead >= 0


def test_facts_of_an_engine(tmp_path: Path, fuzz: Fuzz) -> None:
    engine = tmp_path / "a.engine"
    write_engine(engine, b"plan", ENGINE)
    assert read_facts(engine) == ENGINE

    def read(content: str) -> None:
        (tmp_path / "a.engine.json").write_bytes(content.encode())
        holds(lambda: read_facts(engine), engine)

    fuzz(damaged({"format": 1, **json.loads(json.dumps(asdict(ENGINE)))}).map(text_of), read)
