"""An engine lifts as the graph does that it was built from, on every TensorRT, and leaves nothing on the GPU."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from poseedge.backends.registry import load
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.lifter import LifterSpec
from tests.doubles.binding import Fake
from tests.doubles.engine import Plan
from tests.doubles.fixtures import Install
from tests.doubles.gpu import Gpu
from tests.doubles.install import child_environment, uninstall, without_graphs
from tests.support.engines import build, expected, keypoints, write_graph

TOLERANCE_M = 1e-6


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "small.onnx")


def opened(engine: Path) -> Any:
    """Return the lifter, untyped: what it is made of is looked at."""
    return load(engine)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2, "B"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_windows_is_lifted_as_by_the_graph(device: Fake, tmp_path: Path, batch: int | str, count: int) -> None:
    graph = write_graph(tmp_path / "small.onnx", batch=batch)
    engine = build(graph, max_batch=3).path
    windows = keypoints(count)
    wanted = expected(write_graph(tmp_path / "one.onnx"), windows) if count else np.empty((0, 3, 17, 3))
    lifter = opened(engine)
    for _ in range(3):  # plainly, then as a CUDA graph
        np.testing.assert_allclose(lifter(windows), wanted, atol=TOLERANCE_M)


def test_spec_is_that_of_the_graph_in_the_precision_that_was_built(device: Fake, graph: Path) -> None:
    lifter = opened(build(graph).path)
    assert lifter.spec == LifterSpec("small", 9, (3, 4, 5), "fp32", 1)
    assert (lifter.backend, lifter.provider) == ("tensorrt", f"TensorRT {device.version} sm_87")


@pytest.mark.slow
def test_calls_of_one_batch_size_become_a_cuda_graph_from_the_second_on(device: Fake, tmp_path: Path) -> None:
    lifter = opened(build(write_graph(tmp_path / "free.onnx", batch="B"), max_batch=4).path)
    captured = []
    for count in (2, 2, 2, 3, 3, 2):
        windows = keypoints(count, seed=count)
        np.testing.assert_allclose(lifter(windows), expected(tmp_path / "free.onnx", windows), atol=TOLERANCE_M)
        captured.append(lifter.session.captured)
    assert captured == [False, True, True, False, True, False]


@pytest.mark.slow
def test_a_driver_that_captures_nothing_is_done_without(device: Fake, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_graphs(monkeypatch)
    lifter = opened(build(graph).path)
    for _ in range(3):
        np.testing.assert_allclose(lifter(keypoints(1)), expected(graph, keypoints(1)), atol=TOLERANCE_M)
    assert not lifter.session.captured
    assert "cuStreamBeginCapture" in lifter.session.not_captured


def test_result_of_one_call_is_not_overwritten_by_the_next(some_device: Fake, graph: Path) -> None:
    lifter = opened(build(graph).path)
    first = lifter(keypoints(1, seed=1))
    kept = first.copy()
    lifter(keypoints(1, seed=2))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False], ids=["one lifter", "a lifter each"])
def test_threads_get_their_own_poses(device: Fake, graph: Path, shared: bool) -> None:
    engine = build(graph).path
    lifters = [opened(engine)] * 4 if shared else [opened(engine) for _ in range(4)]
    wrong: list[object] = []

    def work(number: int) -> None:
        windows = keypoints(1, seed=number)
        wanted = expected(graph, windows)
        wrong.extend(seen for _ in range(10) if not np.allclose(seen := lifters[number](windows), wanted, atol=TOLERANCE_M))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("version", ["8.2.1.8", "10.3.0"])
def test_cuda_python_does_where_there_is_no_pycuda(install_tensorrt: Install, version: str, graph: Path) -> None:
    install_tensorrt(version, library="cuda-python")
    lifter = opened(build(graph).path)
    assert lifter.session._cuda.library == "cuda-python"
    for seed in range(3):
        windows = keypoints(1, seed)
        np.testing.assert_allclose(lifter(windows), expected(graph, windows), atol=TOLERANCE_M)
    assert lifter.session.captured


# Clean-up


@pytest.mark.slow
def test_close_releases_everything_and_more_calls_do_no_harm(device: Fake, graph: Path) -> None:
    lifter = opened(build(graph).path)
    lifter(keypoints(1))
    lifter.close()
    lifter.close()
    assert device.gpu.leftovers() == {}
    with pytest.raises(PoseedgeError, match="has been closed"):
        lifter(keypoints(1))


def test_a_lifter_that_nobody_refers_to_is_released(some_device: Fake, graph: Path) -> None:
    engine = build(graph).path
    opened(engine)(keypoints(1))
    assert some_device.gpu.leftovers() == {}


def test_with_releases_after_an_error_too(some_device: Fake, graph: Path) -> None:
    with pytest.raises(PoseedgeError), opened(build(graph).path) as lifter:
        lifter(keypoints(1)[:, :5])
    assert some_device.gpu.leftovers() == {}


@pytest.mark.slow
def test_a_program_that_closes_nothing_leaves_nothing(some_device: Fake, graph: Path, tmp_path: Path) -> None:
    program = (
        "import atexit, sys, numpy as np, sitecustomize, poseedge\n"
        "atexit.register(lambda: print(sitecustomize.fake.gpu.leftovers(), sitecustomize.fake.gpu.mistakes))\n"
        "lifter = poseedge.load(sys.argv[1])\n"
        "lifter(np.zeros((1, 9, 17, 2), np.float32))\n"
    )
    command = [sys.executable, "-c", program, str(build(graph).path)]
    environment = child_environment(tmp_path, some_device.version)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{} []\n", "")


# What cannot be loaded


def test_a_plan_of_another_tensorrt_is_recognised_before_tensorrt_sees_it(install_tensorrt: Install, graph: Path) -> None:
    install_tensorrt("8.4.1.5")
    engine = build(graph).path
    install_tensorrt("8.5.2.2")
    with pytest.raises(ArtefactError, match=r"built by TensorRT 8\.4\.1\.5, this is TensorRT 8\.5\.2\.2") as raised:
        load(engine)
    assert raised.value.hint == f"build it again, here: poseedge build {graph} --precision fp32"


def test_a_plan_of_another_device_is_recognised_before_tensorrt_sees_it(install_tensorrt: Install, graph: Path) -> None:
    install_tensorrt()
    engine = build(graph).path
    install_tensorrt(gpu=Gpu((11, 0), name="Thor"))
    with pytest.raises(ArtefactError, match="built for sm_87, this device is sm_110"):
        load(engine)


def test_a_plan_of_another_board_is_recognised(
    some_device: Fake, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poseedge.device.runner import machine

    monkeypatch.setattr(machine, "BOARD_FILES", (tmp_path / "model",))
    monkeypatch.setenv("JETSON_MODEL", "NVIDIA Jetson AGX Orin Developer Kit")
    engine = build(graph).path
    (tmp_path / "model").write_text("NVIDIA Jetson Orin Nano Developer Kit\0")
    wanted = "built for NVIDIA Jetson AGX Orin Developer Kit, this device is NVIDIA Jetson Orin Nano Developer Kit"
    with pytest.raises(ArtefactError, match=wanted):
        load(engine)


def test_a_truncated_plan_is_recognised_before_tensorrt_sees_it(device: Fake, graph: Path) -> None:
    engine = build(graph).path
    engine.write_bytes(engine.read_bytes()[:-100])
    with pytest.raises(ArtefactError, match="damaged: its hash is not the one"):
        load(engine)


@pytest.mark.slow
def test_a_plan_without_facts_is_left_to_tensorrt_and_its_words_are_quoted(device: Fake, graph: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.plan"
    foreign.write_bytes(build(graph).path.read_bytes())
    windows = keypoints(1)
    np.testing.assert_allclose(opened(foreign)(windows), expected(graph, windows), atol=TOLERANCE_M)
    foreign.write_bytes(foreign.read_bytes()[:-100])
    with pytest.raises(ArtefactError, match=r"foreign\.plan: TensorRT .* cannot load it: .*Engine deserialization failed"):
        load(foreign)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', '{"format": 1, "spec": {}}'])
def test_facts_that_are_none_are_told(some_device: Fake, graph: Path, content: str) -> None:
    engine = build(graph).path
    engine.with_name(engine.name + ".json").write_text(content)
    with pytest.raises(ArtefactError, match="does not describe an engine"):
        load(engine)


def test_facts_of_another_network_are_told(some_device: Fake, graph: Path) -> None:
    engine = build(graph).path
    path = engine.with_name(engine.name + ".json")
    facts = json.loads(path.read_text())
    facts["spec"]["frames"] = 27
    path.write_text(json.dumps(facts))
    with pytest.raises(ArtefactError, match="other shapes than its JSON file says"):
        load(engine)


@pytest.mark.parametrize("library", ["pycuda", "cuda-python"])
@pytest.mark.parametrize("memory", [32 << 10, (64 << 10) + 1300], ids=["context", "buffers"])
def test_a_device_out_of_memory_says_so(install_tensorrt: Install, graph: Path, memory: int, library: str) -> None:
    fake = install_tensorrt(library=library)
    engine = build(graph).path
    fake.gpu.memory = memory
    with pytest.raises(PoseedgeError, match="memory"):
        load(engine)


@pytest.mark.parametrize("library", ["pycuda", "cuda-python"])
def test_a_run_that_fails_says_what_cuda_says(install_tensorrt: Install, graph: Path, library: str) -> None:
    fake = install_tensorrt(library=library)
    lifter = opened(build(graph).path)
    blocks = fake.gpu._blocks
    fake.gpu._blocks = {}
    with pytest.raises(PoseedgeError, match="CUDA failed"):
        lifter(keypoints(1))
    fake.gpu._blocks = blocks


def test_a_run_that_tensorrt_refuses_quotes_its_log(device: Fake, graph: Path) -> None:
    lifter = opened(build(graph).path)
    lifter.session._api.set_shape = lambda name, shape: None
    lifter.session._context._shapes.clear()
    with pytest.raises(ArtefactError, match=r"TensorRT could not run it: TensorRT says: Not all tensors have a shape"):
        lifter(keypoints(1))


def test_a_machine_without_cuda_libraries_says_how_to_get_them(
    install_tensorrt: Install, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_tensorrt()
    engine = build(graph).path
    uninstall(monkeypatch, "pycuda.driver", "cuda", "cuda.bindings", "cuda.bindings.runtime", "cuda.cudart")
    with pytest.raises(PoseedgeError, match="neither pycuda nor cuda-python is installed") as raised:
        load(engine)
    assert "pip install pycuda" in raised.value.hint


def test_a_machine_without_tensorrt_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, "tensorrt")
    (tmp_path / "x.engine").write_bytes(b"plan")
    with pytest.raises(PoseedgeError, match="'tensorrt', which is not installed"):
        load(tmp_path / "x.engine")


def test_type_stubs_alone_are_no_tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt").mkdir()
    (tmp_path / "tensorrt" / "__init__.pyi").touch()
    (tmp_path / "x.engine").write_bytes(b"plan")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PoseedgeError, match="there are only type stubs of 'tensorrt'"):
        load(tmp_path / "x.engine")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)


def test_a_version_compatible_plan_runs_on_a_later_tensorrt_of_the_same_major(install_tensorrt: Install, graph: Path) -> None:
    install_tensorrt("10.3.0")
    engine = build(graph, version_compatible=True).path
    install_tensorrt("10.13.3.9")
    windows = keypoints(1)
    np.testing.assert_allclose(opened(engine)(windows), expected(graph, windows), atol=TOLERANCE_M)
    install_tensorrt("11.4.1.4")
    with pytest.raises(ArtefactError, match=r"built by TensorRT 10\.3\.0"):
        load(engine)


def test_an_engine_that_lifts_nothing_is_refused(some_device: Fake, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "small.onnx")
    engine = build(graph).path
    model = onnx.load(graph)
    model.graph.output.pop(0)
    plan, _ = Plan.parse(engine.read_bytes())
    content = model.SerializeToString()
    foreign = tmp_path / "foreign.plan"
    foreign.write_bytes(replace(plan, model_sha256=hashlib.sha256(content).hexdigest()).serialize(content))
    with pytest.raises(ArtefactError, match="no lifting engine: expected one float32 input and one pose output"):
        load(foreign)
