"""``poseedge compare`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from tests.bench import samples
from tests.cli.user import Command, assert_refused


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
        ("net.plan", b"x", "TensorRT shows no tensors inside an engine", "compare the ONNX files"),
        ("net.pth", b"x", "no ONNX file", "name .onnx files"),
        ("none.onnx", None, "no ONNX file", "name .onnx files"),
        ("cut.onnx", b"\x08\x08\x12\xff", "cannot be read", "is it truncated?"),
    ],
)
def test_what_is_no_graph_is_told(
    poseedge: Command, graphs: list[Path], tmp_path: Path, name: str, content: bytes | None, error: str, hint: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert_refused(poseedge("compare", graphs[0], tmp_path / name), error, hint)


def test_graphs_of_other_windows_are_told(poseedge: Command, graphs: list[Path], tmp_path: Path) -> None:
    other = samples.lifting_graph(tmp_path / "other.onnx")
    assert_refused(poseedge("compare", graphs[0], other), "other.onnx takes (5, 2) (frames, channels)")
