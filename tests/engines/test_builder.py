"""Options reach the builder, and what goes wrong in a build is said, with nothing half-written left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from poseedge.backends.registry import load
from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.progress import Advance
from tests.doubles.binding import Fake
from tests.doubles.fixtures import Install
from tests.doubles.gpu import Gpu
from tests.support.engines import build, calibration, engine_files, write_graph

# Options


def test_options_reach_the_builder(device: Fake, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"batch": 2, "max_batch": 8, "workspace_mib": 64}
    if device.release >= (8, 6):
        wanted |= {"optimization_level": 5, "version_compatible": True}
    build(write_graph(tmp_path / "free.onnx", batch="B"), **wanted)
    [plan] = device.built
    assert plan.profile == ((1, 9, 17, 2), (2, 9, 17, 2), (8, 9, 17, 2))
    assert (plan.workspace, plan.verbosity) == (64 << 20, "DETAILED")
    assert plan.aux_streams == (0 if device.release >= (8, 6) else None)
    assert plan.optimization_level == wanted.get("optimization_level")
    assert ("VERSION_COMPATIBLE" in plan.flags) is (device.release >= (8, 6))


@pytest.mark.parametrize("option", [{"optimization_level": 2}, {"version_compatible": True}])
def test_options_that_came_later_are_refused_before(install_tensorrt: Install, graph: Path, option: dict[str, Any]) -> None:
    install_tensorrt("8.5.2.2")
    with pytest.raises(PoseedgeError, match=r"TensorRT 8\.5\.2\.2 knows no"):
        build(graph, **option)


def test_a_batch_larger_than_the_largest_is_refused(some_device: Fake, graph: Path) -> None:
    with pytest.raises(PoseedgeError, match="batch 4 is not between 1 and the largest batch, 2"):
        build(graph, batch=4, max_batch=2)


# Calibration


def test_calibration_finds_the_range_once(device: Fake, graph: Path) -> None:
    if device.release >= (11, 0):
        return  # no calibrators
    build(graph, "int8")
    largest = float(np.abs(calibration(load(graph).spec)).max())
    assert device.built[0].input_range == pytest.approx(largest)
    [cache] = (graph.parent / "engines").glob("*.calibration")
    text = cache.read_text()
    assert text.startswith(f"TRT-{device.version}-")
    cache.write_text(text.replace(str(largest), "9.0"))
    build(graph, "int8", rebuild=True)
    assert device.built[1].input_range == 9.0  # taken from the cache


@pytest.mark.parametrize("version", ["8.2.1.8", "8.6.2.3"])
def test_calibration_that_fails_stops_the_build_and_says_why(
    install_tensorrt: Install, graph: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    fake = install_tensorrt(version)
    from poseedge.engines.cuda import Pycuda

    def broken(self: Any, host: Any, device: int) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Pycuda, "upload", broken)
    with pytest.raises(PoseedgeError, match="calibration failed: the disk is gone"):
        build(graph, "int8")
    assert fake.printed == []  # no exception reached TensorRT, which aborts on it in 8.2
    assert engine_files(graph) == []


@pytest.mark.parametrize("library", ["pycuda", "cuda-python"])
def test_a_device_without_memory_to_calibrate_in_says_so(install_tensorrt: Install, graph: Path, library: str) -> None:
    install_tensorrt(gpu=Gpu(memory=500), library=library)
    with pytest.raises(PoseedgeError, match="out of memory") as raised:
        build(graph, "int8")
    assert "end other programs" in raised.value.hint
    assert engine_files(graph) == []


# Progress and cancellation


class Listener:
    """A stage that notes what it is told, and may fail."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure, self.stages, self.steps = failure, [], 0  # type: BaseException | None, list[tuple[str, int | None]], int

    @contextlib.contextmanager
    def __call__(self, description: str, total: int | None) -> Iterator[Advance]:
        self.stages.append((description, total))
        yield self.advance

    def advance(self, count: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.steps += count


def test_progress_is_shown_step_by_step_where_tensorrt_tells(device: Fake, graph: Path) -> None:
    listener, steps = Listener(), len(onnx.load(graph).graph.node)
    build(graph, stage=listener)
    told = device.release >= (10, 0)
    assert listener.stages == [("building small fp32", steps if told else None)]
    assert listener.steps == (steps if told else 0)


@pytest.mark.parametrize("version", ["10.3.0", "11.4.1.4"])
def test_ctrl_c_in_a_callback_cancels_the_build(install_tensorrt: Install, graph: Path, version: str) -> None:
    fake = install_tensorrt(version)
    with pytest.raises(KeyboardInterrupt):
        build(graph, stage=Listener(KeyboardInterrupt()))
    assert (fake.built, fake.printed, engine_files(graph)) == ([], [], [])
    assert build(graph).built  # nothing is locked


@pytest.mark.slow
def test_ctrl_c_after_the_build_call_leaves_nothing(device: Fake, graph: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    device.on_build = interrupt
    with pytest.raises(KeyboardInterrupt):
        build(graph)
    assert engine_files(graph) == []
    device.on_build = lambda: None
    assert build(graph).built


# Failures


def test_a_build_that_fails_says_why_and_what_to_try(device: Fake, graph: Path) -> None:
    device.build_error = "Could not find any implementation for node lift"
    with pytest.raises(ArtefactError, match=f"TensorRT {device.version} cannot build it: .*Could not find any") as raised:
        build(graph)
    assert "a larger --workspace-mib than 256" in raised.value.hint
    assert engine_files(graph) == []


def test_a_graph_that_cannot_be_read_names_the_node(device: Fake, graph: Path) -> None:
    model = onnx.load(graph)
    outputs = ["y", "y_scale", "y_zero"]
    model.graph.node.append(helper.make_node("DynamicQuantizeLinear", ["keypoints"], outputs, name="hostile"))
    onnx.save(model, graph)
    with pytest.raises(ArtefactError, match=r"cannot read it: node 'hostile' \(DynamicQuantizeLinear\): No importer"):
        build(graph)
    assert engine_files(graph) == []


@pytest.mark.parametrize(("version", "newest"), [("8.2.1.8", 13), ("8.6.2.3", 17), ("10.13.3.9", 20)])
def test_a_graph_of_a_later_opset_than_tensorrt_reads_says_so(
    install_tensorrt: Install, graph: Path, version: str, newest: int
) -> None:
    install_tensorrt(version)
    model = onnx.load(graph)
    model.opset_import[0].version = newest + 1
    onnx.save(model, graph)
    with pytest.raises(ArtefactError, match=f"Opset {newest + 1} is not supported") as raised:
        build(graph)
    assert "poseedge export --target" in raised.value.hint
    install_tensorrt("10.16.2.10")  # up to 24
    assert build(graph).built
