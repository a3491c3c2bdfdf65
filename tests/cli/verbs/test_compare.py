"""``poseedge compare`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from tests.doubles.binding import Fake
from tests.doubles.fixtures import Install
from tests.doubles.install import uninstall
from tests.support import samples
from tests.support.engines import write_graph
from tests.support.user import Command, assert_refused


@pytest.fixture
def graphs(small_bundle: Path) -> list[Path]:
    """The bundle's fp32 and int8 graph."""
    return [small_bundle / f"nanohtnet_{precision}.onnx" for precision in ("fp32", "int8")]


def test_table_ends_with_what_was_found_and_the_next_command(poseedge: Command, graphs: list[Path], data: Path) -> None:
    outcome = poseedge("compare", *graphs, "--data", data, "--windows", 2)
    assert outcome.status == 0, outcome.err
    assert "temporal.0.mlp.fc1" in outcome.out
    assert "joints: " in outcome.out
    assert outcome.out.strip().splitlines()[-2:] == [
        "no layer is further apart than 0.1",
        f"next: poseedge eval {graphs[1]} --against {graphs[0]}",
    ]


def test_damaged_layer_is_named_and_drawn(poseedge: Command, graphs: list[Path], data: Path, tmp_path: Path) -> None:
    model = onnx.load(graphs[0])
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "temporal.0.mlp.fc1.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.5, tensor.name))
    onnx.save(model, tmp_path / "damaged.onnx")
    plot = tmp_path / "plots" / "errors.png"
    outcome = poseedge("compare", graphs[0], tmp_path / "damaged.onnx", "--data", data, "--windows", 1, "--json", "--plot", plot)
    assert (outcome.status, outcome.json["first"]) == (1, "temporal.0.mlp.fc1")
    first = next(layer for layer in outcome.json["layers"] if layer["name"] == "temporal.0.mlp.fc1")
    assert first["relative_error"] > 1e-4 == outcome.json["tolerance"]
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_all_shows_every_tensor(poseedge: Command, graphs: list[Path], data: Path) -> None:
    usual, every = (
        poseedge("compare", *graphs, "--data", data, "--windows", 1, "--json", *more).json["layers"] for more in ([], ["--all"])
    )
    assert len(every) > 2 * len(usual)
    assert {layer["tensor"] for layer in usual} <= {layer["tensor"] for layer in every}


@pytest.mark.parametrize(
    ("name", "content", "error", "hint"),
    [
        ("net.pth", b"x", "no ONNX file", "name .onnx files"),
        ("none.onnx", None, "no ONNX file", "name .onnx files"),
        ("cut.onnx", b"\x08\x08\x12\xff", "not a readable ONNX file", "is it truncated"),
    ],
)
def test_what_is_no_graph_is_told(
    poseedge: Command, graphs: list[Path], tmp_path: Path, name: str, content: bytes | None, error: str, hint: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert_refused(poseedge("compare", graphs[0], tmp_path / name), error, hint)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "small.onnx")


def test_engine_is_compared_with_its_graph(device: Fake, poseedge: Command, graph: Path) -> None:
    engine = poseedge("build", graph, "--json").json["engine"]
    outcome = poseedge("compare", graph, engine, "--windows", 2, "--json")
    assert outcome.status == 0, outcome.err
    assert [layer["name"] for layer in outcome.json["layers"]] == ["chosen", "poses", "selected"]
    assert outcome.json["distance_mm"]["max"] < 1e-3
    assert device.built[-1].profile is None
    assert len(device.built) == 2


@pytest.mark.parametrize("version", ["8.2.1.8", "8.5.2.2", "10.3.0"])
def test_engine_that_parts_from_its_graph_is_told_where(
    install_tensorrt: Install, poseedge: Command, tmp_path: Path, version: str
) -> None:
    install_tensorrt(version)
    graph = write_graph(tmp_path / "free.onnx", batch="B")
    engine = poseedge("build", graph, "--precision", "fp16", "--max-batch", 4, "--json").json["engine"]
    outcome = poseedge("compare", graph, engine, "--tolerance", 1e-6)  # the stand-in rounds whatever is given out
    assert (outcome.status, "they part at chosen: relative error above 1e-06" in outcome.out) == (1, True)
    assert "joints: 0." in outcome.out


def test_engine_whose_graph_is_not_known_is_told(some_device: Fake, poseedge: Command, graph: Path, tmp_path: Path) -> None:
    engine = poseedge("build", graph, "--json").json["engine"]
    (tmp_path / "bare.engine").write_bytes(Path(engine).read_bytes())
    assert_refused(poseedge("compare", graph, tmp_path / "bare.engine"), "nothing beside it says which graph", "poseedge build")
    other = write_graph(tmp_path / "other.onnx")
    graph.unlink()
    assert_refused(poseedge("compare", other, engine), "small.onnx, has gone or changed", "build it again")


def test_engine_that_tensorrt_calibrated_is_told(some_device: Fake, poseedge: Command, graph: Path) -> None:
    engine = poseedge("build", graph, "--precision", "int8", "--json").json["engine"]
    assert_refused(poseedge("compare", graph, engine), "calibration, which is not repeated", "int8 graph of poseedge export")


def test_engine_without_tensorrt_is_told(poseedge: Command, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, "tensorrt")
    (tmp_path / "net.plan").write_bytes(b"x")
    assert_refused(poseedge("compare", graph, tmp_path / "net.plan"), "'tensorrt', which is not installed", "poseedge[tensorrt]")


def test_graphs_of_other_windows_are_told(poseedge: Command, graphs: list[Path], tmp_path: Path) -> None:
    other = samples.lifting_graph(tmp_path / "other.onnx")
    assert_refused(poseedge("compare", graphs[0], other), "other.onnx takes (5, 2) (frames, channels)")
