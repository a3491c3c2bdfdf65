"""Engines are built the way that each TensorRT wants it, kept as long as they fit, and never half-written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from poseedge.errors import ArtefactError, PoseedgeError
from poseedge.lifter import load
from poseedge.progress import Advance
from tests.deploy.engines import build, calibration, expected, keypoints, write_graph
from tests.doubles.binding import Fake
from tests.doubles.engine import Plan
from tests.doubles.fixtures import Install
from tests.doubles.gpu import Gpu

FP16, INT8, TF32, OBEY = "FP16", "INT8", "TF32", "OBEY_PRECISION_CONSTRAINTS"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "small.onnx")


def files(graph: Path) -> list[str]:
    """Files beside the engines, hidden ones too, without what later builds use."""
    folder = graph.parent / "engines"
    return sorted(path.name for path in folder.glob("*") if path.suffix not in {".timing", ".calibration"})


# The decision table: TensorRT x what is asked for x what the graph says itself -> typing and builder flags


def strong(fake: Fake) -> bool:
    """Whether strong typing is complete in this version."""
    return fake.release >= (10, 12)


@pytest.mark.parametrize(
    ("precision", "weak", "typed"), [("fp32", (), ()), ("fp16", (FP16, TF32), (TF32,)), ("int8", (FP16, INT8, TF32), (TF32,))]
)
def test_graph_that_says_its_precision(
    device: Fake, tmp_path: Path, precision: str, weak: tuple[str, ...], typed: tuple[str, ...]
) -> None:
    made = build(write_graph(tmp_path / "small.onnx", precision), precision)
    [plan] = device.built
    assert plan.strongly_typed is strong(device)
    assert set(plan.flags) - {OBEY} == set(typed if strong(device) else weak)
    assert made.facts.spec.precision == precision


@pytest.mark.parametrize(("precision", "flags"), [("fp16", (FP16, TF32)), ("int8", (FP16, INT8, TF32))])
def test_graph_that_leaves_its_precision_to_tensorrt(device: Fake, graph: Path, precision: str, flags: tuple[str, ...]) -> None:
    if device.release >= (11, 0):
        with pytest.raises(PoseedgeError, match=f"takes precision from the graph alone, and this graph is fp32, not {precision}"):
            build(graph, precision)
        return
    engine = build(graph, precision).path
    [plan] = device.built
    assert (plan.strongly_typed, plan.flags) == (False, flags)
    windows = keypoints(4)
    np.testing.assert_allclose(load(engine)(windows), expected(graph, windows), atol=0.02)


@pytest.mark.parametrize(("says", "asked"), [("int8", "fp16"), ("fp16", "fp32"), ("fp16", "int8")])
def test_graph_of_another_precision_is_refused(some_device: Fake, tmp_path: Path, says: str, asked: str) -> None:
    with pytest.raises(PoseedgeError, match=f"the graph is {says} by its own types, not {asked}"):
        build(write_graph(tmp_path / "small.onnx", says), asked)


@pytest.mark.parametrize(("capability", "board"), [((5, 3), "Jetson Nano"), ((6, 2), "Jetson TX2")])
def test_int8_is_refused_where_there_is_no_hardware_for_it(
    install_tensorrt: Install, graph: Path, capability: tuple[int, int], board: str
) -> None:
    install_tensorrt("8.2.1.8", Gpu(capability))
    with pytest.raises(PoseedgeError, match=f"{board} .* has no INT8 hardware"):
        build(graph, "int8")


def normalized_graph(path: Path) -> Path:
    """Write the network with its input through a layer norm that is spelt out."""
    model = onnx.load(write_graph(path))
    model.graph.node[0].input[0] = "normed"
    for name, value in {"two": 2, "epsilon": 1e-5}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    norm = [
        ("ReduceMean", ["keypoints"], "mean"),
        ("Sub", ["keypoints", "mean"], "difference"),
        ("Pow", ["difference", "two"], "square"),
        ("ReduceMean", ["square"], "variance"),
        ("Add", ["variance", "epsilon"], "steady"),
        ("Sqrt", ["steady"], "deviation"),
        ("Div", ["difference", "deviation"], "normed"),
    ]
    for place, (kind, inputs, output) in enumerate(norm):
        axes: dict[str, Any] = {"axes": [-1]} if kind == "ReduceMean" else {}
        model.graph.node.insert(place, helper.make_node(kind, inputs, [output], name=output, **axes))
    onnx.save(model, path)
    return path


def test_spelt_out_layer_norm_stays_in_fp32_under_weak_typing(device: Fake, tmp_path: Path) -> None:
    if device.release >= (11, 0):
        return  # no weak typing
    build(normalized_graph(tmp_path / "norm.onnx"), "fp16")
    [plan] = device.built
    assert set(plan.pinned) == {"mean", "difference", "square", "variance", "steady", "deviation", "normed"}
    assert OBEY in plan.flags


def test_what_a_half_graph_keeps_in_float32_stays_so_under_weak_typing(device: Fake, tmp_path: Path) -> None:
    model = onnx.load(write_graph(tmp_path / "half.onnx", "fp16"))
    model.graph.node[0].input[0] = "twice"
    model.graph.node.insert(0, helper.make_node("Add", ["keypoints", "keypoints"], ["twice"], name="kept"))
    onnx.save(model, tmp_path / "half.onnx")
    build(tmp_path / "half.onnx", "fp16")
    [plan] = device.built
    assert plan.pinned == (() if strong(device) else ("kept",))


# Options


def test_options_reach_the_builder(device: Fake, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"batch": 2, "max_batch": 8, "workspace_mib": 64, "refit": True}
    if device.release >= (8, 6):
        wanted |= {"optimization_level": 5, "version_compatible": True}
    build(write_graph(tmp_path / "free.onnx", batch="B"), **wanted)
    [plan] = device.built
    assert plan.profile == ((1, 9, 17, 2), (2, 9, 17, 2), (8, 9, 17, 2))
    assert (plan.workspace, plan.verbosity) == (64 << 20, "DETAILED")
    assert plan.aux_streams == (0 if device.release >= (8, 6) else None)
    assert plan.optimization_level == wanted.get("optimization_level")
    assert {"REFIT", "VERSION_COMPATIBLE"} & set(plan.flags) == {"REFIT", *(["VERSION_COMPATIBLE"] * (device.release >= (8, 6)))}


@pytest.mark.parametrize("option", [{"optimization_level": 2}, {"version_compatible": True}])
def test_options_that_came_later_are_refused_before(install_tensorrt: Install, graph: Path, option: dict[str, Any]) -> None:
    install_tensorrt("8.5.2.2")
    with pytest.raises(PoseedgeError, match=r"TensorRT 8\.5\.2\.2 knows no"):
        build(graph, **option)


def test_a_batch_larger_than_the_largest_is_refused(some_device: Fake, graph: Path) -> None:
    with pytest.raises(PoseedgeError, match="batch 4 is not between 1 and the largest batch, 2"):
        build(graph, batch=4, max_batch=2)


# The cache


def test_an_engine_is_built_once(device: Fake, graph: Path) -> None:
    first, second = build(graph), build(graph)
    assert (first.built, second.built, len(device.built)) == (True, False, 1)
    assert first.facts == second.facts
    assert first.path.name == f"small_fp32.{device.version}.sm_87.engine"
    assert files(graph) == [first.path.name, first.path.name + ".json"]


def test_asking_for_a_rebuild_builds_again(some_device: Fake, graph: Path) -> None:
    build(graph)
    assert build(graph, rebuild=True).built


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("onnx_sha256", "0"),
        ("tensorrt", "8.0"),
        ("cuda", "10.2"),
        ("driver", "11.4"),
        ("sm", "sm_53"),
        ("gpu", "Nano"),
        ("route", {}),
    ],
)
def test_an_engine_of_other_circumstances_is_built_again(some_device: Fake, graph: Path, key: str, value: Any) -> None:
    sidecar = Path(f"{build(graph).path}.json")
    facts = json.loads(sidecar.read_text())
    facts["identity"][key] = value
    sidecar.write_text(json.dumps(facts))
    again = build(graph)
    assert again.built
    assert f"differs in {key}; building again" in again.said[0]
    assert not build(graph).built


def test_an_engine_with_other_options_is_built_again(some_device: Fake, graph: Path) -> None:
    build(graph)
    assert "differs in options" in build(graph, workspace_mib=32).said[0]


def test_a_truncated_engine_is_built_again(device: Fake, graph: Path) -> None:
    engine = build(graph).path
    engine.write_bytes(engine.read_bytes()[:-100])
    again = build(graph)
    assert again.built
    assert "it is damaged" in again.said[0]
    load(engine)


def test_damaged_facts_are_replaced(some_device: Fake, graph: Path) -> None:
    Path(f"{build(graph).path}.json").write_text("{")
    again = build(graph)
    assert again.built
    assert "does not describe an engine" in again.said[0]


def test_an_unknown_file_is_not_overwritten(some_device: Fake, graph: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.engine").write_text("mine")
    with pytest.raises(ArtefactError, match="exists, and nothing says what it is"):
        build(graph, output=tmp_path / "precious.engine")
    assert (tmp_path / "precious.engine").read_text() == "mine"


def test_kernel_times_are_kept_for_the_next_build(device: Fake, graph: Path) -> None:
    build(graph)
    cache = graph.parent / "engines" / f"{device.version}.sm_87.timing"
    assert b"lift" in cache.read_bytes()
    cache.write_bytes(b"8.0 (5, 3):other")  # of another device
    build(graph, rebuild=True)
    assert b"lift" in cache.read_bytes()
    assert b"other" not in cache.read_bytes()


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
    from poseedge.backends.tensorrt.cuda import Pycuda

    def broken(self: Any, host: Any, device: int) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Pycuda, "upload", broken)
    with pytest.raises(PoseedgeError, match="calibration failed: the disk is gone"):
        build(graph, "int8")
    assert fake.printed == []  # no exception reached TensorRT, which aborts on it in 8.2
    assert files(graph) == []


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
    assert (fake.built, fake.printed, files(graph)) == ([], [], [])
    assert build(graph).built  # nothing is locked


def test_ctrl_c_after_the_build_call_leaves_nothing(device: Fake, graph: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    device.on_build = interrupt
    with pytest.raises(KeyboardInterrupt):
        build(graph)
    assert files(graph) == []
    device.on_build = lambda: None
    assert build(graph).built


# Failures


def test_a_build_that_fails_says_why_and_what_to_try(device: Fake, graph: Path) -> None:
    device.build_error = "Could not find any implementation for node lift"
    with pytest.raises(ArtefactError, match=f"TensorRT {device.version} cannot build it: .*Could not find any") as raised:
        build(graph)
    assert "a larger --workspace-mib than 256" in raised.value.hint
    assert files(graph) == []


def test_a_graph_that_cannot_be_read_names_the_node(device: Fake, graph: Path) -> None:
    model = onnx.load(graph)
    outputs = ["y", "y_scale", "y_zero"]
    model.graph.node.append(helper.make_node("DynamicQuantizeLinear", ["keypoints"], outputs, name="hostile"))
    onnx.save(model, graph)
    with pytest.raises(ArtefactError, match=r"cannot read it: node 'hostile' \(DynamicQuantizeLinear\): No importer"):
        build(graph)
    assert files(graph) == []


def test_a_full_disk_leaves_no_engine(some_device: Fake, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        build(graph)
    assert files(graph) == []


def test_an_engine_holds_the_graph_that_it_was_built_from(some_device: Fake, graph: Path) -> None:
    from poseedge.backends.tensorrt.facts import graph_path

    made = build(graph)
    _, model = Plan.parse(made.path.read_bytes())
    assert graph_path(made.path, made.facts) == graph
    assert model == graph.read_bytes()
