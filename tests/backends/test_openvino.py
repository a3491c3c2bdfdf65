"""OpenVINO gives the poses of ONNX Runtime, in float32, and reports to nobody."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from poseedge.arrays import Float32Array
from poseedge.backends.backend import Opening
from poseedge.backends.openvino import OpenVINOLifter, import_openvino
from poseedge.backends.registry import load
from poseedge.bundle.reading import open_bundle
from poseedge.data.h36m import load_dataset
from poseedge.errors import ArtefactError
from poseedge.evaluation.parity import parity
from poseedge.evaluation.predict import predict
from poseedge.export.pipeline import export_bundle
from poseedge.lifter import random_keypoints
from poseedge.targets.boards import load_target
from tests.support import samples, small_export
from tests.support.engines import expected, keypoints, write_graph
from tests.support.sharing import strangers

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")  # not imported: it reports
LIMITS_MM = {"fp32": 0.001, "fp16": 1.0, "int8": 10.0}  # mean distance of joints; random weights


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "small.onnx", batch="B")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_poses_are_those_of_onnx_runtime(small_bundle: Path, export_inputs: Path, precision: str) -> None:
    data = load_dataset(export_inputs / "data").of(["S9"])
    this, other = load(small_bundle, precision, backend="openvino"), load(small_bundle, precision)
    assert (this.backend, this.spec) == ("openvino", other.spec)
    assert parity(predict(this, data), predict(other, data)).distance_mm.mean < LIMITS_MM[precision]


def test_float32_is_not_rounded(graph: Path, tmp_path: Path) -> None:
    windows = keypoints(3)
    wanted = expected(write_graph(tmp_path / "one.onnx"), windows)
    np.testing.assert_allclose(load(graph, backend="openvino")(windows), wanted, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_any_number_of_windows_is_lifted(graph: Path, tmp_path: Path, count: int) -> None:
    fixed = write_graph(tmp_path / "two.onnx", batch=2)
    windows = keypoints(count)
    free = load(graph, backend="openvino")(windows)
    assert free.shape == (count, 3, 17, 3)
    np.testing.assert_allclose(load(fixed, backend="openvino")(windows), free, atol=1e-6)


def test_result_of_one_call_is_not_overwritten_by_the_next(graph: Path) -> None:
    lifter = load(graph, backend="openvino")
    first = lifter(keypoints(1, seed=1))
    kept = first.copy()
    lifter(keypoints(1, seed=2))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("batch", ["B", 1])
def test_one_window_is_lifted_alike_alone_and_between_calls_with_several(tmp_path: Path, batch: str | int) -> None:
    lifter, windows = load(write_graph(tmp_path / "graph.onnx", batch=batch), backend="openvino"), keypoints(4)
    together = lifter(windows)
    for window, wanted in zip(windows, together, strict=True):
        np.testing.assert_allclose(lifter(window[None])[0], wanted, atol=1e-6)
        np.testing.assert_array_equal(lifter(windows), together)


def test_one_lifter_may_be_shared_between_threads(graph: Path) -> None:
    windows: list[Float32Array] = [keypoints(1 + seed % 3, seed) for seed in range(7)]
    assert strangers(load(graph, backend="openvino"), windows) == 0


def test_graph_that_openvino_does_not_read_is_told(tmp_path: Path) -> None:
    path = samples.lifting_graph(tmp_path / "g.onnx")
    model = onnx.load(path)
    model.graph.node[0].op_type = "Telepathy"
    onnx.save(model, path)
    with pytest.raises(ArtefactError, match=r"g\.onnx: OpenVINO cannot load it \("):
        OpenVINOLifter(path)


def test_cost_is_that_of_the_graph(graph: Path) -> None:
    assert load(graph, backend="openvino").cost() == load(graph).cost()


@pytest.mark.slow
def test_nothing_is_reported_and_nothing_written_at_home(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    program = (
        "import sys, poseedge\n"
        "lifter = poseedge.load(sys.argv[1], backend='openvino')\n"
        "print(lifter.backend, 'openvino_telemetry' in sys.modules)\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "CI": ""}
    command = [sys.executable, "-c", program, str(graph)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["openvino", "False"], done.stderr
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_graph_in_the_form_for_processors_is_read(cpu_bundle: Path, precision: str) -> None:
    window = keypoints_of(cpu_bundle)
    poses = load(cpu_bundle, precision, backend="openvino")(window)
    distance_mm = 1000 * np.linalg.norm(poses - load(cpu_bundle, precision)(window), axis=-1)
    assert distance_mm.mean() < LIMITS_MM[precision]


def test_int8_around_half_precision_is_read(mixed_bundle: Path) -> None:
    window = keypoints_of(mixed_bundle)
    poses = load(mixed_bundle, "int8-fp16", backend="openvino")(window)
    assert 1000 * np.linalg.norm(poses - load(mixed_bundle, "int8-fp16")(window), axis=-1).mean() < LIMITS_MM["int8"]


@pytest.mark.slow
def test_module_that_the_page_tells_to_write_lifts(graph: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "add_a_backend.md"
    told: dict[str, Any] = {"__name__": "page"}
    import_openvino()  # without telemetry
    exec(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[0], told)
    (backend,) = told["BACKENDS"]
    assert backend.works()
    np.testing.assert_array_equal(backend.open(graph, Opening())(keypoints(2)), load(graph, backend="openvino")(keypoints(2)))


@pytest.fixture(scope="module")
def cpu_bundle(export_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the small bundle as it is exported for ONNX Runtime on a CPU: opset 20."""
    folder = tmp_path_factory.mktemp("bundle") / "cpu"
    own = {"target_name": "cpu", "target": load_target("cpu"), "precisions": ("fp32", "int8")}
    export_bundle(small_export.job(export_inputs, folder, **own))
    return folder


def keypoints_of(bundle: Path) -> Float32Array:
    """Return windows for the networks in ``bundle``."""
    return random_keypoints(load(bundle, open_bundle(bundle).precisions[0]).spec, 4)
