"""Whatever stands in a JSON or TOML file that is read, it is read, or refused in one message that names the file."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
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
from tests.fuzz.documents import ENGINE, as_toml, damaged
from tests.support import samples
from tests.support.folders import MINI

few = settings(
    deadline=None,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "100")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


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


@pytest.mark.slow
@few
@given(st.data())
def test_damaged_manifest(bundle: Path, manifest: dict[str, Any], data: st.DataObject) -> None:
    (bundle / MANIFEST).write_text(text_of(data.draw(damaged(manifest))))
    holds(lambda: use(bundle), bundle / MANIFEST)
    holds(lambda: owned(bundle), bundle / MANIFEST)
    holds(lambda: open_as_run_py_does(bundle, "fp32"), bundle / MANIFEST, Refused)


CAMERAS = json.loads((MINI / "cameras_mocap17-mini.json").read_text())
FEW_CAMERAS = {**CAMERAS, "cameras": {"S9": CAMERAS["cameras"]["S9"][:2]}}


@pytest.mark.slow
@few
@given(damaged(FEW_CAMERAS).map(text_of).map(str.encode))
def test_cameras_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cameras_own.json"
    path.write_bytes(content)
    holds(lambda: read_rig(path), path)


RECIPE = resource("export", "nanohtnet.toml")


@pytest.mark.slow
@few
@given(damaged(read_toml(RECIPE)).map(as_toml).map(lambda text: text.encode(errors="replace")))
def test_export_recipe(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    holds(lambda: load_recipe(str(path)).limits, path)


TRAINING = {
    **{"model": "mixste", "epochs": 3, "batch": 8, "regularize": True, "average": 0.9, "seed": 1, "precision": "32-true"},
    "network": {"frames": 27},
    "loss": {"weighted_mpjpe": 1.0, "temporal": 0.5},
    "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 0.0, "amsgrad": True},
    "schedule": {"kind": "epochs", "decay": 0.9, "drop": 0.5, "drop_every": 5, "warmup": 0, "lr_min": 1e-5},
    "data": {"source": "recorded", "keypoints": "gt", "cut": "centered", "stride": 1, "mirror": "both"},
}


@pytest.mark.slow
@few
@given(damaged(TRAINING).map(as_toml).map(lambda text: text.encode(errors="replace")))
def test_training_recipe(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    with contextlib.suppress(PoseedgeError):
        training.load_training_recipe("mixste", str(path)).learning_rate(10, 3)


@pytest.mark.slow
@few
@given(st.sampled_from(["loss.mpjpe", "optimizer.lr", "network.frames", "batch", "x", ""]), st.data())
def test_training_setting(key: str, data: st.DataObject) -> None:
    value = data.draw(damaged({"a": [1, {"b": 2}]}).map(text_of) | st.sampled_from(["[" * 5000, "9" * 5000, "1e999", "NaN"]))
    with contextlib.suppress(PoseedgeError):
        training.load_training_recipe("mixste", None, [f"{key}={value}"])


NAMES = read_toml(JOINTS)


@pytest.mark.slow
@few
@given(damaged(NAMES).map(as_toml).map(lambda text: text.encode(errors="replace")))
def test_names_of_joints(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "joints.toml"
    path.write_bytes(content)
    holds(lambda: human36m_joints({}, path, tmp_path / "a.bvh"), path)


PROPS = GraphMetadata("sample", {"frames": 5}, "int8", (0, 1), "0" * 64, "0.1.0", ort_disabled_optimizers=("A",)).to_props()


@pytest.mark.slow
@few
@given(damaged({key: json.loads(text) for key, text in PROPS.items()}))
def test_metadata_of_a_graph(tmp_path: Path, content: Any) -> None:
    path = samples.lifting_graph(tmp_path / "a.onnx")
    model = onnx.load(path)
    del model.metadata_props[:]
    props = content if isinstance(content, dict) else {}
    onnx.helper.set_model_props(model, {str(key): text_of(value) for key, value in props.items()})
    onnx.save(model, path)
    holds(lambda: lift_once(path), path)


def lift_once(path: Path) -> None:
    """Open a graph and do with it what the commands do."""
    lifter = load(path)
    poses = lifter(np.zeros((2, lifter.spec.frames, 17, lifter.spec.channels), np.float32))
    assert len(poses[0]) == len(lifter.spec.output_frames)
    assert lifter.spec.center_slot >= 0
    assert lifter.spec.look_ahead >= 0


@pytest.mark.slow
@few
@given(damaged({"format": 1, **json.loads(json.dumps(asdict(ENGINE)))}).map(text_of).map(str.encode))
def test_facts_of_an_engine(tmp_path: Path, content: bytes) -> None:
    engine = tmp_path / "a.engine"
    write_engine(engine, b"plan", ENGINE)
    assert read_facts(engine) == ENGINE
    (tmp_path / "a.engine.json").write_bytes(content)
    holds(lambda: read_facts(engine), engine)
